//! Rules 1 and 8: one after the other, all or nothing; names.

use super::*;
use ropewalk::service::{MultiService, ServiceError, ServiceState};

#[test]
fn services_start_in_order_and_stop_in_reverse_in_both_faces() {
    in_both(|place| {
        let notes = Notes::default();
        let application = Application::new("all")
            .add_service(part("a", &notes))
            .add_service(async_part("b", &notes))
            .add_service(part("c", &notes));
        let running = place.start(application).unwrap();
        assert!(running.is_ready());
        notes.expect(&["a privileged", "c privileged", "a started", "b started", "c started"]);
        place.run(running.stop_service()).unwrap();
        assert_eq!(notes.all()[5..], ["c stopped", "b stopped", "a stopped"]);
        assert!(!running.is_ready());
    });
}

#[test]
fn a_service_starts_when_the_one_before_it_is_ready() {
    let (place, notes) = (Place::simulated(1), Notes::default());
    let (told, slow_notes) = (notes.clone(), notes.clone());
    let slow = service("slow", async move |up: Running| {
        up.reactor().sleep(SECOND).await;
        slow_notes.add("slow is ready");
        up.ready();
        Ok(up.stopping().await)
    });
    let application = Application::new("all")
        .add_service(part("first", &notes).takes(SECOND))
        .add_service(slow)
        .add_service(part("last", &notes));
    place.start(application).unwrap();
    told.expect(&[
        "first privileged",
        "last privileged",
        "first started",
        "first has started",
        "slow is ready",
        "last started",
    ]);
}

#[test]
fn a_start_that_fails_stops_those_before_it_in_reverse_and_is_the_error() {
    in_both(|place| {
        let notes = Notes::default();
        let application = Application::new("all")
            .add_service(part("a", &notes))
            .add_service(async_part("b", &notes))
            .add_service(part("c", &notes).fails())
            .add_service(part("d", &notes));
        let failure = place.start(application).unwrap_err();
        assert_eq!(failure.to_string(), "on purpose");
        let told = ["a started", "b started", "c started", "b stopped", "a stopped"];
        assert_eq!(notes.all()[3..], told);
    });
}

#[test]
fn an_async_service_that_ends_before_it_is_ready_has_failed_to_start() {
    in_both(|place| {
        let failing = service("failing", async |_: Running| Err(Failure::msg("no such disk")));
        let failure = place.start(Application::new("all").add_service(failing)).unwrap_err();
        assert_eq!(failure.to_string(), "no such disk");
        let silent = service("silent", async |_: Running| Ok(()));
        let failure = place.start(Application::new("all").add_service(silent)).unwrap_err();
        assert_eq!(failure.to_string(), "silent ended before it was ready");
    });
}

#[test]
fn a_panic_in_a_start_is_a_failure_of_it() {
    struct Panics;
    impl Service for Panics {
        fn start_service(&mut self, _: &Running) -> Deferred<()> {
            panic!("on purpose");
        }
    }
    let (place, notes) = (Place::simulated(1), Notes::default());
    let application = Application::new("all").add_service(part("a", &notes)).add_service(Panics);
    let failure = place.start(application).unwrap_err();
    assert!(failure.is::<ropewalk::Panicked>(), "{failure}");
    notes.expect(&["a privileged", "a started", "a stopped"]);
}

#[test]
fn a_service_that_is_not_ready_within_sixty_seconds_has_failed_and_is_named() {
    let (place, notes) = (Place::simulated(1), Notes::default());
    let never = || service("never", async |up: Running| Ok(up.stopping().await));
    let before = place.reactor().now();
    let application = Application::new("all").add_service(part("a", &notes)).add_service(never());
    let failure = place.start(application).unwrap_err();
    assert_eq!(failure.to_string(), "never was not ready in 60s");
    assert!(place.reactor().now() - before >= SECOND * 60);
    notes.expect(&["a privileged", "a started", "a stopped"]);
    let soon = never().start_timeout(SECOND / 100);
    let real = Place::Real(Reactor::new().unwrap());
    let failure = real.start(Application::new("all").add_service(soon)).unwrap_err();
    assert_eq!(failure.to_string(), "never was not ready in 10ms");
}

#[test]
fn a_second_start_is_an_error() {
    in_both(|place| {
        let notes = Notes::default();
        let running = place.start(Application::new("all").add_service(part("a", &notes))).unwrap();
        let failure = place.run(running.start_service()).unwrap_err();
        assert_eq!(failure.check(), Some(&ServiceError::AlreadyStarted("all".into())));
        let child = &running.services()[0];
        let failure = place.run(child.start_service()).unwrap_err();
        assert_eq!(failure.check(), Some(&ServiceError::AlreadyStarted("a".into())));
        assert!(running.is_ready(), "nothing has changed");
        assert_eq!(notes.count("a started"), 1);
    });
}

#[test]
fn siblings_have_names_of_their_own_and_others_may_share_them() {
    in_both(|place| {
        let notes = Notes::default();
        let inner = MultiService::new("inner").add_service(part("a", &notes));
        let application = Application::new("all")
            .add_service(part("a", &notes))
            .add_service(inner)
            .add_service(part("b", &notes).named("c"));
        let running = place.start(application).unwrap();
        let names: Vec<_> = running.services().iter().map(|it| it.name().to_owned()).collect();
        assert_eq!(names, ["a", "inner", "c"]);
        let failure = place.run(running.add_service(part("a", &notes))).unwrap_err();
        assert_eq!(failure.check(), Some(&ServiceError::NameTaken("a".into())));
        assert_eq!(running.services().len(), 3);
        let twice =
            Application::new("all").add_service(part("a", &notes)).add_service(part("a", &notes));
        let failure = place.start(twice).unwrap_err();
        assert_eq!(failure.to_string(), "there is a service a there already");
    });
}

#[test]
fn services_without_a_name_are_called_after_their_type_and_numbered() {
    struct Idle;
    impl Service for Idle {
        fn start_service(&mut self, _: &Running) -> Deferred<()> {
            succeed(())
        }
    }
    let place = Place::simulated(1);
    let application = Application::new("all").add_service(Idle).add_service(Idle).add_service(Idle);
    let running = place.start(application).unwrap();
    let names: Vec<_> = running.services().iter().map(|it| it.name().to_owned()).collect();
    assert_eq!(names, ["Idle", "Idle-2", "Idle-3"]);
}

#[test]
fn a_service_that_is_added_to_a_running_one_starts_at_once_and_stops_with_it() {
    in_both(|place| {
        let notes = Notes::default();
        let running = place.start(Application::new("all").add_service(part("a", &notes))).unwrap();
        let added = place.run(running.add_service(async_part("b", &notes))).unwrap();
        assert_eq!((added.name(), added.state()), ("b", ServiceState::Ready));
        let failure = place.run(running.add_service(part("c", &notes).fails())).unwrap_err();
        assert_eq!(failure.to_string(), "on purpose");
        assert_eq!(running.services().len(), 2, "the one that failed is not kept");
        assert!(running.is_ready());
        place.run(running.stop_service()).unwrap();
        assert_eq!(notes.all()[notes.len() - 2..], ["b stopped", "a stopped"]);
    });
}

#[test]
fn disowning_a_running_service_stops_it_and_takes_it_from_its_parent() {
    in_both(|place| {
        let notes = Notes::default();
        let application = Application::new("all")
            .add_service(part("a", &notes))
            .add_service(async_part("b", &notes));
        let running = place.start(application).unwrap();
        place.run(running.services()[1].disown_service_parent()).unwrap();
        assert_eq!(notes.all().last().unwrap(), "b stopped");
        assert_eq!(running.services().len(), 1);
        assert!(running.is_ready());
        // The name is free.
        place.run(running.add_service(async_part("b", &notes))).unwrap();
        place.run(running.stop_service()).unwrap();
    });
}

#[test]
fn a_service_that_was_stopped_can_be_started_again() {
    in_both(|place| {
        let notes = Notes::default();
        let application = Application::new("all")
            .add_service(part("a", &notes))
            .add_service(async_part("b", &notes));
        let running = place.start(application).unwrap();
        place.run(running.stop_service()).unwrap();
        place.run(running.start_service()).unwrap();
        assert!(running.is_ready());
        let b = running.services()[1].clone();
        place.run(b.restart_service()).unwrap();
        assert!(running.is_ready());
        place.run(running.stop_service()).unwrap();
        assert_eq!(notes.count("b started"), 3);
        assert_eq!(notes.count("b stopped"), 3);
        assert_eq!((notes.count("a started"), notes.count("a stopped")), (2, 2));
    });
}

#[test]
fn a_reload_goes_down_the_tree_and_tells_the_first_that_failed() {
    in_both(|place| {
        let notes = Notes::default();
        let inner = MultiService::new("inner").add_service(part("b", &notes));
        let application = Application::new("all")
            .add_service(part("a", &notes))
            .add_service(inner)
            .add_service(part("c", &notes));
        let running = place.start(application).unwrap();
        place.run(running.reload()).unwrap();
        assert_eq!(notes.all()[notes.len() - 3..], ["a reloaded", "b reloaded", "c reloaded"]);
    });
    let (place, notes) = (Place::simulated(1), Notes::default());
    struct Stubborn(Part);
    impl Service for Stubborn {
        fn start_service(&mut self, _: &Running) -> Deferred<()> {
            succeed(())
        }
        fn reload(&mut self, up: &Running) -> Deferred<()> {
            self.0.reload(up)
        }
    }
    let application = Application::new("all")
        .add_service(Stubborn(part("x", &notes).fails()))
        .add_service(part("a", &notes));
    let running = place.start(application).unwrap();
    let failure = place.run(running.reload()).unwrap_err();
    assert_eq!(failure.to_string(), "bad settings");
    assert!(running.is_ready(), "who failed goes on as before");
    assert_eq!(notes.all()[notes.len() - 2..], ["x reloaded", "a reloaded"]);
}
