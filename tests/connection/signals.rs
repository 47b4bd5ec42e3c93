//! SIGTERM: the first stops in order, the second at once, and without a loop it kills as ever.
#![cfg(all(target_os = "linux", feature = "signals"))]

use super::kit::{Face, Notes, Peer, Role, alone, alone_and_well, serve};
use ropewalk::reactor::{Event, Phase, ReactorStopped};
use ropewalk::{Deferred, Reactor};
use rustix::process::{Signal, getpid, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

fn terminate() {
    kill_process(getpid(), Signal::TERM).expect("this process exists");
}

#[test]
fn a_signal_stops_a_running_reactor_in_order() {
    alone_and_well("signals::a_signal_stops_a_running_reactor_in_order", || {
        let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
        let server = serve(Face::Protocol, &reactor, Role::Echo);
        let _peer = Peer::call(&server.port);
        for phase in [Phase::Before, Phase::During, Phase::After] {
            let log = notes.clone();
            reactor.add_system_event_trigger(phase, Event::Shutdown, move || {
                log.add(format!("{phase:?}"));
            });
        }
        reactor.call_later(Duration::ZERO, terminate);
        reactor.run().expect("stopped in order");
        notes.expect(&["Before", "During", "After"]);
        server.ends.expect(&[&server.ends.all()[0]]);

        // And it runs again, and is stopped again.
        reactor.call_later(Duration::ZERO, terminate);
        reactor.run().expect("stopped in order");

        reactor.call_later(Duration::ZERO, terminate);
        let outcome = reactor.run_until(std::future::pending::<()>());
        assert!(outcome.unwrap_err().is::<ReactorStopped>());
    });
}

#[test]
fn a_second_signal_waits_for_nobody() {
    alone_and_well("signals::a_second_signal_waits_for_nobody", || {
        let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
        let (_never, waits) = Deferred::<()>::new();
        let (clock, log) = (reactor.clone(), notes.clone());
        reactor.on_shutdown(move || {
            log.add("before");
            clock.call_later(Duration::ZERO, terminate);
            waits
        });
        let log = notes.clone();
        reactor.add_system_event_trigger(Phase::After, Event::Shutdown, move || log.add("after"));
        reactor.call_later(Duration::ZERO, terminate);
        reactor.run().expect("stopped now");
        notes.expect(&["before", "after"]);
    });
}

#[test]
fn a_signal_stops_every_reactor_of_the_process() {
    alone_and_well("signals::a_signal_stops_every_reactor_of_the_process", || {
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(3));
        let threads = [0, 1].map(|_| {
            let barrier = barrier.clone();
            std::thread::spawn(move || {
                let reactor = Reactor::new().unwrap();
                reactor.call_later(Duration::ZERO, move || {
                    barrier.wait();
                });
                reactor.run().is_ok()
            })
        });
        barrier.wait();
        terminate();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    });
}

#[test]
fn a_signal_ends_the_process_when_no_reactor_runs() {
    let body = || {
        let reactor = Reactor::new().unwrap();
        reactor.run_until(async { Ok(()) }).unwrap();
        reactor.turn(Some(Duration::ZERO)).unwrap();
        terminate();
        std::thread::park_timeout(Duration::from_secs(20));
    };
    if let Some(child) = alone("signals::a_signal_ends_the_process_when_no_reactor_runs", body) {
        assert_eq!(child.status.signal(), Some(15), "{:?}", child.status);
    }
}
