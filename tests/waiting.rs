//! A loop whose system refuses to wait as it is asked to: sandboxes, shortages.

#![cfg(target_os = "linux")]

#[path = "kit/peers.rs"]
mod peers;

use peers::with_faults;
use ropewalk::{Reactor, Result, on_report};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

fn reports() -> Rc<RefCell<Vec<String>>> {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let sink = reports.clone();
    on_report(move |report| sink.borrow_mut().push(report.to_string()));
    reports
}

/// Sleeps so often, each time so long, and then hears from a thread.
fn live(reactor: &Reactor, times: u32, length: Duration) {
    let begun = Instant::now();
    for _ in 0..times {
        let sleep = reactor.sleep(length);
        let slept = reactor.run_until(async move {
            sleep.await;
            Ok(())
        });
        slept.expect("a run that goes on");
    }
    assert!(begun.elapsed() >= length * times, "it did not wait");
    let thread = reactor.defer_to_thread(|| -> Result<u8> { Ok(7) });
    assert_eq!(reactor.run_until(thread).expect("a run that goes on"), 7);
}

fn forbidden(name: &str, error: &str) {
    with_faults(name, &format!("epoll_pwait2:error={error}"), || {
        let (reactor, reports) = (Reactor::new().expect("a reactor"), reports());
        live(&reactor, 5, Duration::from_millis(2));
        assert_eq!(*reports.borrow(), [""; 0]);
    });
}

#[test]
fn a_sandbox_that_forbids_the_finer_wait_does_not_end_the_run() {
    forbidden("a_sandbox_that_forbids_the_finer_wait_does_not_end_the_run", "EPERM");
}

#[test]
fn a_system_without_the_finer_wait_waits_in_milliseconds() {
    forbidden("a_system_without_the_finer_wait_waits_in_milliseconds", "ENOSYS");
}

#[test]
fn a_sandbox_that_denies_the_finer_wait_with_a_word_of_its_own_does_not_end_the_run() {
    let name = "a_sandbox_that_denies_the_finer_wait_with_a_word_of_its_own_does_not_end_the_run";
    forbidden(name, "EACCES");
}

#[test]
fn a_wait_that_a_signal_interrupts_is_waited_to_its_end() {
    let name = "a_wait_that_a_signal_interrupts_is_waited_to_its_end";
    let faults = "epoll_pwait2,epoll_wait:error=EINTR:when=1+2";
    with_faults(name, faults, || {
        let (reactor, reports) = (Reactor::new().expect("a reactor"), reports());
        live(&reactor, 3, Duration::from_millis(2));
        live(&reactor, 2, Duration::from_millis(150));
        assert_eq!(*reports.borrow(), [""; 0]);
    });
}

#[test]
fn a_wait_that_fails_for_want_of_memory_is_reported_once_and_tried_again() {
    let name = "a_wait_that_fails_for_want_of_memory_is_reported_once_and_tried_again";
    let faults = "epoll_pwait2,epoll_wait:error=ENOMEM:when=2..9";
    with_faults(name, faults, || {
        let (reactor, reports) = (Reactor::new().expect("a reactor"), reports());
        live(&reactor, 3, Duration::from_millis(2));
        live(&reactor, 2, Duration::from_millis(150));
        let reports = reports.borrow();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(reports[0].contains("cannot wait for events"), "{reports:?}");
    });
}

#[test]
fn a_wait_that_cannot_be_made_at_all_ends_the_run_with_the_systems_reason() {
    let name = "a_wait_that_cannot_be_made_at_all_ends_the_run_with_the_systems_reason";
    with_faults(name, "epoll_pwait2,epoll_wait:error=EBADF", || {
        let reactor = Reactor::new().expect("a reactor");
        let sleep = reactor.sleep(Duration::from_secs(3600));
        let slept = reactor.run_until(async move {
            sleep.await;
            Ok(())
        });
        let failure = slept.expect_err("no wait");
        assert!(failure.to_string().contains("Bad file descriptor"), "{failure}");
    });
}
