//! What the reactor holds is dropped with its owner, in an order, at once or at the end of its turn.

use super::kit::{Notes, census, hear_reports, until};
use futures_util::{AsyncReadExt, FutureExt};
use ropewalk::deferred::{Cancelled, LoopingCall};
use ropewalk::reactor::{Phase, ReactorGone};
use ropewalk::simulation::Simulation;
use ropewalk::{
    Address, Deferred, Failure, Protocol, Reactor, Result, Transport, gather_results, race,
};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

/// Notes its own drop.
struct Noted(Notes, &'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

/// A protocol that keeps a handle, its transport and something that is noted.
struct Keeper(Reactor, RefCell<Option<Transport>>, #[expect(dead_code)] Noted);

impl Protocol for Keeper {
    fn connection_made(&mut self, transport: &Transport) {
        self.1.replace(Some(transport.clone()));
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        assert!(self.0.spawn(async { Ok(()) }).now_or_gone(), "{reason}");
    }
}

trait NowOrGone {
    /// Fails with `ReactorGone`, or not yet.
    fn now_or_gone(self) -> bool;
}

impl NowOrGone for Deferred<()> {
    fn now_or_gone(self) -> bool {
        use futures_util::FutureExt;
        self.now_or_never().is_none_or(|outcome| outcome.unwrap_err().is::<ReactorGone>())
    }
}

/// Gives the reactor one of everything that it can hold, each with a handle on it.
fn fill(reactor: &Reactor, notes: &Notes) {
    let noted = |what| (Noted(notes.clone(), what), reactor.clone());
    let kept = noted("task");
    drop(reactor.spawn(async move {
        let _kept = kept;
        pending::<Result>().await
    }));
    let kept = noted("timer");
    reactor.call_later(Duration::from_secs(3600), move || drop(kept));
    let kept = noted("trigger");
    reactor.on_shutdown(move || drop(kept));
    let kept = noted("factory");
    let (handle, log) = (reactor.clone(), notes.clone());
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| {
        let _kept = &kept;
        Keeper(handle.clone(), RefCell::default(), Noted(log.clone(), "protocol"))
    });
    let port = port.unwrap();
    let kept = Rc::new(noted("handler"));
    let serving = reactor.serve("127.0.0.1:0", async move |mut stream| {
        let _kept = kept.clone();
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    });
    for at in [port.host(), serving.unwrap().host()] {
        let stream = reactor.run_until(reactor.open(&at)).unwrap();
        drop(reactor.spawn(async move {
            let _stream = stream;
            pending::<Result>().await
        }));
    }
    // Two listeners, and both ends of two connections.
    until(reactor, "both are accepted", || census(reactor).0 == 6);
}

const EACH: [&str; 6] = ["task", "timer", "trigger", "factory", "protocol", "handler"];

#[track_caller]
fn expect_one_of_each(notes: &Notes) {
    let mut dropped = notes.all();
    dropped.sort();
    let mut each = EACH;
    each.sort();
    assert_eq!(dropped, each);
}

#[test]
fn everything_goes_with_the_owner_though_all_of_it_holds_handles() {
    let (notes, reports) = (Notes::default(), hear_reports());
    let reactor = Reactor::new().unwrap();
    fill(&reactor, &notes);
    let handle = reactor.clone();
    notes.expect(&[]);
    drop(reactor);
    expect_one_of_each(&notes);
    assert_eq!(census(&handle), (0, 0));
    reports.expect(&[]);
}

#[test]
fn a_clone_is_no_owner_and_neither_is_the_current_one_nor_a_transports() {
    let reactor = Reactor::new().unwrap();
    let task = reactor.spawn(pending::<Result>());
    drop(reactor.clone());
    reactor.run_until(async { Ok(drop(Reactor::current())) }).unwrap();
    assert_eq!(census(&reactor), (0, 1));
    task.cancel();
}

#[test]
fn connections_go_first_then_tasks_then_timers_then_triggers() {
    let notes = Notes::default();
    let reactor = Reactor::new().unwrap();
    fill(&reactor, &notes);
    drop(reactor);
    let order = notes.all();
    let place = |what| order.iter().position(|it| it == what).unwrap();
    assert!(place("factory") < place("task") && place("protocol") < place("task"), "{order:?}");
    assert!(place("task") < place("timer") && place("handler") < place("timer"), "{order:?}");
    assert!(place("timer") < place("trigger"), "{order:?}");
}

#[test]
fn an_owner_that_is_dropped_in_its_own_turn_ends_after_that_turn() {
    let notes = Notes::default();
    let reactor = Reactor::new().unwrap();
    fill(&reactor, &notes);
    let (handle, inside, log) = (reactor.clone(), reactor.clone(), notes.clone());
    handle.call_later(Duration::ZERO, move || {
        drop(reactor);
        log.add("dropped");
        // Still in that turn: the task is polled at the end of it.
        let again = log.clone();
        drop(inside.spawn(async move { again.add("polled") }));
    });
    assert!(handle.run().unwrap_err().is::<ReactorGone>());
    assert_eq!(notes.all()[..2], ["dropped", "polled"]);
    assert_eq!(notes.len(), 2 + EACH.len());
    assert!(handle.run().unwrap_err().is::<ReactorGone>());
}

#[test]
fn an_owner_that_went_into_its_own_future_ends_with_that_and_the_result_is_there() {
    let notes = Notes::default();
    let reactor = Reactor::new().unwrap();
    fill(&reactor, &notes);
    let handle = reactor.clone();
    let outcome = handle.run_until(async move {
        reactor.yield_now().await;
        Ok(7)
    });
    assert_eq!(outcome.unwrap(), 7);
    expect_one_of_each(&notes);
    assert!(handle.run_until(async { Ok(()) }).unwrap_err().is::<ReactorGone>());
}

#[test]
fn an_owner_that_went_into_its_own_task_ends_with_that_and_stops_the_run() {
    let notes = Notes::default();
    let reactor = Reactor::new().unwrap();
    fill(&reactor, &notes);
    let handle = reactor.clone();
    drop(handle.spawn(async move {
        reactor.yield_now().await;
        drop(reactor);
    }));
    let outcome = handle.run_until(pending::<Result>());
    assert!(outcome.unwrap_err().is::<ReactorGone>());
    expect_one_of_each(&notes);
}

#[test]
fn an_owner_that_is_dropped_while_its_shutdown_waits_ends_that_too() {
    let notes = Notes::default();
    let reactor = Reactor::new().unwrap();
    let (handle, log) = (reactor.clone(), notes.clone());
    let clock = reactor.clone();
    handle.on_shutdown(move || {
        log.add("before");
        clock.call_later(Duration::ZERO, move || drop(reactor));
        Deferred::<()>::new().1
    });
    let log = notes.clone();
    let during = ropewalk::reactor::Event::Shutdown;
    handle.add_system_event_trigger(Phase::During, during, move || log.add("never"));
    let stopper = handle.clone();
    handle.call_when_running(move || stopper.stop());
    // The trigger of the Deferred was dropped at once: keep one, so that the shutdown waits.
    let outcome = handle.run();
    assert!(outcome.is_ok() || outcome.unwrap_err().is::<ReactorGone>());
    assert!(notes.has("before"));
}

/// Begins anew each time it is dropped.
struct Undead(Reactor, Rc<Cell<u32>>);

impl Drop for Undead {
    fn drop(&mut self) {
        self.1.set(self.1.get() + 1);
        let next = Undead(self.0.clone(), self.1.clone());
        match self.1.get() % 4 {
            0 => drop(self.0.spawn(async move { drop(next) })),
            1 => drop(self.0.call_later(Duration::ZERO, move || drop(next))),
            2 => drop(self.0.on_shutdown(move || drop(next))),
            _ => drop(self.0.defer_to_thread({
                let count = 1;
                std::mem::forget(next);
                move || Ok(count)
            })),
        }
    }
}

#[test]
fn who_begins_anew_each_time_it_is_dropped_is_left_to_itself() {
    let (reactor, deaths) = (Reactor::new().unwrap(), Rc::new(Cell::new(0)));
    let undead = Undead(reactor.clone(), deaths.clone());
    drop(reactor.spawn(async move {
        let _undead = undead;
        pending::<Result>().await
    }));
    let handle = reactor.clone();
    drop(reactor);
    assert!((1..100).contains(&deaths.get()), "{} deaths", deaths.get());
    drop(Undead(handle, deaths.clone()));
    assert!((1..100).contains(&deaths.get()), "{} deaths", deaths.get());
}

#[test]
fn an_errback_that_tries_again_at_once_is_left_pending_in_the_end() {
    fn persist(reactor: &Reactor, tries: &Rc<Cell<u32>>) {
        tries.set(tries.get() + 1);
        let (again, count) = (reactor.clone(), tries.clone());
        drop(reactor.spawn(pending::<Result>()).add_errback(move |_gone| persist(&again, &count)));
    }
    let (reactor, tries) = (Reactor::new().unwrap(), Rc::new(Cell::new(0)));
    persist(&reactor, &tries);
    drop(reactor);
    assert!((2..100).contains(&tries.get()), "{} tries", tries.get());
}

#[test]
fn the_deferreds_of_what_ends_say_that_the_reactor_is_gone() {
    let reactor = Reactor::new().unwrap();
    let (trigger, deferred) = Deferred::<u8>::new();
    let _sendable = reactor.sendable(trigger);
    let task = reactor.spawn(pending::<Result<u8>>());
    let handle = reactor.clone();
    drop(reactor);
    for deferred in [deferred, task] {
        let outcome = futures_util::FutureExt::now_or_never(deferred).unwrap();
        assert!(outcome.unwrap_err().is::<ReactorGone>());
    }
    drop(handle);
}

#[test]
fn what_fails_because_the_reactor_ends_is_not_reported_and_a_panic_is() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let (trigger, deferred) = Deferred::<()>::new();
    reactor.call_later(Duration::from_secs(60), move || Ok(trigger.callback(())?));
    drop(deferred);
    drop(reactor.spawn(pending::<Result>()));
    drop(reactor.spawn(pending::<Result>()).add_callback(|()| Ok(())));
    drop(gather_results([reactor.spawn(pending::<Result>())]));
    drop(race([reactor.spawn(pending::<Result>()), reactor.spawn(pending::<Result>())]));
    let bomb = Bomb;
    drop(reactor.spawn(async move {
        let _bomb = bomb;
        pending::<Result>().await
    }));
    let handle = reactor.clone();
    drop(reactor);
    drop(handle.spawn(async { Ok(()) }));
    assert_eq!(reports.len(), 1, "{:?}", reports.all());
    assert!(reports.has("drop of a task: panicked: on purpose") || reports.count("drop of") == 1);
}

#[test]
fn a_cancel_that_reaches_an_end_that_nobody_holds_is_not_reported() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let task = reactor.spawn(pending::<Result>());
    task.cancel();
    drop(task);
    let task = Rc::new(reactor.spawn(pending::<Result>()).map(|()| 7));
    task.cancel();
    drop(task);
    // One that was taken for something else on the way is reported as ever.
    let task = reactor.spawn(pending::<Result>());
    task.cancel();
    drop(task.add_errback(|cancelled| {
        cancelled.trap::<Cancelled>()?;
        Err::<(), _>(Failure::msg("made of it"))
    }));
    assert_eq!((reports.len(), reports.count("unhandled failure in Deferred: made of it")), (1, 1));
}

#[test]
fn a_simulated_host_gives_handles_and_the_world_ends_its_reactors() {
    let (notes, simulation) = (Notes::default(), Simulation::new(1));
    let host = simulation.host("a");
    let handle = host.reactor();
    let kept = (Noted(notes.clone(), "task"), handle.clone());
    drop(handle.spawn(async move {
        let _kept = kept;
        pending::<Result>().await
    }));
    drop(host.reactor());
    simulation.run_for(Duration::from_secs(1)).unwrap();
    notes.expect(&[]);
    assert!(handle.is_running());
    host.crash();
    notes.expect(&["task"]);
    assert!(!handle.is_running());
    assert!(handle.stop().unwrap_err().is::<ReactorGone>());
    let next = host.reactor();
    let kept = (Noted(notes.clone(), "timer"), next.clone());
    next.call_later(Duration::from_secs(60), move || drop(kept));
    drop((host, simulation));
    notes.expect(&["task", "timer"]);
}

#[test]
fn a_host_that_crashes_itself_ends_after_its_turn() {
    let (notes, simulation) = (Notes::default(), Simulation::new(1));
    let host = simulation.host("a");
    let (log, own) = (notes.clone(), host.clone());
    let task = (Noted(notes.clone(), "task"), host.reactor());
    drop(host.reactor().spawn(async move {
        let _task = task;
        own.crash();
        log.add("crashed");
        pending::<Result>().await
    }));
    simulation.run_for(Duration::from_secs(1)).unwrap();
    notes.expect(&["crashed", "task"]);
}

#[test]
fn a_loop_ends_with_the_reactor_that_is_its_clock() {
    let reactor = Reactor::new().unwrap();
    let calls = Rc::new(Cell::new(0));
    let count = calls.clone();
    let looping = LoopingCall::new(&reactor, move || count.set(count.get() + 1));
    let ended = looping.start(Duration::from_secs(1));
    drop(looping); // which stops nothing
    assert_eq!(Rc::strong_count(&calls), 2);
    drop(reactor);
    assert_eq!((calls.get(), Rc::strong_count(&calls)), (1, 1));
    assert!(ended.now_or_never().unwrap().is_err());
}
