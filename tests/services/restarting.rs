//! Rule 4: a service that ends by itself, and who is started again with it.

use super::*;
use ropewalk::deferred::DeferredQueue;
use ropewalk::service::{MultiService, Restart, ServiceState, TooManyRestartsError};
use std::rc::Rc;

/// A service that ends when it is told to, with what it is told.
#[derive(Clone)]
struct Mortal {
    name: &'static str,
    notes: Notes,
    ends: Rc<DeferredQueue<Result>>,
}

impl Mortal {
    fn new(name: &'static str, notes: &Notes) -> Mortal {
        Mortal { name, notes: notes.clone(), ends: Rc::default() }
    }

    fn service(&self) -> impl Service + use<> {
        let Mortal { name, notes, ends } = self.clone();
        service(name, async move |up: Running| {
            notes.add(format_args!("{name} started"));
            up.ready();
            let outcome = match futures_util::future::select(ends.get(), up.stopping()).await {
                futures_util::future::Either::Left((outcome, _)) => outcome?,
                futures_util::future::Either::Right(_) => Ok(()),
            };
            let how = if outcome.is_ok() { "ended" } else { "failed" };
            notes.add(format_args!("{name} {how}"));
            outcome
        })
    }

    fn fail(&self) {
        self.ends.put(Err(Failure::msg("on purpose"))).unwrap();
    }

    fn end(&self) {
        self.ends.put(Ok(())).unwrap();
    }
}

/// Waits until so many notes are there.
fn wait_for(place: &Place, notes: &Notes, count: usize) {
    let notes = notes.clone();
    let reactor = place.reactor();
    place
        .run(async move {
            while notes.len() < count {
                reactor.sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        })
        .unwrap();
}

fn quick(restart: Restart) -> Restart {
    restart.backoff(Duration::from_millis(1)..Duration::from_millis(2))
}

#[test]
fn who_is_started_again_depends_on_how_it_ended_and_what_it_is() {
    in_both(|place| {
        allow_reports(place);
        let notes = Notes::default();
        let mortal = |name| Mortal::new(name, &notes);
        let (permanent, transient, temporary) =
            (mortal("permanent"), mortal("transient"), mortal("temporary"));
        let application = Application::new("all")
            .restart(quick(Restart::one_for_one()))
            .add_service(permanent.service().permanent())
            .add_service(transient.service())
            .add_service(temporary.service().temporary());
        let running = place.start(application).unwrap();
        permanent.end();
        wait_for(place, &notes, 5);
        transient.fail();
        wait_for(place, &notes, 7);
        transient.end();
        wait_for(place, &notes, 8);
        temporary.fail();
        wait_for(place, &notes, 9);
        let told = [
            "permanent ended",
            "permanent started",
            "transient failed",
            "transient started",
            "transient ended",
            "temporary failed",
        ];
        assert_eq!(notes.all()[3..], told);
        place.run(running.stop_service()).unwrap();
        let restarts: Vec<_> = running.services().iter().map(Running::restarts).collect();
        assert_eq!(restarts, [1, 1, 0]);
        assert_eq!(notes.len(), 10, "only the first was still there to be stopped");
    });
}

#[test]
fn a_service_that_will_not_be_started_again_leaves_the_tree_ready() {
    let (place, notes) = (Place::simulated(1), Notes::default());
    let job = Mortal::new("job", &notes);
    let application = Application::new("all").add_service(job.service());
    let running = place.start(application).unwrap();
    let over = running.services()[0].when_over();
    job.end();
    place.run(over).unwrap();
    assert_eq!(running.services()[0].state(), ServiceState::Ended);
    assert!(running.is_ready());
}

#[test]
fn one_for_one_leaves_the_others_alone() {
    in_both(|place| {
        allow_reports(place);
        let notes = Notes::default();
        let mortals = ["a", "b", "c"].map(|name| Mortal::new(name, &notes));
        let mut application = Application::new("all").restart(quick(Restart::one_for_one()));
        for mortal in &mortals {
            application = application.add_service(mortal.service());
        }
        let running = place.start(application).unwrap();
        mortals[1].fail();
        wait_for(place, &notes, 5);
        assert_eq!(notes.all()[3..], ["b failed", "b started"]);
        place.run(running.stop_service()).unwrap();
        assert_eq!(notes.all()[5..], ["c ended", "b ended", "a ended"]);
    });
}

#[test]
fn rest_for_one_starts_those_behind_it_again_in_order() {
    in_both(|place| {
        allow_reports(place);
        let notes = Notes::default();
        let mortals = ["a", "b", "c", "d"].map(|name| Mortal::new(name, &notes));
        let mut application = Application::new("all").restart(quick(Restart::rest_for_one()));
        for mortal in &mortals {
            application = application.add_service(mortal.service());
        }
        let running = place.start(application).unwrap();
        mortals[1].fail();
        wait_for(place, &notes, 10);
        let told = ["b failed", "d ended", "c ended", "b started", "c started", "d started"];
        assert_eq!(notes.all()[4..], told);
        place.run(running.stop_service()).unwrap();
    });
}

#[test]
fn one_for_all_starts_all_again_from_the_first() {
    in_both(|place| {
        allow_reports(place);
        let notes = Notes::default();
        let mortals = ["a", "b", "c"].map(|name| Mortal::new(name, &notes));
        let mut application = Application::new("all").restart(quick(Restart::one_for_all()));
        for mortal in &mortals {
            application = application.add_service(mortal.service());
        }
        let running = place.start(application).unwrap();
        mortals[2].fail();
        wait_for(place, &notes, 9);
        let told = ["c failed", "b ended", "a ended", "a started", "b started", "c started"];
        assert_eq!(notes.all()[3..], told);
        place.run(running.stop_service()).unwrap();
    });
}

#[test]
fn a_failure_further_to_the_front_has_the_restart_begin_there() {
    let (place, notes) = (Place::simulated(1), Notes::default());
    allow_reports(&place);
    let mortals = ["a", "b", "c"].map(|name| Mortal::new(name, &notes));
    let mut application = Application::new("all").restart(Restart::rest_for_one());
    for mortal in &mortals {
        application = application.add_service(mortal.service());
    }
    place.start(application).unwrap();
    mortals[2].fail();
    wait_for(&place, &notes, 4);
    // While the third waits for its time.
    mortals[0].fail();
    wait_for(&place, &notes, 9);
    let told = ["c failed", "a failed", "b ended", "a started", "b started", "c started"];
    assert_eq!(notes.all()[3..], told);
}

#[test]
fn five_restarts_in_thirty_seconds_are_made_and_then_the_parent_has_failed() {
    let (place, notes) = (Place::simulated(1), Notes::default());
    allow_reports(&place);
    let failing = Mortal::new("failing", &notes);
    let application =
        Application::new("all").add_service(part("first", &notes)).add_service(failing.service());
    let running = place.start(application).unwrap();
    let over = running.when_over();
    let before = place.reactor().now();
    for _ in 0..6 {
        failing.fail();
    }
    let failure = place.run(over).unwrap_err();
    let too_many = failure.check::<TooManyRestartsError>().unwrap();
    assert_eq!(too_many.name(), "failing");
    let text = "failing ended again after 5 restarts in 30s: on purpose";
    assert_eq!(failure.to_string(), text);
    // 0.2 + 0.4 + 0.8 + 1.6 + 3.2 s, and a quarter more at most.
    let took = place.reactor().now() - before;
    assert!(took >= Duration::from_millis(6200) && took < Duration::from_millis(7800), "{took:?}");
    assert_eq!(notes.count("failing started"), 6);
    assert_eq!(notes.all().last().unwrap(), "first stopped", "the tree was stopped in order");
    assert_eq!(running.state(), ServiceState::Stopped);
}

#[test]
fn a_start_that_fails_again_and_again_counts_as_well() {
    let (place, notes) = (Place::simulated(1), Notes::default());
    allow_reports(&place);
    let (once, told) = (std::cell::Cell::new(true), notes.clone());
    let flaky = service("flaky", async move |up: Running| {
        told.add("flaky started");
        if once.replace(false) {
            up.ready();
        }
        Err(Failure::msg("on purpose"))
    });
    let running = place.start(Application::new("all").add_service(flaky)).unwrap();
    let failure = place.run(running.when_over()).unwrap_err();
    assert!(failure.is::<TooManyRestartsError>(), "{failure}");
    assert_eq!(notes.count("flaky started"), 6);
}

#[test]
fn waits_are_the_same_for_the_same_seed_and_others_for_another() {
    let waits = |seed| {
        let (place, notes) = (Place::simulated(seed), Notes::default());
        allow_reports(&place);
        let failing = Mortal::new("failing", &notes);
        place.start(Application::new("all").add_service(failing.service())).unwrap();
        let before = place.reactor().now();
        failing.fail();
        wait_for(&place, &notes, 3);
        place.reactor().now() - before
    };
    assert_eq!(waits(3), waits(3));
    assert!((4..9).any(|seed| waits(seed) != waits(3)), "there is chance in it");
}

#[test]
fn a_parent_that_fails_is_started_again_with_all_below_it() {
    in_both(|place| {
        allow_reports(place);
        let notes = Notes::default();
        let (a, b) = (Mortal::new("a", &notes), Mortal::new("b", &notes));
        let strict = quick(Restart::one_for_one()).intensity(0, SECOND * 30);
        let inner = MultiService::new("inner")
            .restart(strict)
            .add_service(a.service())
            .add_service(b.service());
        let application =
            Application::new("all").restart(quick(Restart::one_for_one())).add_service(inner);
        let running = place.start(application).unwrap();
        b.fail();
        wait_for(place, &notes, 6);
        assert_eq!(notes.all()[2..], ["b failed", "a ended", "a started", "b started"]);
        assert_eq!(running.services()[0].restarts(), 1);
        place.run(running.stop_service()).unwrap();
    });
}

#[test]
fn a_stop_while_a_service_waits_to_be_started_again_starts_nothing() {
    in_both(|place| {
        allow_reports(place);
        let notes = Notes::default();
        let mortal = Mortal::new("mortal", &notes);
        let application = Application::new("all").add_service(mortal.service());
        let running = place.start(application).unwrap();
        mortal.fail();
        wait_for(place, &notes, 2);
        place.run(running.stop_service()).unwrap();
        assert_eq!(running.state(), ServiceState::Stopped);
        assert_eq!(running.services()[0].state(), ServiceState::Stopped);
        notes.expect(&["mortal started", "mortal failed"]);
    });
}

#[test]
fn what_a_service_says_that_was_started_again_since_is_not_heard() {
    let (place, notes) = (Place::simulated(1), Notes::default());
    allow_reports(&place);
    let old = Rc::new(std::cell::RefCell::new(Vec::<Running>::new()));
    let (kept, told) = (old.clone(), notes.clone());
    let keeping = service("keeping", async move |up: Running| {
        told.add("started");
        kept.borrow_mut().push(up.clone());
        up.ready();
        Ok(up.stopping().await)
    });
    let running = place.start(Application::new("all").add_service(keeping)).unwrap();
    old.borrow()[0].ended(Err(Failure::msg("on purpose")));
    wait_for(&place, &notes, 2);
    let first = old.borrow()[0].clone();
    first.ended(Err(Failure::msg("once more")));
    place.run(async { Ok(ropewalk::sleep(SECOND * 60).await) }).unwrap();
    assert!(first.is_stopping() && !old.borrow()[1].is_stopping());
    assert!(running.is_ready());
    assert_eq!(notes.len(), 2);
}
