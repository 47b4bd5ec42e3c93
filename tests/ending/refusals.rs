//! What a handle says once its reactor is gone; and that it keeps no descriptor.

use super::kit::{Notes, alone_and_well, census, descriptors, until};
use futures_util::FutureExt;
use ropewalk::clock::Clock;
use ropewalk::net::{DatagramProtocol, DatagramTransport};
use ropewalk::ported::{ClientFactory, Connector};
use ropewalk::reactor::{Phase, ReactorGone, ReadDescriptor};
use ropewalk::{
    Address, ClientEndpoint, Deferred, Failure, Protocol, Reactor, Result, ServerEndpoint,
    Transport, UnixName, react,
};
use std::cell::Cell;
use std::future::pending;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

struct Quiet;

impl Protocol for Quiet {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

impl DatagramProtocol for Quiet {
    fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

struct Ear(UnixStream, #[expect(dead_code, reason = "captured")] Option<Reactor>);

impl ReadDescriptor for Ear {
    fn fileno(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn do_read(&mut self) -> Result {
        Ok(())
    }
}

fn gone() -> Reactor {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.clone();
    drop(reactor);
    handle
}

#[track_caller]
fn is_gone<T>(outcome: Result<T>) -> bool {
    outcome.err().is_some_and(|failure| failure.is::<ReactorGone>())
}

#[track_caller]
fn has_gone<T>(deferred: Deferred<T>) -> bool {
    is_gone(deferred.now_or_never().expect("it is known at once"))
}

#[test]
fn what_gives_a_result_says_that_the_reactor_is_gone() {
    let reactor = gone();
    assert!(is_gone(reactor.run()));
    assert!(is_gone(reactor.run_until(async { Ok(()) })));
    assert!(is_gone(reactor.turn(Some(Duration::ZERO))));
    assert!(is_gone(reactor.stop()));
    assert!(is_gone(reactor.listen("127.0.0.1:0", |_: &Address| Quiet)));
    assert!(is_gone(reactor.serve("127.0.0.1:0", async |_| Ok(()))));
    let path = std::env::temp_dir().join("ropewalk-never-made");
    assert!(is_gone(reactor.serve(ServerEndpoint::unix(&path), async |_| Ok(()))));
    assert!(!path.exists());
    assert!(is_gone(reactor.listen_udp("127.0.0.1:0", Quiet)));
    assert!(is_gone(reactor.bind_udp("127.0.0.1:0")));
    assert!(is_gone(reactor.listen_unix_datagram(Address::Unix(UnixName::Unnamed), Quiet)));
    let (ear, mouth) = UnixStream::pair().unwrap();
    assert!(is_gone(reactor.add_reader(Ear(ear, None))));
    let (input, output) = std::io::pipe().unwrap();
    assert!(is_gone(reactor.connect_pipes(input, output, Quiet)));
    assert!(is_gone(reactor.open_stdio()));
    let remote = reactor.remote();
    assert_eq!(remote.call_from_thread(|_| ()), Err(ReactorGone));
    drop(mouth);
    let asked = std::thread::spawn(move || remote.blocking_call_from_thread(|_| Ok(())));
    assert!(is_gone(asked.join().unwrap()));
}

#[test]
fn what_gives_a_deferred_fails_because_the_reactor_is_gone() {
    let reactor = gone();
    assert!(has_gone(reactor.spawn(async { Ok(()) })));
    assert!(has_gone(reactor.open("127.0.0.1:1")));
    assert!(has_gone(reactor.open("a.name.test:1")));
    assert!(has_gone(reactor.open(ClientEndpoint::unix("/nowhere"))));
    assert!(has_gone(reactor.connect("127.0.0.1:1", |_: &Address| Quiet).map(|_| ())));
    assert!(has_gone(reactor.defer_to_thread(|| Ok(7))));
    let (trigger, deferred) = Deferred::<u8>::new();
    let sendable = reactor.sendable(trigger);
    assert!(has_gone(deferred));
    assert!(std::thread::spawn(move || sendable.callback(1)).join().unwrap().is_ok());
}

#[cfg(feature = "process")]
#[test]
fn no_child_is_started_once_the_reactor_is_gone() {
    let reactor = gone();
    assert!(has_gone(reactor.open_process("true").map(|_| ())));
    assert!(has_gone(reactor.process_output("true")));
}

#[cfg(feature = "signals")]
#[test]
fn no_signal_is_watched_once_the_reactor_is_gone() {
    use ropewalk::reactor::Signal;
    let reactor = gone();
    assert!(is_gone(reactor.on_signal(Signal::Usr1, || ())));
    assert!(has_gone(reactor.signal(Signal::Usr1)));
}

#[test]
fn what_gives_neither_drops_what_it_was_given_and_does_nothing() {
    let (reactor, given) = (gone(), Rc::new(()));
    let kept = || given.clone();
    let (a, b, c, d) = (kept(), kept(), kept(), kept());
    let call = reactor.call_later(Duration::ZERO, move || drop(a));
    assert!(call.cancel().is_err());
    Clock::call_later(&reactor, Duration::ZERO, Box::new(move || drop(b)));
    assert!(!reactor.on_shutdown(move || drop(c)).remove());
    reactor.call_when_running(move || drop(d));
    let (e, f) = (kept(), kept());
    reactor
        .add_system_event_trigger(Phase::After, ropewalk::reactor::Event::Startup, move || drop(e));
    reactor.install_name_resolver(move |_: &str, _: u16| {
        let _f = &f;
        ropewalk::succeed(Vec::new())
    });
    assert_eq!(Rc::strong_count(&given), 1);
    assert!(reactor.delayed_calls().is_empty() && !reactor.is_running());
    assert!(reactor.sleep(Duration::ZERO).now_or_never().is_none());
    reactor.suggest_thread_pool_size(3);
    assert!(reactor.now() <= std::time::Instant::now());
    assert_eq!(census(&reactor), (0, 0));
}

/// Connects again at once, whatever happens.
struct Persistent(Notes);

impl ClientFactory for Persistent {
    type Protocol = Quiet;

    fn build_protocol(&mut self, _: &Address) -> Option<Quiet> {
        Some(Quiet)
    }

    fn client_connection_lost(&mut self, connector: &Connector, _: &Failure) {
        self.0.add(if is_gone(connector.connect()) { "gone" } else { "again" });
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &Failure) {
        self.client_connection_lost(connector, reason);
    }
}

#[test]
fn a_client_that_connects_again_at_once_ends_with_its_reactor() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let port = reactor.serve("127.0.0.1:0", async |stream| {
        let _stream = stream;
        pending::<Result>().await
    });
    let connector = reactor.connect_tcp(port.unwrap().host(), Persistent(notes.clone()));
    let handle = reactor.clone();
    until(&reactor, "it is connected", || census(&reactor).0 == 3);
    drop(reactor);
    notes.expect(&["gone"]);
    assert!(is_gone(connector.connect()));
    let never = handle.connect_tcp("127.0.0.1:1", Persistent(notes.clone()));
    assert!(is_gone(never.connect()));
    notes.expect(&["gone"]);
}

#[test]
fn a_port_of_a_reactor_that_is_gone_is_closed_already() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.serve("127.0.0.1:0", async |_| Ok(())).unwrap();
    let udp = reactor.listen_udp("127.0.0.1:0", Quiet).unwrap();
    drop(reactor);
    port.stop_listening().now_or_never().unwrap().unwrap();
    udp.stop_listening().now_or_never().unwrap().unwrap();
}

/// What a reactor is given that captures a handle on it.
fn capture(reactor: &Reactor, notes: &Notes) {
    struct Counted(Notes);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.add("dropped");
        }
    }
    let kept = || (reactor.clone(), Counted(notes.clone()));
    let (a, b, c, d, e, f) = (kept(), kept(), kept(), kept(), kept(), kept());
    drop(reactor.spawn(async move {
        let _a = a;
        pending::<Result>().await
    }));
    reactor.call_later(Duration::from_secs(60), move || drop(b));
    reactor.on_shutdown(move || drop(c));
    let d = Rc::new(d);
    let port = reactor.serve("127.0.0.1:0", async move |_| Ok(drop(d.clone()))).unwrap();
    reactor
        .listen("127.0.0.1:0", move |_: &Address| {
            let _e = &e;
            Quiet
        })
        .unwrap();
    reactor.install_name_resolver(move |_: &str, _: u16| {
        let _f = &f;
        ropewalk::succeed(Vec::new())
    });
    let (ear, mouth) = UnixStream::pair().unwrap();
    reactor.add_reader(Ear(ear, Some(reactor.clone()))).unwrap();
    let opening = reactor.open(port.host());
    let handle = reactor.clone();
    drop(reactor.spawn(async move {
        let _stream = opening.await?;
        let _kept = (handle, mouth);
        pending::<Result>().await
    }));
}

const CAPTURED: usize = 6;

#[test]
fn fifty_reactors_whose_handles_were_captured_leave_no_descriptor_behind() {
    let name = "refusals::fifty_reactors_whose_handles_were_captured_leave_no_descriptor_behind";
    alone_and_well(name, || {
        type End = (&'static str, fn(&Notes));
        let ends: [End; 4] = [
            ("drop", |notes| capture(&Reactor::new().unwrap(), notes)),
            ("run", |notes| {
                let reactor = Reactor::new().unwrap();
                capture(&reactor, notes);
                let stopper = reactor.clone();
                reactor.call_when_running(move || stopper.stop());
                reactor.run().unwrap();
            }),
            ("run_until", |notes| {
                let reactor = Reactor::new().unwrap();
                capture(&reactor, notes);
                reactor.run_until(async { Ok(reactor.yield_now().await) }).unwrap();
            }),
            ("react", |notes| {
                let code = react(|reactor| {
                    capture(&reactor, notes);
                    async move { Ok(reactor.yield_now().await) }
                });
                assert_eq!(code, ExitCode::SUCCESS);
            }),
        ];
        for (what, end) in ends {
            end(&Notes::default());
            let (before, notes) = (descriptors(), Notes::default());
            (0..50).for_each(|_| end(&notes));
            assert_eq!(descriptors(), before, "{what}");
            assert_eq!(notes.len(), 50 * CAPTURED, "{what}");
        }
    });
}

#[test]
fn handles_that_are_kept_outside_keep_no_descriptor() {
    let name = "refusals::handles_that_are_kept_outside_keep_no_descriptor";
    alone_and_well(name, || {
        drop(Reactor::new().unwrap());
        let before = descriptors();
        let kept: Vec<_> = (0..50)
            .map(|_| {
                let reactor = Reactor::new().unwrap();
                capture(&reactor, &Notes::default());
                let port = reactor.serve("127.0.0.1:0", async |_| Ok(())).unwrap();
                let stream = reactor.run_until(reactor.open(port.host())).unwrap();
                let task = reactor.spawn(pending::<Result>());
                (reactor.clone(), reactor.remote(), port, stream.transport(), stream, task)
            })
            .collect();
        assert_eq!(descriptors(), before);
        let failures = Rc::new(Cell::new(0));
        for (.., task) in kept {
            let count = failures.clone();
            drop(task.add_errback(move |failure: Failure| {
                count.set(count.get() + usize::from(failure.is::<ReactorGone>()));
            }));
        }
        assert_eq!(failures.get(), 50);
    });
}
