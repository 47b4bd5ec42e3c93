//! The thread of the reactor waits in no read and no write, whatever others who have the same open file
//! make of it.

use super::*;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::io::Read;
use std::os::fd::AsFd;

/// One who has an open file as well.
struct Holder(OwnedFd);

impl Holder {
    fn of(descriptor: &impl AsFd) -> Holder {
        Holder(descriptor.as_fd().try_clone_to_owned().unwrap())
    }

    /// Has it wait, as a shell does when it lets a program go on.
    fn block(&self) {
        fcntl_setfl(&self.0, self.flags() - OFlags::NONBLOCK).unwrap();
    }

    fn flags(&self) -> OFlags {
        fcntl_getfl(&self.0).unwrap()
    }
}

/// Two descriptors, to be read from and to be written to, and what is at their other ends.
struct Between {
    input: OwnedFd,
    output: OwnedFd,
    to: Box<dyn Write>,
    from: Box<dyn Read + Send>,
}

fn pipes() -> Between {
    let ((input, to), (from, output)) = (pipe().unwrap(), pipe().unwrap());
    Between { input: input.into(), output: output.into(), to: Box::new(to), from: Box::new(from) }
}

fn sockets() -> Between {
    let (here, there) = UnixStream::pair().unwrap();
    let (input, output) = (here.try_clone().unwrap().into(), here.into());
    Between { input, output, to: Box::new(there.try_clone().unwrap()), from: Box::new(there) }
}

/// A terminal that is one open file, as a shell's standard input and output are.
fn terminal() -> Between {
    let (ours, theirs) = a_terminal();
    let (input, output) = (theirs.try_clone().unwrap(), theirs);
    let (to, from) = (ours.try_clone().unwrap(), ours);
    Between { input, output, to: Box::new(File::from(to)), from: Box::new(File::from(from)) }
}

/// Its master and its slave, which passes bytes on as they are.
fn a_terminal() -> (OwnedFd, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let theirs = rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty()).unwrap();
    let mut settings = tcgetattr(&theirs).unwrap();
    settings.make_raw();
    tcsetattr(&theirs, OptionalActions::Now, &settings).unwrap();
    (ours, theirs)
}

/// The other way round: what is written here is typed there.
fn master() -> Between {
    let (ours, theirs) = a_terminal();
    let (input, output) = (ours.try_clone().unwrap(), ours);
    let (to, from) = (theirs.try_clone().unwrap(), theirs);
    Between { input, output, to: Box::new(File::from(to)), from: Box::new(File::from(from)) }
}

type Kind = (&'static str, fn() -> Between);

const KINDS: [Kind; 4] =
    [("pipes", pipes), ("sockets", sockets), ("terminal", terminal), ("master", master)];

#[test]
fn a_read_that_brings_nothing_does_not_wait_though_another_holder_would() {
    for (kind, make) in KINDS {
        let reactor = Reactor::new().unwrap();
        let Between { input, output, mut to, from: _from } = make();
        let (reading, writing) = (Holder::of(&input), Holder::of(&output));
        let listener = Listener::default();
        reactor.connect_pipes(input, output, listener.clone()).unwrap();
        for round in 1..=3 {
            reading.block();
            writing.block();
            kit::turn(&reactor);
            to.write_all(b"bytes").unwrap();
            until(&reactor, kind, || listener.bytes.borrow().len() == 5 * round);
        }
    }
}

#[test]
fn a_write_that_finds_no_room_does_not_wait_though_another_holder_would() {
    for (kind, make) in KINDS {
        let reactor = Reactor::new().unwrap();
        let Between { input, output, to: _to, mut from } = make();
        let (reading, writing) = (Holder::of(&input), Holder::of(&output));
        let listener = Listener::default();
        let transport = reactor.connect_pipes(input, output, listener.clone()).unwrap();
        kit::turn(&reactor);
        reading.block();
        writing.block();
        transport.write(vec![b'x'; MUCH]);
        kit::turn(&reactor);
        reading.block();
        writing.block();
        kit::turn(&reactor);
        assert_eq!(outcome(transport.drained()).len(), 0, "{kind} took all of it");
        let reader = std::thread::spawn(move || {
            let mut all = vec![0; MUCH];
            from.read_exact(&mut all).map(|()| all)
        });
        until(&reactor, kind, || {
            writing.block();
            reader.is_finished()
        });
        assert!(reader.join().unwrap().unwrap().iter().all(|&byte| byte == b'x'), "{kind}");
    }
}

#[test]
fn what_is_handed_in_is_for_its_other_holders_what_it_was() {
    for (kind, make) in KINDS {
        let reactor = Reactor::new().unwrap();
        let Between { input, output, to: _to, from: _from } = make();
        let holders = [Holder::of(&input), Holder::of(&output)];
        let before = holders.each_ref().map(Holder::flags);
        let stream = reactor.open_pipes(input, output).unwrap();
        kit::turn(&reactor);
        assert_eq!(holders.each_ref().map(Holder::flags), before, "{kind}");
        drop(stream);
        kit::turn(&reactor);
        assert_eq!(holders.each_ref().map(Holder::flags), before, "{kind}");
    }
}

#[test]
fn the_end_of_a_pipe_whose_writer_had_gone_before_is_noticed_while_reading_is_paused() {
    let ((input, to), (_from, output)) = (pipe().unwrap(), pipe().unwrap());
    drop(to);
    let reactor = Reactor::new().unwrap();
    let listener = Listener::default();
    let transport = reactor.connect_pipes(input, output, listener.clone()).unwrap();
    transport.pause_reading();
    until(&reactor, "the end", || listener.notes.has("read closed"));
}

#[test]
fn the_end_of_a_socket_or_a_threads_input_is_noticed_while_reading_is_paused() {
    for (kind, make) in [KINDS[1], KINDS[3]] {
        let reactor = Reactor::new().unwrap();
        let Between { input, output, to, from } = make();
        let listener = Listener::default();
        let transport = reactor.connect_pipes(input, output, listener.clone()).unwrap();
        transport.pause_reading();
        kit::turn(&reactor);
        assert_eq!(listener.notes.count("read closed"), 0, "{kind}");
        drop((to, from));
        until(&reactor, kind, || listener.notes.has("read closed"));
    }
}

#[test]
fn packets_stay_packets_when_they_are_written() {
    let (from, output) = pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC).unwrap();
    let (input, _to) = pipe().unwrap();
    let reactor = Reactor::new().unwrap();
    let transport = reactor.connect_pipes(input, output, Listener::default()).unwrap();
    for _ in 0..2 {
        transport.write(b"one");
        kit::turn(&reactor);
    }
    let mut packet = [0; 100];
    assert_eq!(rustix::io::read(&from, &mut packet).unwrap(), 3);
}

#[test]
fn a_connection_over_pipes_leaves_no_descriptor_behind() {
    kit::alone_and_well("waiting::a_connection_over_pipes_leaves_no_descriptor_behind", || {
        let other = Reactor::new().unwrap();
        let before = kit::descriptors();
        let reactor = Reactor::new().unwrap();
        for (_, make) in KINDS {
            let Between { input, output, to, from } = make();
            let transport = reactor.connect_pipes(input, output, Listener::default()).unwrap();
            transport.abort_connection();
            kit::turn(&reactor);
            drop((to, from));
        }
        drop(reactor);
        // A thread ends a little after its connection.
        until(&other, "all are closed", || kit::descriptors() == before);
    });
}

/// The master of a terminal cannot be opened again: a thread writes to it.
#[test]
fn a_run_waits_for_what_a_thread_has_to_write_to_standard_output() {
    const NAME: &str = "waiting::a_run_waits_for_what_a_thread_has_to_write_to_standard_output";
    const MUCH: usize = 300_000;
    kit::alone_and_well(NAME, || {
        let (ours, theirs) = a_terminal();
        let (input, _to) = pipe().unwrap();
        rustix::stdio::dup2_stdin(&input).unwrap();
        rustix::stdio::dup2_stdout(&ours).unwrap();
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (mut terminal, mut buffer) = (File::from(theirs), [0; 1000]);
            while let Ok(count) = terminal.read(&mut buffer) {
                told.send(count).unwrap();
            }
        });
        let reactor = Reactor::new().unwrap();
        let transport = reactor.connect_stdio(Listener::default()).unwrap();
        reactor
            .run_until(async {
                transport.write(vec![b'x'; MUCH]);
                // What is left then has left the connection.
                transport.drained().await
            })
            .unwrap();
        drop(reactor);
        let mut all = 0;
        while all < MUCH {
            all += heard.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        }
    });
}
