//! Child processes: real ones, in both faces.

#![cfg(feature = "process")]
#![allow(clippy::unwrap_used)] // A test that finds no value shall fail.

#[path = "../kit/mod.rs"]
mod kit;
#[cfg(target_os = "linux")]
mod status;
mod terminal;

use futures_util::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use ropewalk::deferred::Cancelled;
use ropewalk::process::{
    ChildDescriptor, Process, ProcessDone, ProcessExitedAlready, ProcessOptions, ProcessProtocol,
    ProcessStreams, ProcessTerminated, SpawnError,
};
use ropewalk::reactor::Signal;
use ropewalk::{Failure, Reactor, Result, on_report};
use std::cell::RefCell;
use std::fs::File;
use std::io::{ErrorKind, Read, pipe};
use std::rc::Rc;

/// What a protocol was told, in order; bytes of one descriptor in a row are one entry.
#[derive(Clone, Default)]
struct Told {
    events: Rc<RefCell<Vec<String>>>,
    reason: Rc<RefCell<Option<Failure>>>,
}

impl Told {
    fn note(&self, event: impl Into<String>) {
        self.events.borrow_mut().push(event.into());
    }

    fn heard(&self, descriptor: i32) -> String {
        let prefix = format!("{descriptor}: ");
        let events = self.events.borrow();
        events.iter().filter_map(|event| event.strip_prefix(&prefix)).collect()
    }

    fn reason(&self) -> Failure {
        self.reason.borrow().clone().unwrap()
    }

    fn position(&self, wanted: &str) -> usize {
        self.events.borrow().iter().position(|event| event == wanted).unwrap()
    }
}

/// Keeps what it is told, and stops the reactor at the end.
struct Listener(Reactor, Told);

impl ProcessProtocol for Listener {
    fn connection_made(&mut self, _: &Process) {
        self.1.note("made");
    }

    fn child_data_received(&mut self, _: &Process, descriptor: i32, data: &[u8]) -> Result {
        self.1.note(format!("{descriptor}: {}", String::from_utf8_lossy(data)));
        Ok(())
    }

    fn child_connection_lost(&mut self, _: &Process, descriptor: i32) {
        self.1.note(format!("lost {descriptor}"));
    }

    fn process_exited(&mut self, _: &Failure) {
        self.1.note("exited");
    }

    fn process_ended(&mut self, reason: &Failure) {
        self.1.note("ended");
        self.1.reason.replace(Some(reason.clone()));
        let _ = self.0.stop();
    }
}

fn sh(script: &str) -> ProcessOptions {
    ProcessOptions::new("sh").args(["-c", script])
}

/// Starts a child before the reactor runs.
fn start(reactor: &Reactor, options: ProcessOptions) -> (Process, Told) {
    let told = Told::default();
    let listener = Listener(reactor.clone(), told.clone());
    let process = RefCell::new(None);
    let process = Rc::new(process);
    let slot = process.clone();
    drop(reactor.spawn_process(listener, options).map(move |started| slot.replace(Some(started))));
    (process.take().unwrap(), told)
}

fn run(options: ProcessOptions) -> Told {
    let reactor = Reactor::new().unwrap();
    let (_process, told) = start(&reactor, options);
    reactor.run().unwrap();
    told
}

#[test]
fn a_child_hears_what_is_written_and_is_heard_on_both_outputs() {
    let reactor = Reactor::new().unwrap();
    let (process, told) = start(&reactor, sh("cat; echo not well >&2; exit 3"));
    process.write(b"there ");
    process.write(b"and back");
    process.close_stdin();
    reactor.run().unwrap();
    assert_eq!((told.heard(1), told.heard(2)), ("there and back".into(), "not well\n".into()));
    let reason = told.reason();
    let reason = reason.check::<ProcessTerminated>().unwrap();
    assert_eq!((reason.exit_code(), reason.signal()), (Some(3), None));
    assert_eq!(process.status().unwrap().code(), Some(3));
}

#[test]
fn the_end_is_told_last_and_once_after_every_descriptor_and_the_exit() {
    let told = run(sh("echo done"));
    let events = told.events.borrow();
    assert_eq!(events[0], "made");
    assert_eq!(events.last().unwrap(), "ended");
    let count = |wanted: &str| events.iter().filter(|event| *event == wanted).count();
    for event in ["made", "lost 0", "lost 1", "lost 2", "exited", "ended"] {
        assert_eq!(count(event), 1, "{event} in {events:?}");
    }
    assert!(told.reason().is::<ProcessDone>());
}

#[test]
fn a_grandchild_that_holds_the_output_delays_the_end_and_not_the_exit() {
    let reactor = Reactor::new().unwrap();
    // The grandchild writes once it reads something, which comes after the exit.
    let (process, told) = start(
        &reactor,
        sh("{ read line; echo late; } <&3 &").descriptor(3, ChildDescriptor::Write),
    );
    while !told.events.borrow().iter().any(|event| event == "exited") {
        reactor.turn(None).unwrap();
    }
    assert!(told.reason.borrow().is_none());
    process.write_to_child(3, b"go on\n");
    while told.reason.borrow().is_none() {
        reactor.turn(None).unwrap();
    }
    assert!(told.position("exited") < told.position("1: late\n"));
}

#[test]
fn a_missing_program_or_directory_is_a_failure_that_names_it() {
    let reactor = Reactor::new().unwrap();
    let listener = Listener(reactor.clone(), Told::default());
    let failure = reactor.run_until(reactor.spawn_process(listener, "no-such-program"));
    let failure = failure.unwrap_err();
    assert_eq!(failure.check::<SpawnError>().unwrap().kind(), ErrorKind::NotFound);
    assert!(failure.to_string().starts_with("cannot start no-such-program: "), "{failure}");
    let lost = ProcessOptions::new("cat").current_dir("/no/such/place");
    let failure = reactor.run_until(reactor.process_output(lost)).unwrap_err();
    assert!(failure.to_string().starts_with("cannot start cat in /no/such/place: "), "{failure}");
    let failure = reactor.run_until(reactor.open_process("/etc/passwd")).unwrap_err();
    assert_eq!(failure.check::<SpawnError>().unwrap().kind(), ErrorKind::PermissionDenied);
    let other_user = ProcessOptions::new("no-such-program").uid(0).gid(0);
    let failure = reactor.run_until(reactor.process_value(other_user)).unwrap_err();
    assert!(failure.is::<SpawnError>(), "{failure}");
}

#[test]
fn a_child_that_nobody_could_start_and_nobody_asked_about_is_reported() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let sink = reports.clone();
    on_report(move |report| sink.borrow_mut().push(report.to_string()));
    let reactor = Reactor::new().unwrap();
    drop(reactor.process_value("no-such-program"));
    assert!(reports.borrow()[0].contains("cannot start no-such-program"), "{reports:?}");
}

#[test]
fn a_signal_ends_a_child_and_is_what_the_reason_says() {
    let reactor = Reactor::new().unwrap();
    let (process, told) = start(&reactor, ProcessOptions::new("cat"));
    process.signal(Signal::Term).unwrap();
    reactor.run().unwrap();
    let reason = told.reason();
    let reason = reason.check::<ProcessTerminated>().unwrap();
    assert_eq!((reason.exit_code(), reason.signal()), (None, Some(Signal::Term.number())));
    let again = process.signal(Signal::Term).unwrap_err();
    assert!(again.is::<ProcessExitedAlready>());
}

#[test]
fn any_descriptor_can_be_a_pipe_or_one_of_our_own() {
    let reactor = Reactor::new().unwrap();
    let (mut from, to) = pipe().unwrap();
    let script = "read line <&5; echo \"$line\" >&7; echo mine >&9";
    let options = sh(script)
        .descriptor(5, ChildDescriptor::Write)
        .descriptor(7, ChildDescriptor::Read)
        .descriptor(9, ChildDescriptor::Share(to.into()));
    let (process, told) = start(&reactor, options);
    process.write_to_child(5, b"by way of five\n");
    reactor.run().unwrap();
    assert_eq!(told.heard(7), "by way of five\n");
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    assert_eq!(text, "mine\n");
}

#[test]
fn a_child_that_closes_its_input_early_ends_well_all_the_same() {
    let reactor = Reactor::new().unwrap();
    let (process, told) = start(
        &reactor,
        sh("exec <&-; echo deaf; read line <&3").descriptor(3, ChildDescriptor::Write),
    );
    while !told.events.borrow().iter().any(|event| event == "lost 0") {
        reactor.turn(None).unwrap();
    }
    process.write([0; 100_000]);
    process.close_child(3);
    reactor.run().unwrap();
    assert!(told.heard(1).starts_with("deaf"));
}

#[test]
fn what_a_child_does_not_read_yet_waits_here() {
    let reactor = Reactor::new().unwrap();
    let (process, told) =
        start(&reactor, sh("read line <&3; cat | wc -c").descriptor(3, ChildDescriptor::Write));
    process.write(vec![b'x'; 3_000_000]);
    process.close_stdin();
    process.write_to_child(3, b"now\n");
    reactor.run().unwrap();
    assert_eq!(told.heard(1).trim(), "3000000");
}

#[test]
fn a_child_that_ends_with_its_standard_input_full_fails_the_write_and_is_heard_to_its_end() {
    let reactor = Reactor::new().unwrap();
    let opening = reactor.open_process(ProcessOptions::new("head").args(["-c", "10"]));
    let heard = reactor.run_until(reactor.spawn(async move {
        let mut child = opening.await?;
        let written = child.stdin.write_all(&vec![b'x'; 1_000_000]).await;
        let failed = match written {
            Ok(()) => child.stdin.flush().await,
            failed => failed,
        };
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut heard = [0; 10];
        child.stdout.read_exact(&mut heard).await?;
        assert!(child.wait().await?.success());
        Ok(heard)
    }));
    assert_eq!(&heard.unwrap(), b"xxxxxxxxxx");
}

#[test]
fn a_child_that_ends_with_its_standard_input_full_is_reported_as_any_other() {
    let reactor = Reactor::new().unwrap();
    for (script, is_closed) in [("exit 4", false), ("exit 4", true), ("read line; exit 4", true)] {
        let (process, told) = start(&reactor, sh(script));
        process.write("line\n");
        process.write(vec![b'x'; 1_000_000]);
        if is_closed {
            process.close_stdin();
        }
        kit::until(&reactor, "it is reported", || told.reason.borrow().is_some());
        let reason = told.reason();
        let reason = reason.check::<ProcessTerminated>().unwrap();
        assert_eq!(reason.exit_code(), Some(4), "{script}");
        assert!(told.position("lost 0") < told.position("ended"));
    }
}

#[test]
fn a_child_that_closes_its_full_standard_input_and_lives_on_is_noticed() {
    let reactor = Reactor::new().unwrap();
    let (process, told) =
        start(&reactor, sh("read line <&0; exec <&-; echo closed; exec sleep 60"));
    process.write("line\n");
    process.write(vec![b'x'; 1_000_000]);
    kit::until(&reactor, "it is told", || {
        told.events.borrow().iter().any(|event| event == "lost 0")
    });
    assert!(process.status().is_none());
    process.signal(Signal::Kill).unwrap();
    kit::until(&reactor, "it is reported", || told.reason.borrow().is_some());
}

#[test]
fn the_environment_and_the_directory_are_as_asked_for() {
    let reactor = Reactor::new().unwrap();
    let options = ProcessOptions::new("/bin/sh")
        .args(["-c", "echo $GREETING $HOME; pwd"])
        .env_clear()
        .env("GREETING", "hello")
        .current_dir("/");
    let output = reactor.run_until(reactor.process_output(options)).unwrap();
    assert_eq!(output, b"hello\n/\n");
}

#[test]
fn output_fails_with_the_status_and_the_last_words_of_a_child_that_failed() {
    let reactor = Reactor::new().unwrap();
    let output = reactor.process_output(sh("echo fine; echo oh no >&2; exit 2"));
    let failure = reactor.run_until(output).unwrap_err();
    assert_eq!(failure.check::<ProcessTerminated>().unwrap().exit_code(), Some(2));
    let text = failure.to_string();
    assert!(text.ends_with("ended with exit status: 2, saying: oh no"), "{text}");
    let warned = reactor.process_output(sh("echo fine; echo a warning >&2"));
    assert_eq!(reactor.run_until(warned).unwrap(), b"fine\n");
}

#[test]
fn the_value_of_a_child_that_a_signal_ended_is_a_failure() {
    let reactor = Reactor::new().unwrap();
    let value = reactor.process_value(sh("echo unheard; kill -9 $$"));
    let failure = reactor.run_until(value).unwrap_err();
    assert_eq!(failure.check::<ProcessTerminated>().unwrap().signal(), Some(9));
}

#[test]
fn output_and_value_give_everything_whatever_the_end() {
    let reactor = Reactor::new().unwrap();
    let all = reactor.process_output_and_value(sh("echo out; echo err >&2; exit 7"));
    let all = reactor.run_until(all).unwrap();
    assert_eq!((&all.stdout[..], &all.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(all.status.code(), Some(7));
}

#[test]
fn a_child_that_writes_more_than_may_be_collected_is_killed() {
    let reactor = Reactor::new().unwrap();
    let endless = sh("while :; do echo more; done").most_output(10_000);
    let failure = reactor.run_until(reactor.process_output(endless)).unwrap_err();
    assert!(failure.to_string().contains("more than may be collected"), "{failure}");
}

#[test]
fn cancelling_kills_the_child() {
    let reactor = Reactor::new().unwrap();
    let (reader, writer) = pipe().unwrap();
    // Nobody but the child holds the other end: it is closed when the child is gone.
    let options = sh("cat <&3").descriptor(3, ChildDescriptor::Write);
    let options = options.descriptor(4, ChildDescriptor::Share(writer.into()));
    let output = reactor.process_output(options);
    output.cancel();
    assert!(reactor.run_until(output).unwrap_err().is::<Cancelled>());
    let gone = reactor.defer_to_thread(move || Ok((&reader).read(&mut [0])?));
    assert_eq!(reactor.run_until(gone).unwrap(), 0);
}

#[test]
fn a_task_speaks_with_a_child_through_streams() {
    let reactor = Reactor::new().unwrap();
    let options = sh("cat; echo error >&2; echo three >&3; exit 4");
    let opening = reactor.open_process(options.descriptor(3, ChildDescriptor::Read));
    let heard = reactor.run_until(async move {
        let mut child = opening.await?;
        child.stdin.write_all(b"over and back").await?;
        child.stdin.close().await?;
        let mut heard = [const { String::new() }; 3];
        child.stdout.read_to_string(&mut heard[0]).await?;
        child.stderr.read_to_string(&mut heard[1]).await?;
        child.others.get_mut(&3).unwrap().read_to_string(&mut heard[2]).await?;
        let status = child.wait().await?;
        Ok((heard, status.code()))
    });
    let (heard, code) = heard.unwrap();
    assert_eq!(heard, ["over and back", "error\n", "three\n"]);
    assert_eq!(code, Some(4));
}

#[test]
fn streams_that_a_child_has_no_pipe_for_are_at_their_end() {
    let reactor = Reactor::new().unwrap();
    let mut options = sh("echo nobody hears; exit 5");
    for number in 0..3 {
        options = options.descriptor(number, ChildDescriptor::Null);
    }
    let opening = reactor.open_process(options);
    let (heard, written, code) = reactor
        .run_until(async move {
            let (mut child, mut heard) = (opening.await?, Vec::new());
            child.stdout.read_to_end(&mut heard).await?;
            child.stderr.read_to_end(&mut heard).await?;
            let written = match child.stdin.write_all(b"to nobody").await {
                Ok(()) => child.stdin.flush().await,
                failed => failed,
            };
            Ok((heard, written, child.wait().await?.code()))
        })
        .unwrap();
    assert_eq!(heard, b"");
    assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(code, Some(5));
}

#[test]
fn to_wait_for_a_childs_streams_ends_its_standard_input_and_to_wait_for_the_child_does_not() {
    let reactor = Reactor::new().unwrap();
    let opening = reactor.open_process("cat");
    reactor
        .run_until(async {
            let mut child = opening.await?;
            child.stdin.write_all(b"all there is").await?;
            let ended = child.process.wait();
            let mut heard = [0; 12];
            child.stdout.read_exact(&mut heard).await?;
            assert_eq!((&heard, child.process.status()), (b"all there is", None));
            assert!(child.wait().await?.success());
            assert!(ended.await?.success());
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_stream_of_a_child_that_is_dropped_is_closed_and_the_others_are_not() {
    let reactor = Reactor::new().unwrap();
    let script = "trap '' PIPE; while read line
        do echo \"$line\" && echo taken >&2 || echo refused >&2
        done; exit 6";
    let opening = reactor.open_process(sh(script));
    let code = reactor
        .run_until(async move {
            let ProcessStreams { mut stdin, stdout, mut stderr, process, .. } = opening.await?;
            drop(stdout);
            let mut heard = String::new();
            // A child that another test is starting this moment has the pipe open until it runs.
            while !heard.contains("refused") {
                stdin.write_all(b"line\n").await?;
                heard.clear();
                while !heard.contains("refused") && !heard.contains("taken") {
                    stderr.read_line(&mut heard).await?;
                }
            }
            drop(stdin);
            Ok(process.wait().await?.code())
        })
        .unwrap();
    assert_eq!(code, Some(6));
}

#[test]
fn a_protocol_that_fails_loses_that_descriptor_and_hears_the_end() {
    struct Picky(Reactor, Told);
    impl ProcessProtocol for Picky {
        fn out_received(&mut self, _: &Process, _: &[u8]) -> Result {
            Err(Failure::msg("not to my taste"))
        }
        fn err_received(&mut self, _: &Process, data: &[u8]) -> Result {
            self.1.note(format!("2: {}", String::from_utf8_lossy(data)));
            Ok(())
        }
        fn process_ended(&mut self, reason: &Failure) {
            self.1.reason.replace(Some(reason.clone()));
            let _ = self.0.stop();
        }
    }
    let reports = Rc::new(RefCell::new(Vec::new()));
    let sink = reports.clone();
    on_report(move |report| sink.borrow_mut().push(report.to_string()));
    let (reactor, told) = (Reactor::new().unwrap(), Told::default());
    let script = sh("echo out; echo err >&2");
    drop(reactor.spawn_process(Picky(reactor.clone(), told.clone()), script));
    reactor.run().unwrap();
    assert_eq!(told.heard(2), "err\n");
    assert_eq!(reports.borrow().len(), 1, "{reports:?}");
    assert!(reports.borrow()[0].contains("not to my taste"));
}

#[test]
fn a_reactor_that_stops_tells_of_the_end_of_children_that_go_on() {
    let reactor = Reactor::new().unwrap();
    let (process, told) = start(&reactor, sh("cat <&3").descriptor(3, ChildDescriptor::Write));
    let ended = process.wait();
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    reactor.run().unwrap();
    assert_eq!(told.events.borrow().last().unwrap(), "ended");
    assert!(!told.reason().is::<ProcessDone>());
    assert!(reactor.run_until(ended).is_err());
}

#[test]
fn a_thousand_children_leave_no_descriptor_behind() {
    let count = || std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    if count().is_err() {
        return println!("not tested: this system does not show a process' descriptors");
    }
    // Other tests of this process open and close descriptors meanwhile: far more would be left.
    let before = count().unwrap();
    let reactor = Reactor::new().unwrap();
    for _ in 0..100 {
        let batch: Vec<_> = (0..10).map(|_| reactor.process_value("true")).collect();
        let all = reactor.run_until(async move {
            for one in batch {
                assert_eq!(one.await?, 0);
            }
            Ok(())
        });
        all.unwrap();
    }
    let after = count().unwrap();
    assert!(after < before + 500, "{before} descriptors before, {after} after");
}

#[test]
fn a_file_can_be_a_childs_input() {
    let reactor = Reactor::new().unwrap();
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-MIT")).unwrap();
    let options = ProcessOptions::new("cat").descriptor(0, ChildDescriptor::Share(file.into()));
    let output = reactor.run_until(reactor.process_output(options)).unwrap();
    assert!(output.starts_with(b"MIT License"));
}
