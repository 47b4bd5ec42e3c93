//! Firing, cancelling and dropping of chains: the rules of Twisted that ownership left standing.

mod deep;
mod deep_many;

use crate::deferred::{AlreadyCalled, Cancelled, DeferredList, NeverFired};
use crate::failure::{Failure, Panicked, Result, on_report};
use crate::{Deferred, Trigger};
use crate::{fail, gather_results, race, succeed};
use futures_util::FutureExt;
use std::cell::{Cell, RefCell};
use std::num::ParseIntError;
use std::rc::Rc;

/// What happened, in order.
#[derive(Clone, Default)]
struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    fn note(&self, what: impl ToString) {
        self.0.borrow_mut().push(what.to_string());
    }

    fn text(&self) -> String {
        self.0.borrow().join(" ")
    }
}

/// The failures that were reported on this thread from now on.
fn reports() -> Trace {
    let trace = Trace::default();
    let sink = trace.clone();
    on_report(move |report| sink.note(format!("[{}: {}]", report.what(), report.failure())));
    trace
}

fn value_of<T: 'static>(d: Deferred<T>) -> T {
    d.now_or_never().expect("has fired").expect("a value")
}

fn failure_of<T: 'static>(d: Deferred<T>) -> Failure {
    d.now_or_never().expect("has fired").err().expect("a failure")
}

#[test]
fn closures_infer_and_the_question_mark_takes_any_error() {
    let (trigger, d) = Deferred::<String>::new();
    let d = d.add_callback(|s| {
        let n: u32 = s.trim().parse()?;
        Ok(n)
    });
    let d = d.add_errback(|failure| {
        failure.check::<ParseIntError>();
        Ok(0)
    });
    trigger.callback("x".into()).unwrap();
    assert_eq!(value_of(d), 0);
}

#[test]
fn steps_run_in_order_inside_the_call_that_fires() {
    let (trace, (trigger, d)) = (Trace::default(), Deferred::new());
    let (one, two) = (trace.clone(), trace.clone());
    let _d = d.map(move |n: u32| one.note(n)).add_callback(move |()| two.note("two"));
    assert_eq!(trace.text(), "");
    trigger.callback(1).unwrap();
    assert_eq!(trace.text(), "1 two");
}

#[test]
fn a_step_added_to_a_fired_deferred_runs_at_once() {
    let ran = Rc::new(Cell::new(false));
    let flag = ran.clone();
    succeed(1).add_callback(move |_| flag.set(true));
    assert!(ran.get());
}

#[test]
fn firing_twice_is_an_error_in_every_combination() {
    let (trigger, d) = Deferred::new();
    trigger.callback(1).unwrap();
    assert_eq!(trigger.callback(2), Err(AlreadyCalled));
    assert_eq!(trigger.errback(Failure::msg("late")), Err(AlreadyCalled));
    assert_eq!(trigger.clone().callback(3), Err(AlreadyCalled));
    assert_eq!(value_of(d), 1);
}

#[test]
fn an_errback_does_not_hear_of_its_own_callbacks_failure() {
    let d = succeed(1).add_callbacks(|_| Err::<u32, _>(Failure::msg("mine")), |_| Ok(0));
    assert_eq!(failure_of(d).to_string(), "mine");
}

#[test]
fn a_panic_in_a_step_becomes_a_failure_of_the_line_that_added_it() {
    let line = line!() + 1;
    let failure = failure_of(succeed(0).add_callback(|n: u32| Ok(1 / n)));
    assert!(failure.is::<Panicked>());
    let place = failure.location().unwrap();
    assert_eq!((place.file(), place.line()), (file!(), line));
}

#[test]
fn an_errback_records_the_line_that_called_it() {
    let (trigger, d) = Deferred::<()>::new();
    trigger.errback(std::fmt::Error).unwrap();
    assert_eq!(failure_of(d).location().unwrap().line(), line!() - 1);
}

#[test]
fn a_returned_deferred_is_waited_for() {
    let (trigger, d) = Deferred::new();
    let (inner_trigger, inner) = Deferred::new();
    let d = d.add_callback(move |()| inner).map(|n: u32| n + 1);
    trigger.callback(()).unwrap();
    assert!(!format!("{d:?}").contains("value"));
    inner_trigger.callback(1).unwrap();
    assert_eq!(value_of(d), 2);
}

#[test]
fn a_returned_deferred_that_has_fired_goes_on_at_once() {
    let (trigger, inner) = Deferred::new();
    trigger.callback(1).unwrap();
    assert_eq!(value_of(succeed(()).add_callback(|()| inner).map(|n: u32| n + 1)), 2);
}

#[test]
fn a_step_added_from_inside_a_running_step_runs_after_it() {
    let (trace, (trigger, d)) = (Trace::default(), Deferred::new());
    let held = Rc::new(RefCell::new(None::<Deferred<()>>));
    let (outer, inner, slot) = (trace.clone(), trace.clone(), held.clone());
    let d = d.add_callback(move |()| {
        let d = slot.borrow_mut().take().unwrap();
        *slot.borrow_mut() = Some(d.add_callback(move |()| inner.note("nested")));
        outer.note("running");
    });
    *held.borrow_mut() = Some(d);
    trigger.callback(()).unwrap();
    assert_eq!(trace.text(), "running nested");
}

#[test]
fn cancel_without_a_canceller_swallows_one_late_result() {
    let (trigger, d) = Deferred::<u32>::new();
    d.cancel();
    assert_eq!(trigger.callback(1), Ok(()));
    assert_eq!(trigger.callback(2), Err(AlreadyCalled));
    assert!(failure_of(d).is::<Cancelled>());
}

#[test]
fn cancel_with_a_quiet_canceller_swallows_nothing() {
    let (trigger, d) = Deferred::<u32>::with_canceller(|_| ());
    d.cancel();
    assert_eq!(trigger.callback(1), Err(AlreadyCalled));
    assert!(failure_of(d).is::<Cancelled>());
}

#[test]
fn a_canceller_may_fire_the_value_itself() {
    let (_trigger, d) = Deferred::with_canceller(|trigger: &Trigger<u32>| {
        trigger.callback(7).unwrap();
    });
    d.cancel();
    d.cancel();
    assert_eq!(value_of(d), 7);
}

#[test]
fn a_canceller_that_panics_is_contained_and_the_chain_is_cancelled() {
    let reports = reports();
    let (_trigger, d) = Deferred::<u32>::with_canceller(|_| panic!("oh"));
    d.cancel();
    assert!(failure_of(d).is::<Cancelled>());
    assert_eq!(reports.text(), "[panic in canceller: panicked: oh]");
}

#[test]
fn a_canceller_that_drops_the_last_trigger_means_cancelled() {
    let held = Rc::new(RefCell::new(None));
    let slot = held.clone();
    let (trigger, d) = Deferred::<u32>::with_canceller(move |_| drop(slot.borrow_mut().take()));
    *held.borrow_mut() = Some(trigger);
    d.cancel();
    assert!(failure_of(d).is::<Cancelled>());
}

#[test]
fn the_canceller_is_dropped_when_the_deferred_fires() {
    let owned = Rc::new(());
    let inside = owned.clone();
    let (trigger, _d) = Deferred::with_canceller(move |_| drop(inside));
    trigger.callback(1).unwrap();
    assert_eq!(Rc::strong_count(&owned), 1);
}

#[test]
fn cancelling_a_chain_that_waits_cancels_the_inner_deferred() {
    let (trigger, d) = Deferred::new();
    let (_inner_trigger, inner) = Deferred::with_canceller(|t: &Trigger<u32>| {
        t.errback(Failure::msg("stopped")).unwrap();
    });
    let d = d.add_callback(move |()| inner.add_errback(|_| Ok(5)));
    trigger.callback(()).unwrap();
    d.cancel();
    assert_eq!(value_of(d), 5);
}

#[test]
fn cancelling_a_fired_deferred_does_nothing() {
    let (trigger, d) = Deferred::new();
    trigger.callback(1).unwrap();
    d.cancel();
    assert_eq!(value_of(d), 1);
}

#[test]
fn cancelling_from_inside_the_running_step_does_nothing() {
    let held = Rc::new(RefCell::new(None::<Rc<Deferred<u32>>>));
    let (trigger, d) = Deferred::new();
    let slot = held.clone();
    let d = Rc::new(d.add_callback(move |n| {
        let d = slot.borrow().clone();
        d.unwrap().cancel();
        Ok(n)
    }));
    *held.borrow_mut() = Some(d.clone());
    trigger.callback(1).unwrap();
    held.take();
    assert_eq!(value_of(Rc::into_inner(d).unwrap()), 1);
}

#[test]
fn without_triggers_the_chain_fails() {
    let (trigger, d) = Deferred::<u32>::new();
    let other = trigger.clone();
    drop(trigger);
    let d = d.map(|n| n + 1);
    drop(other);
    assert!(failure_of(d).is::<NeverFired>());
}

#[test]
fn dropped_but_never_awaited_the_chain_runs_on() {
    let (trace, (trigger, d)) = (Trace::default(), Deferred::new());
    let inside = trace.clone();
    drop(d.map(move |n: u32| inside.note(n)));
    trigger.callback(1).unwrap();
    assert_eq!(trace.text(), "1");
}

#[test]
fn awaited_and_dropped_it_is_cancelled_quietly() {
    let (reports, trace) = (reports(), Trace::default());
    let inside = trace.clone();
    let (_trigger, d) = Deferred::<u32>::with_canceller(move |_| inside.note("canceller"));
    assert!(d.now_or_never().is_none());
    assert_eq!((trace.text(), reports.text()), ("canceller".into(), "".into()));
}

#[test]
fn a_task_is_woken_when_its_deferred_fires() {
    let (trigger, d) = Deferred::new();
    let (inner_trigger, inner) = Deferred::new();
    let mut d = d.add_callback(|()| inner).boxed_local();
    assert!((&mut d).now_or_never().is_none());
    trigger.callback(()).unwrap();
    assert!((&mut d).now_or_never().is_none());
    inner_trigger.callback(3).unwrap();
    assert_eq!(d.now_or_never().unwrap().unwrap(), 3);
}

#[test]
fn a_deferred_polled_after_its_end_fails_instead_of_hanging() {
    let mut d = succeed(1);
    assert!((&mut d).now_or_never().unwrap().is_ok());
    assert!(d.now_or_never().unwrap().is_err());
}

#[test]
fn a_failure_at_the_end_of_a_dropped_chain_is_reported_with_both_places() {
    let text = Trace::default();
    let sink = text.clone();
    on_report(move |report| sink.note(report));
    let (trigger, d) = Deferred::<u32>::new();
    drop(d.map(|n| n));
    trigger.errback(Failure::msg("lost")).unwrap();
    let (file, line) = (file!(), line!());
    let made = line - 3;
    let arose = line - 1;
    let want = format!("made at {file}:{made}, arose at {file}:{arose}");
    assert_eq!(text.text(), format!("unhandled failure in Deferred: lost, {want}"));
}

#[test]
fn a_failure_is_reported_when_the_deferred_that_holds_it_is_dropped() {
    let reports = reports();
    let (trigger, d) = Deferred::<u32>::new();
    let d = d.map(|n| n);
    trigger.errback(Failure::msg("lost")).unwrap();
    assert_eq!(reports.text(), "");
    drop(d);
    drop(fail::<u32>(Failure::msg("too")));
    assert_eq!(
        reports.text(),
        "[unhandled failure in Deferred: lost] [unhandled failure in Deferred: too]"
    );
}

#[test]
fn a_failure_of_an_inner_deferred_is_reported_once_by_the_outer() {
    let reports = reports();
    let (trigger, inner) = Deferred::<u32>::new();
    drop(succeed(()).add_callback(|()| inner));
    trigger.errback(Failure::msg("lost")).unwrap();
    assert_eq!(reports.text(), "[unhandled failure in Deferred: lost]");
}

#[test]
fn what_never_fired_is_not_reported() {
    let reports = reports();
    let (trigger, d) = Deferred::<u32>::new();
    drop(d.map(|n| n));
    drop(trigger);
    assert_eq!(reports.text(), "");
}

#[test]
fn nothing_is_left_when_a_chain_is_over() {
    let owned = Rc::new(());
    let (trigger, d) = Deferred::new();
    let (inner_trigger, inner) = Deferred::new();
    let (a, b, c) = (owned.clone(), owned.clone(), owned.clone());
    let d = d.add_callback(move |()| {
        let _a = a;
        inner.map(move |()| drop(b))
    });
    let d = d.map(move |()| drop(c));
    trigger.callback(()).unwrap();
    inner_trigger.callback(()).unwrap();
    assert_eq!(Rc::strong_count(&owned), 1);
    value_of(d);
}

#[test]
fn a_result_is_a_step_too() {
    let f = |fails: bool| -> Result<u32> { if fails { Err(Failure::msg("no")) } else { Ok(1) } };
    assert_eq!(value_of(succeed(false).add_callback(f)), 1);
    assert_eq!(failure_of(succeed(true).add_callback(f)).to_string(), "no");
}

/// Each way to lose the end before or after a cancellation reaches it.
#[test]
fn a_cancellation_that_reaches_an_end_nobody_holds_is_not_reported() {
    let trace = reports();
    let ways: [fn(Deferred<u8>); 9] = [
        |d| drop((d.cancel(), d)),
        |d| d.map(|n| n + 1).cancel(),
        |d| succeed(()).add_callback(move |()| d).cancel(),
        |d| drop(d.now_or_never()),
        |d| gather_results([d]).cancel(),
        |d| race([d]).cancel(),
        |d| race([gather_results([d])]).cancel(),
        |d| drop(gather_results([race([d])]).now_or_never()),
        |d| {
            let list = DeferredList::new([d, fail(Cancelled)]);
            drop(list.cancel_others().fire_on_one_errback().results());
        },
    ];
    for way in ways {
        let (_trigger, d) = Deferred::new();
        way(d);
        let (trigger, d) = Deferred::<()>::new();
        let inner = Deferred::new();
        let waiting = d.add_callback(move |()| inner.1);
        trigger.callback(()).unwrap();
        way(waiting);
    }
    assert_eq!(trace.text(), "");
}

/// What is no cancellation is reported, also where one was asked for.
#[test]
fn what_a_cancelled_chain_fails_with_instead_is_reported() {
    let trace = reports();
    let (_trigger, d) = Deferred::<u8>::with_canceller(|trigger: &Trigger<u8>| {
        trigger.errback(Failure::msg("half done")).unwrap();
    });
    drop((d.cancel(), d));
    let (_trigger, d) = Deferred::<u8>::new();
    race([d, fail(Failure::msg("no"))]).cancel();
    drop(race::<u8>([]));
    let reports = [
        "[unhandled failure in Deferred: half done]",
        "[unhandled failure in Deferred: all failed: cancelled; no]",
        "[unhandled failure in Deferred: nobody raced]",
    ];
    assert_eq!(trace.text(), reports.join(" "));
}

/// A list that holds out against a cancellation can be cancelled again, through whatever waits for it.
#[test]
fn a_second_cancellation_finds_its_way_through_every_kind_of_link() {
    let ways: [fn(Deferred<usize>) -> Deferred<usize>; 4] = [
        |list| list.map(|n| n + 1),
        |list| {
            let (trigger, outer) = Deferred::new();
            let outer = outer.add_callback(move |()| list);
            trigger.callback(()).unwrap();
            outer
        },
        |list| {
            let (trigger, outer) = Deferred::new();
            let outer = outer.add_callback(move |()| list.map(|n| n + 1)).map(|n| n + 1);
            trigger.callback(()).unwrap();
            outer
        },
        |list| DeferredList::new([list]).results().map(|results| results.len()),
    ];
    for way in ways {
        let (_first, stubborn) = Deferred::<u8>::new();
        let (second, inner) = Deferred::<u8>::new();
        let list = DeferredList::new([stubborn.add_errback(move |_| inner)]).results();
        let mut waits = way(list.map(|results| results.len()));
        waits.cancel();
        assert!(!second.is_called() && (&mut waits).now_or_never().is_none());
        waits.cancel();
        assert!(second.is_called() && waits.now_or_never().unwrap().is_ok());
    }
}

/// The link in the middle hands its follower on to what it waits for, and so must the cancellation.
#[test]
fn a_cancellation_goes_past_a_returned_link_to_what_that_one_returned() {
    let ((first, outer), (second, middle)) = (Deferred::new(), Deferred::new());
    let (last, inner) = Deferred::<u8>::new();
    let middle = middle.add_callback(move |()| inner);
    let outer = outer.add_callback(move |()| middle);
    first.callback(()).unwrap();
    second.callback(()).unwrap();
    outer.cancel();
    assert!(last.is_called() && failure_of(outer).is::<Cancelled>());
}
