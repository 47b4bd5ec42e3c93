//! Running, stopping, starting again; timers; and what is left when a reactor is dropped.

use super::kit::{Face, Notes, Peer, Role, census, hear_reports, serve, turn, until};
use futures_util::AsyncReadExt;
use ropewalk::deferred::NeverFired;
use ropewalk::reactor::{
    Event, Phase, ReactorAlreadyRunning, ReactorGone, ReactorNotRunning, ReactorStopped,
};
use ropewalk::{Address, Deferred, Protocol, Reactor, Result, Transport};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

#[test]
fn a_reactor_that_does_not_run_cannot_be_stopped() {
    let reactor = Reactor::new().unwrap();
    assert!(reactor.stop().unwrap_err().is::<ReactorNotRunning>() && !reactor.is_running());
    let stopper = reactor.clone();
    reactor.call_when_running(move || {
        assert!(stopper.is_running());
        stopper.stop()?;
        stopper.stop()
    });
    reactor.run().unwrap();
    assert!(reactor.stop().unwrap_err().is::<ReactorNotRunning>() && !reactor.is_running());
}

#[test]
fn a_running_reactor_cannot_be_entered_again() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let (inner, log) = (reactor.clone(), notes.clone());
    reactor.call_later(Duration::ZERO, move || {
        let run = inner.run().unwrap_err();
        let turn = inner.turn(None).unwrap_err();
        let until = inner.run_until(async { Ok(()) }).unwrap_err();
        for failure in [run, turn, until] {
            assert!(failure.is::<ReactorAlreadyRunning>());
        }
        log.add("refused");
        inner.stop()
    });
    reactor.run().unwrap();
    notes.expect(&["refused"]);
}

#[test]
fn a_reactor_runs_again_after_it_was_stopped() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    for _ in 0..3 {
        let server = serve(Face::Stream, &reactor, Role::Echo);
        let mut peer = Peer::call(&server.port);
        peer.send(b"hello");
        let stopper = reactor.clone();
        let seen = server.seen.clone();
        fn look(reactor: Reactor, seen: Rc<RefCell<Vec<u8>>>) {
            if seen.borrow().len() == 5 {
                return reactor.stop().unwrap();
            }
            let again = reactor.clone();
            reactor.call_later(Duration::ZERO, move || look(again, seen));
        }
        reactor.call_when_running(move || look(stopper, seen));
        reactor.run().unwrap();
        assert_eq!(census(&reactor).0, 0, "ports and connections are lost at shutdown");
        turn(&reactor);
        assert_eq!(census(&reactor), (0, 0), "the handlers see it");
    }
    reports.expect(&[]);
}

#[test]
fn run_until_returns_the_result_and_leaves_the_rest_as_it_is() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let mut peer = Peer::call(&server.port);
    assert_eq!(reactor.run_until(async { Ok("result") }).unwrap(), "result");
    let failure = reactor.run_until(async { Err::<(), _>(NeverFired.into()) }).unwrap_err();
    assert!(failure.is::<NeverFired>());
    let failure = reactor
        .run_until(async {
            if true {
                panic!("on purpose")
            }
        })
        .unwrap_err();
    assert!(failure.is::<ropewalk::Panicked>());
    peer.send(b"alive");
    peer.until_heard(&reactor, b"alive");
}

#[test]
fn run_until_that_is_stopped_first_says_so_and_drops_the_future() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let (held, stopper) = (Rc::new(()), reactor.clone());
    let kept = held.clone();
    reactor.call_later(Duration::ZERO, move || stopper.stop());
    let outcome = reactor.run_until(async move {
        std::future::pending::<()>().await;
        drop(kept);
    });
    assert!(outcome.unwrap_err().is::<ReactorStopped>());
    assert_eq!((Rc::strong_count(&held), census(&reactor)), (1, (0, 0)));
    reports.expect(&[]);
}

#[test]
fn a_turn_without_anything_to_do_returns() {
    let reactor = Reactor::new().unwrap();
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert!(Reactor::current().is_none());
}

#[test]
fn one_reactor_runs_inside_another() {
    let (outer, inner) = (Reactor::new().unwrap(), Reactor::new().unwrap());
    let notes = Notes::default();
    let log = notes.clone();
    let task = outer.spawn(async move {
        let waking = Deferred::<&str>::new();
        let trigger = waking.0.clone();
        inner
            .call_later(Duration::ZERO, move || Ok(trigger.callback("woken from the inner loop")?));
        log.add(inner.run_until(waking.1)?);
        log.add(Reactor::current().is_some());
        Ok(())
    });
    outer.run_until(task).unwrap();
    notes.expect(&["woken from the inner loop", "true"]);
}

#[test]
fn a_task_of_the_outer_reactor_is_woken_from_inside_the_inner_one() {
    let (outer, inner) = (Reactor::new().unwrap(), Reactor::new().unwrap());
    let (trigger, waiting) = Deferred::<u32>::new();
    let waiter = outer.spawn(async move { Ok(waiting.await? + 1) });
    drop(outer.spawn(async move { inner.run_until(async move { Ok(trigger.callback(6)?) }) }));
    assert_eq!(outer.run_until(waiter).unwrap(), 7);
}

// ---- triggers ----

#[test]
fn triggers_are_called_in_the_order_of_phases_and_then_of_addition() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    for event in [Event::Shutdown, Event::Startup] {
        for phase in [Phase::After, Phase::During, Phase::Before] {
            for number in 1..=2 {
                let log = notes.clone();
                let note = move || log.add(format!("{phase:?} {event:?} {number}"));
                reactor.add_system_event_trigger(phase, event, note);
            }
        }
    }
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    reactor.run().unwrap();
    notes.expect(&[
        "Before Startup 1",
        "Before Startup 2",
        "During Startup 1",
        "During Startup 2",
        "After Startup 1",
        "After Startup 2",
        "Before Shutdown 1",
        "Before Shutdown 2",
        "During Shutdown 1",
        "During Shutdown 2",
        "After Shutdown 1",
        "After Shutdown 2",
    ]);
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    reactor.run().unwrap();
    assert_eq!(notes.len(), 12, "each is called once");
}

#[test]
fn connections_are_lost_between_the_before_and_the_during_triggers() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let _peer = Peer::call(&server.port);
    until(&reactor, "accepted", || server.transports.borrow().len() == 1);
    for phase in [Phase::Before, Phase::During, Phase::After] {
        let (log, ends) = (notes.clone(), server.ends.clone());
        reactor.add_system_event_trigger(phase, Event::Shutdown, move || log.add(ends.len()));
    }
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    reactor.run().unwrap();
    notes.expect(&["0", "1", "1"]);
    assert!(server.ends.all()[0].contains("was lost"));
}

#[test]
fn a_shutdown_waits_for_what_the_before_triggers_return() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let mut peer = Peer::call(&server.port);
    let (trigger, waited) = Deferred::<()>::new();
    reactor.on_shutdown(move || waited);
    let (log, clock) = (notes.clone(), reactor.clone());
    reactor.on_shutdown(move || {
        log.add("both are called before either is waited for");
        // Connections are served as ever meanwhile.
        peer.send(b"last orders");
        let ping = clock.clone();
        ping.spawn(async move {
            while peer.hear() != b"last orders" {
                clock.yield_now().await;
            }
            log.add("served");
            Ok(trigger.callback(())?)
        })
    });
    let log = notes.clone();
    reactor.add_system_event_trigger(Phase::During, Event::Shutdown, move || log.add("during"));
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    reactor.run().unwrap();
    notes.expect(&["both are called before either is waited for", "served", "during"]);
}

#[test]
fn a_trigger_that_fails_or_panics_is_said_once_and_delays_nothing() {
    let (reactor, reports, notes) = (Reactor::new().unwrap(), hear_reports(), Notes::default());
    reactor.on_shutdown(|| Err(NeverFired.into()));
    reactor.on_shutdown(|| {
        if true {
            panic!("on purpose")
        }
    });
    reactor.on_shutdown(|| ropewalk::fail(std::fmt::Error));
    let log = notes.clone();
    reactor.on_shutdown(move || log.add("called"));
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    reactor.run().unwrap();
    notes.expect(&["called"]);
    assert!(reports.has("system event trigger: ") && reports.has("unhandled failure in Deferred"));
    assert_eq!(
        reports.len(),
        2,
        "a chain that nobody could fire says nothing: {:?}",
        reports.all()
    );
}

#[test]
fn a_trigger_that_was_removed_is_not_called_and_is_dropped_at_once() {
    let (reactor, held) = (Reactor::new().unwrap(), Rc::new(()));
    let kept = held.clone();
    let trigger = reactor.on_shutdown(move || drop(kept));
    assert!(trigger.remove() && Rc::strong_count(&held) == 1);
    assert!(!trigger.remove());
}

// ---- timers ----

#[test]
fn timers_below_a_millisecond_run_in_order_of_deadline_and_then_of_call() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    for micros in [900, 300, 100, 300, 200, 0, 900] {
        let log = notes.clone();
        reactor.call_later(Duration::from_micros(micros), move || log.add(micros));
    }
    until(&reactor, "all are called", || notes.len() == 7);
    notes.expect(&["0", "100", "200", "300", "300", "900", "900"]);
}

#[test]
fn a_call_set_to_nothing_inside_a_timer_waits_for_the_next_turn() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let (clock, log) = (reactor.clone(), notes.clone());
    reactor.call_later(Duration::ZERO, move || {
        log.add("first");
        clock.call_later(Duration::ZERO, move || log.add("second"));
    });
    reactor.turn(Some(Duration::ZERO)).unwrap();
    notes.expect(&["first"]);
    reactor.turn(Some(Duration::ZERO)).unwrap();
    notes.expect(&["first", "second"]);
}

#[test]
fn a_timer_that_panics_or_fails_is_said_once_and_the_others_run() {
    let (reactor, reports, notes) = (Reactor::new().unwrap(), hear_reports(), Notes::default());
    reactor.call_later(Duration::ZERO, || {
        if true {
            panic!("on purpose")
        }
    });
    reactor.call_later(Duration::ZERO, || Err::<(), _>(std::fmt::Error.into()));
    let log = notes.clone();
    reactor.call_later(Duration::ZERO, move || log.add("called"));
    turn(&reactor);
    notes.expect(&["called"]);
    assert_eq!(reports.len(), 2, "{:?}", reports.all());
}

// ---- the end of a reactor ----

struct Held {
    _counted: Rc<()>,
}

impl Protocol for Held {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// A reactor with one of everything, each holding the counter.
fn full() -> (Reactor, Rc<()>, Peer, Peer) {
    let (reactor, held) = (Reactor::new().unwrap(), Rc::new(()));
    let kept = held.clone();
    let push =
        reactor.listen("127.0.0.1:0", move |_: &Address| Held { _counted: kept.clone() }).unwrap();
    let kept = held.clone();
    let pull = reactor
        .serve("127.0.0.1:0", async move |mut stream| {
            let kept = kept.clone();
            stream.read_to_end(&mut Vec::new()).await?;
            drop(kept);
            Ok(())
        })
        .unwrap();
    let (one, other) = (Peer::call(&push), Peer::call(&pull));
    let kept = held.clone();
    reactor.call_later(Duration::from_secs(3600), move || drop(kept));
    let kept = held.clone();
    let nap = reactor.sleep(Duration::from_secs(3600));
    drop(reactor.spawn(async move {
        nap.await;
        drop(kept);
    }));
    let kept = held.clone();
    reactor.on_shutdown(move || drop(kept));
    let kept = held.clone();
    drop(reactor.connect(push.host(), move |_: &Address| Held { _counted: kept.clone() }));
    drop(reactor.open(push.host()));
    until(&reactor, "all is there", || census(&reactor).0 >= 5);
    turn(&reactor);
    let remote = reactor.remote();
    // What waits in the mailbox is Send: a guest of its own stands for it.
    remote.call_from_thread(|_| ()).unwrap();
    (reactor, held, one, other)
}

#[test]
fn a_dropped_reactor_drops_everything_that_it_held() {
    let (reactor, held, mut one, mut other) = full();
    let remote = reactor.remote();
    assert!(Rc::strong_count(&held) > 5);
    drop(reactor);
    assert_eq!(Rc::strong_count(&held), 1);
    for peer in [&mut one, &mut other] {
        peer.hear();
        assert!(peer.end.is_some(), "its connection is closed");
    }
    assert_eq!(remote.call_from_thread(|_| ()), Err(ReactorGone));
}

#[test]
fn a_transport_and_a_stream_outlive_their_reactor_harmlessly() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let _peer = Peer::call(&server.port);
    let mut stream = reactor.run_until(reactor.open(server.port.host())).unwrap();
    until(&reactor, "accepted", || server.transports.borrow().len() == 2);
    let transport = server.transports.borrow()[0].clone();
    drop(reactor);
    assert_eq!(server.ends.count("lost: "), 2);
    transport.write(b"nobody");
    transport.lose_connection();
    assert!(!transport.is_connected());
    drop(transport.reactor());
    let waker = futures_util::task::noop_waker();
    let mut context = std::task::Context::from_waker(&waker);
    let mut bytes = [0; 4];
    let read = std::pin::pin!(stream.read(&mut bytes)).poll(&mut context);
    assert!(matches!(read, std::task::Poll::Ready(Err(_))), "{read:?}");
    drop(server.port.stop_listening());
}

/// Runs a closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_panic_in_a_drop_keeps_nothing_else_alive_when_a_reactor_is_dropped() {
    let (reactor, held, _one, _other) = full();
    let reports = hear_reports();
    let bomb = || OnDrop(|| assert!(std::thread::panicking(), "in a drop"));
    let guest = bomb();
    reactor.call_later(Duration::from_secs(3600), move || drop(guest));
    let guest = bomb();
    drop(reactor.spawn(async move {
        std::future::pending::<()>().await;
        drop(guest);
    }));
    let guest = bomb();
    reactor.on_shutdown(move || drop(guest));
    let guest = bomb();
    reactor
        .listen("127.0.0.1:0", move |_: &Address| {
            let _ = &guest;
            Held { _counted: Rc::default() }
        })
        .unwrap();
    reactor
        .remote()
        .call_from_thread({
            struct SendBomb;
            impl Drop for SendBomb {
                fn drop(&mut self) {
                    assert!(std::thread::panicking(), "in a drop");
                }
            }
            let guest = SendBomb;
            move |_| drop(guest)
        })
        .unwrap();
    drop(reactor);
    assert_eq!(Rc::strong_count(&held), 1);
    assert_eq!(reports.len(), 5, "{:?}", reports.all());
}

#[test]
fn what_is_begun_while_a_reactor_is_dropped_goes_with_it() {
    struct Restless(Rc<()>, Rc<RefCell<Option<Transport>>>);
    impl Protocol for Restless {
        fn connection_made(&mut self, transport: &Transport) {
            self.1.replace(Some(transport.clone()));
        }
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
        fn connection_lost(&mut self, _: &ropewalk::Failure) {
            let reactor = self.1.take().unwrap().reactor();
            let kept = self.0.clone();
            let port =
                reactor.listen("127.0.0.1:0", move |_: &Address| Held { _counted: kept.clone() });
            let kept = self.0.clone();
            reactor.call_later(Duration::ZERO, move || drop(kept));
            let kept = self.0.clone();
            let (again, port) = (reactor.clone(), port.unwrap());
            let guest = OnDrop(move || {
                let kept = kept.clone();
                again.call_later(Duration::ZERO, move || drop(kept));
                drop(again.open(port.host()));
            });
            drop(reactor.spawn(async move {
                std::future::pending::<()>().await;
                drop(guest);
            }));
        }
    }
    let (reactor, held) = (Reactor::new().unwrap(), Rc::new(()));
    let kept = held.clone();
    let factory = move |_: &Address| Restless(kept.clone(), Rc::default());
    let port = reactor.listen("127.0.0.1:0", factory).unwrap();
    let _peer = Peer::call(&port);
    until(&reactor, "accepted", || census(&reactor).0 == 2);
    drop((port, reactor));
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn a_port_that_was_told_to_stop_still_tells_its_factory_when_the_reactor_goes_first() {
    struct Told(Rc<Cell<usize>>);
    impl ropewalk::Factory for Told {
        type Protocol = Held;
        fn build_protocol(&mut self, _: &Address) -> Option<Held> {
            None
        }
        fn stopped(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let (reactor, stopped) = (Reactor::new().unwrap(), Rc::new(Cell::new(0)));
    let port = reactor.listen("127.0.0.1:0", Told(stopped.clone())).unwrap();
    drop(port.stop_listening());
    drop((port, reactor));
    assert_eq!(stopped.get(), 1);
}
