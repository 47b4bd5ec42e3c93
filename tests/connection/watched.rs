//! Foreign descriptors: level-triggered, both ways, files too.

use super::kit::{Notes, alone_and_well, census, descriptors, hear_reports, turn, until};
use ropewalk::reactor::{Descriptor, ReadDescriptor, WriteDescriptor};
use ropewalk::transport::ConnectionDone;
use ropewalk::{Failure, Reactor, Result};
use std::cell::RefCell;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

type Act = Box<dyn FnMut(&mut dyn Read) -> Result>;

/// A reader that does what the test wants.
struct Ear<S> {
    source: S,
    act: Act,
    notes: Notes,
}

impl<S: AsFd + Read> ReadDescriptor for Ear<S> {
    fn fileno(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    fn do_read(&mut self) -> Result {
        (self.act)(&mut self.source)
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.notes.add(format!("lost: {reason}"));
    }
}

fn ear<S>(source: S, notes: &Notes, act: impl FnMut(&mut dyn Read) -> Result + 'static) -> Ear<S> {
    Ear { source, act: Box::new(act), notes: notes.clone() }
}

fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near, far)
}

#[test]
fn a_reader_that_leaves_something_is_called_again() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let (near, mut far) = pair();
    let (log, _kept) = (notes.clone(), near.try_clone().unwrap());
    let reader = ear(near, &notes, move |source| {
        let mut byte = [0];
        source.read_exact(&mut byte)?;
        log.add(byte[0] as char);
        Ok(())
    });
    let watch = reactor.add_reader(reader).unwrap();
    turn(&reactor);
    notes.expect(&[]);
    far.write_all(b"abc").unwrap();
    until(&reactor, "each byte is read", || notes.len() == 3);
    turn(&reactor);
    notes.expect(&["a", "b", "c"]);
    watch.remove();
    far.write_all(b"d").unwrap();
    turn(&reactor);
    notes.expect(&["a", "b", "c"]);
    assert_eq!(census(&reactor), (0, 0));
}

#[test]
fn a_reader_that_ends_is_told_once_and_last() {
    let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
    let (near, mut far) = pair();
    let log = notes.clone();
    let reader = ear(near, &notes, move |source| {
        let mut all = Vec::new();
        match source.read_to_end(&mut all) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => log.add(all.len()),
            outcome => {
                outcome?;
                return Err(ConnectionDone.into());
            }
        }
        Ok(())
    });
    reactor.add_reader(reader).unwrap();
    far.write_all(b"bytes").unwrap();
    until(&reactor, "they are read", || notes.len() == 1);
    drop(far);
    until(&reactor, "it ends", || notes.len() == 2);
    turn(&reactor);
    notes.expect(&["5", "lost: the connection was closed in order"]);
    assert_eq!(census(&reactor), (0, 0));
    reports.expect(&[]);
}

#[test]
fn a_panic_in_a_reader_ends_it_and_is_said_once() {
    let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
    let (near, mut far) = pair();
    reactor.add_reader(ear(near, &notes, |_| panic!("on purpose"))).unwrap();
    far.write_all(b"x").unwrap();
    until(&reactor, "it ends", || notes.len() == 1);
    turn(&reactor);
    assert_eq!((notes.len(), reports.len(), census(&reactor)), (1, 1, (0, 0)));
}

struct Mouth {
    sink: UnixStream,
    left: usize,
    notes: Notes,
}

impl WriteDescriptor for Mouth {
    fn fileno(&self) -> BorrowedFd<'_> {
        self.sink.as_fd()
    }

    fn do_write(&mut self) -> Result {
        if self.left == 0 {
            return Err(ConnectionDone.into());
        }
        self.left -= self.sink.write(&vec![7; self.left.min(10_000)])?;
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.notes.add(format!("written: {reason}"));
    }
}

#[test]
fn one_descriptor_is_read_and_written_at_once() {
    const MUCH: usize = 1_000_000;
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let (near, mut far) = pair();
    let log = notes.clone();
    let reader = ear(near.try_clone().unwrap(), &notes, move |source| {
        let mut piece = [0; 64];
        log.add(format!("read {}", source.read(&mut piece)?));
        Ok(())
    });
    reactor.add_reader(reader).unwrap();
    reactor.add_writer(Mouth { sink: near, left: MUCH, notes: notes.clone() }).unwrap();
    turn(&reactor);
    far.write_all(b"hello").unwrap();
    let (mut got, mut piece) = (0, vec![0; 65536]);
    until(&reactor, "all of it", || {
        while let Ok(count) = far.read(&mut piece) {
            got += count;
            assert!(piece[..count].iter().all(|&byte| byte == 7));
        }
        notes.len() == 2 && got == MUCH
    });
    assert!(notes.has("read 5") && notes.has("written: the connection was closed in order"));
    assert_eq!(census(&reactor), (1, 0), "the reader stays");
}

#[test]
fn an_ordinary_file_is_always_ready() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let size = file.metadata().unwrap().len() as usize;
    let (log, mut got) = (notes.clone(), 0);
    let reader = ear(file, &notes, move |source| {
        let mut piece = [0; 100];
        let count = source.read(&mut piece)?;
        got += count;
        if count == 0 {
            log.add(format!("{got} bytes"));
            return Err(ConnectionDone.into());
        }
        Ok(())
    });
    reactor.add_reader(reader).unwrap();
    until(&reactor, "it is read", || notes.len() == 2);
    notes.expect(&[&format!("{size} bytes"), "lost: the connection was closed in order"]);
    assert_eq!(census(&reactor), (0, 0));
}

#[test]
fn a_file_that_is_always_ready_starves_nobody_and_can_be_removed() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let file = File::open("/dev/null").unwrap();
    let log = notes.clone();
    let reader = ear(file, &notes, move |_| {
        log.add("ready");
        Ok(())
    });
    let watch = reactor.add_reader(reader).unwrap();
    reactor.run_until(reactor.spawn(async { Ok(()) })).unwrap();
    turn(&reactor);
    assert!(notes.len() >= 4);
    watch.remove();
    let before = notes.len();
    turn(&reactor);
    assert_eq!((notes.len(), census(&reactor)), (before, (0, 0)));
}

#[test]
fn a_reader_removes_itself_and_adds_another_from_inside_its_call() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let (near, mut far) = pair();
    let (watch, log) = (Rc::new(RefCell::new(None::<Descriptor>)), notes.clone());
    let (own, again, second) = (watch.clone(), reactor.clone(), near.try_clone().unwrap());
    let mut second = Some(second);
    let reader = ear(near, &notes, move |_| {
        log.add("first");
        own.take().expect("once").remove();
        let log = log.clone();
        let next = ear(second.take().expect("once"), &Notes::default(), move |source| {
            source.read_exact(&mut [0])?;
            log.add("second");
            Ok(())
        });
        again.add_reader(next)?;
        Ok(())
    });
    watch.replace(Some(reactor.add_reader(reader).unwrap()));
    far.write_all(b"x").unwrap();
    until(&reactor, "the second reads", || notes.len() == 2);
    turn(&reactor);
    notes.expect(&["first", "second"]);
    assert_eq!(census(&reactor), (1, 0));
}

#[test]
fn a_reader_is_lost_when_the_reactor_stops() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let (near, _far) = pair();
    reactor.add_reader(ear(near, &notes, |_| Ok(()))).unwrap();
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    reactor.run().unwrap();
    notes.expect(&["lost: the reactor was stopped"]);
    assert_eq!(census(&reactor), (0, 0));
}

#[cfg(target_os = "linux")]
#[test]
fn watching_and_running_leave_no_descriptor_behind() {
    alone_and_well("watched::watching_and_running_leave_no_descriptor_behind", || {
        let mut before = 0;
        for round in 0..20 {
            let reactor = Reactor::new().unwrap();
            let (near, mut far) = pair();
            let notes = Notes::default();
            let stopper = reactor.clone();
            let reader = ear(near, &notes, move |source| {
                source.read_exact(&mut [0])?;
                stopper.stop()
            });
            reactor.add_reader(reader).unwrap();
            far.write_all(b"x").unwrap();
            reactor.run().unwrap();
            drop((reactor, far));
            // The first run leaves what a process needs once.
            if round == 0 {
                before = descriptors();
            }
        }
        assert_eq!(descriptors(), before);
    });
}
