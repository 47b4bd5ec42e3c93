//! Signals to this process. Each test has a signal of its own: they are the whole process'.

#![cfg(feature = "signals")]
#![allow(clippy::unwrap_used)] // A test that finds no value shall fail.
#![allow(clippy::unit_arg, reason = "what comes to nothing is handed on in one line")]

use ropewalk::Reactor;
use ropewalk::deferred::Cancelled;
use ropewalk::reactor::Signal;
use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::rc::Rc;

/// Sends a signal to this process, and returns when it was sent.
fn raise(signal: Signal) {
    kill(signal, std::process::id());
}

fn kill(signal: Signal, process: u32) {
    let script = format!("kill -{} {process}", signal.number());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

fn turn_until(reactor: &Reactor, is_enough: impl Fn() -> bool) {
    while !is_enough() {
        reactor.turn(None).unwrap();
    }
}

#[test]
fn every_watch_hears_every_signal_until_it_is_removed() {
    let reactor = Reactor::new().unwrap();
    let counts = [0; 2].map(|_| Rc::new(Cell::new(0)));
    let [first, second] = [0, 1].map(|n| {
        let count = counts[n].clone();
        reactor.on_signal(Signal::Usr1, move || count.set(count.get() + 1)).unwrap()
    });
    raise(Signal::Usr1);
    turn_until(&reactor, || counts.iter().all(|count| count.get() == 1));
    first.remove();
    raise(Signal::Usr1);
    turn_until(&reactor, || counts[1].get() == 2);
    assert_eq!(counts[0].get(), 1);
    second.remove();
}

#[test]
fn a_signal_that_came_before_the_reactor_runs_is_heard_when_it_does() {
    let reactor = Reactor::new().unwrap();
    let signal = reactor.signal(Signal::Usr2);
    raise(Signal::Usr2);
    reactor.run_until(signal).unwrap();
}

#[test]
fn a_deferred_signal_fires_once_and_can_be_cancelled() {
    let reactor = Reactor::new().unwrap();
    let (cancelled, kept) = (reactor.signal(Signal::Cont), reactor.signal(Signal::Cont));
    cancelled.cancel();
    raise(Signal::Cont);
    reactor.run_until(kept).unwrap();
    assert!(reactor.run_until(cancelled).unwrap_err().is::<Cancelled>());
}

#[test]
fn a_watch_may_remove_itself_and_is_then_called_no_more() {
    let reactor = Reactor::new().unwrap();
    let (count, watch) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    let (heard, own) = (count.clone(), watch.clone());
    let made = reactor.on_signal(Signal::Winch, move || {
        heard.set(heard.get() + 1);
        let own: Option<ropewalk::reactor::SignalWatch> = own.take();
        own.unwrap().remove();
    });
    watch.set(Some(made.unwrap()));
    raise(Signal::Winch);
    raise(Signal::Winch);
    turn_until(&reactor, || count.get() > 0);
    raise(Signal::Winch);
    reactor.run_until(async { Ok(()) }).unwrap();
    assert_eq!(count.get(), 1);
}

#[test]
fn a_deferred_signal_fails_when_the_reactor_shuts_down() {
    let reactor = Reactor::new().unwrap();
    let signal = reactor.signal(Signal::Alarm);
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    reactor.run().unwrap();
    assert!(reactor.run_until(signal).is_err());
}

#[test]
fn signals_that_cannot_be_caught_are_refused_by_name() {
    let reactor = Reactor::new().unwrap();
    let failure = reactor.on_signal(Signal::Kill, || ()).unwrap_err();
    assert_eq!(failure.to_string(), "cannot watch SIGKILL: it cannot be caught");
    let failure = reactor.run_until(reactor.signal(Signal::Stop)).unwrap_err();
    assert!(failure.to_string().starts_with("cannot watch SIGSTOP"));
}

/// Runs the test of this name again in a process of its own, where `role` says so to it.
fn in_a_process_of_its_own(test: &str, role: fn(), prelude: &str) -> Option<ExitStatus> {
    const MARK: &str = "ROPEWALK_TEST_ROLE";
    if std::env::var_os(MARK).is_some() {
        role();
        return None;
    }
    let program = std::env::current_exe().unwrap();
    let script = format!("{prelude} exec \"$0\" --exact {test}");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(program).env(MARK, "1");
    Some(command.output().unwrap().status)
}

#[test]
fn a_signal_has_its_former_effect_again_when_the_last_watch_goes() {
    let role = || {
        let reactor = Reactor::new().unwrap();
        for _ in 0..2 {
            let signal = reactor.signal(Signal::Hup);
            raise(Signal::Hup);
            reactor.run_until(signal).unwrap();
        }
        raise(Signal::Hup);
        // Any thread may be the one that takes the signal: this one waits for the end, unless none comes.
        let (_silent, never) = std::sync::mpsc::channel::<()>();
        let _ = never.recv_timeout(std::time::Duration::from_secs(if is_ignored(Signal::Hup) {
            0
        } else {
            20
        }));
        std::process::exit(77);
    };
    let test = "a_signal_has_its_former_effect_again_when_the_last_watch_goes";
    if let Some(status) = in_a_process_of_its_own(test, role, "") {
        // Whoever started the tests may have had it ignored, and then that is its former effect.
        let expected = if is_ignored(Signal::Hup) { None } else { Some(Signal::Hup.number()) };
        assert_eq!(status.signal(), expected, "{status}");
    }
}

/// Whether this process was started with the signal ignored.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal.number() - 1) & 1 == 1
}

/// Runs until a signal came that nobody ignores, and a little longer; fails if the reactor was stopped.
fn outlast(reactor: &Reactor, ignored: Signal) -> ropewalk::Result {
    let later = reactor.signal(Signal::Usr1);
    reactor.call_when_running(move || {
        raise(ignored);
        raise(Signal::Usr1);
    });
    reactor.run_until(async {
        later.await?;
        // What came before is heard in the same turn at the latest.
        reactor.yield_now().await;
        Ok(reactor.yield_now().await)
    })
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_from_the_start_stops_no_reactor() {
    let role = || {
        let reactor = Reactor::new().unwrap();
        outlast(&reactor, Signal::Int).unwrap();
        outlast(&reactor, Signal::Term).unwrap();
        std::process::exit(77);
    };
    let test = "a_signal_that_was_ignored_from_the_start_stops_no_reactor";
    if let Some(status) = in_a_process_of_its_own(test, role, "trap '' INT TERM;") {
        assert_eq!(status.code(), Some(77), "{status}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_background_job_of_a_shell_is_not_stopped_by_ctrl_c() {
    let role = || {
        let reactor = Reactor::new().unwrap();
        outlast(&reactor, Signal::Int).unwrap();
        // SIGTERM is not ignored there, and stops it in order.
        reactor.call_when_running(|| raise(Signal::Term));
        reactor.run().unwrap();
        std::process::exit(77);
    };
    let test = "a_background_job_of_a_shell_is_not_stopped_by_ctrl_c";
    let prelude =
        "\"$0\" --exact a_background_job_of_a_shell_is_not_stopped_by_ctrl_c & wait $!; exit $?;";
    if let Some(status) = in_a_process_of_its_own(test, role, prelude) {
        assert_eq!(status.code(), Some(77), "{status}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_watch_of_a_signal_that_was_ignored_from_the_start_hears_nothing() {
    let role = || {
        let reactor = Reactor::new().unwrap();
        let heard = Rc::new(Cell::new(0));
        let count = heard.clone();
        let watch = reactor.on_signal(Signal::Hup, move || count.set(count.get() + 1)).unwrap();
        let never = reactor.signal(Signal::Hup);
        outlast(&reactor, Signal::Hup).unwrap();
        assert!(watch.is_ignored() && heard.get() == 0);
        watch.remove();
        never.cancel();
        raise(Signal::Hup);
        std::process::exit(77);
    };
    let test = "a_watch_of_a_signal_that_was_ignored_from_the_start_hears_nothing";
    if let Some(status) = in_a_process_of_its_own(test, role, "trap '' HUP;") {
        assert_eq!(status.code(), Some(77), "{status}");
    }
}

#[test]
fn sigpipe_can_be_watched_though_rusts_runtime_ignores_it() {
    let reactor = Reactor::new().unwrap();
    let watch = reactor.on_signal(Signal::Pipe, || ()).unwrap();
    assert!(!watch.is_ignored());
    let signal = reactor.signal(Signal::Pipe);
    raise(Signal::Pipe);
    reactor.run_until(signal).unwrap();
}

/// Whether it happens before long: any thread may be the one that takes a signal.
#[cfg(target_os = "linux")]
fn soon(happened: impl Fn() -> bool) -> bool {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while std::time::Instant::now() < deadline {
        if happened() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[cfg(target_os = "linux")]
#[test]
fn a_handler_that_the_application_had_before_is_in_force_during_and_after_a_run() {
    let role = || {
        let own = [Signal::Int, Signal::Term].map(|signal| {
            let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            signal_hook::flag::register(signal.number(), flag.clone()).unwrap();
            (signal, flag)
        });
        for (signal, flag) in own {
            let heard = || flag.swap(false, std::sync::atomic::Ordering::SeqCst);
            let reactor = Reactor::new().unwrap();
            for _ in 0..2 {
                reactor.call_when_running(move || raise(signal));
                reactor.run().unwrap();
                assert!(soon(heard), "during the run");
                raise(signal);
                assert!(soon(heard), "after the run, and the process lives");
            }
        }
        std::process::exit(77);
    };
    let test = "a_handler_that_the_application_had_before_is_in_force_during_and_after_a_run";
    if let Some(status) = in_a_process_of_its_own(test, role, "") {
        assert!(status.code() == Some(77) || is_ignored(Signal::Int), "{status}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_handler_that_the_application_had_before_is_in_force_after_a_watch() {
    let role = || {
        let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(Signal::Hup.number(), flag.clone()).unwrap();
        let heard = || flag.swap(false, std::sync::atomic::Ordering::SeqCst);
        let reactor = Reactor::new().unwrap();
        let signal = reactor.signal(Signal::Hup);
        raise(Signal::Hup);
        reactor.run_until(signal).unwrap();
        assert!(soon(heard), "beside the watch");
        raise(Signal::Hup);
        assert!(soon(heard), "after the watch, and the process lives");
        std::process::exit(77);
    };
    let test = "a_handler_that_the_application_had_before_is_in_force_after_a_watch";
    if let Some(status) = in_a_process_of_its_own(test, role, "") {
        assert_eq!(status.code(), Some(77), "{status}");
    }
}

#[test]
fn a_watch_of_sigterm_takes_the_place_of_stopping() {
    let role = || {
        let reactor = Reactor::new().unwrap();
        let (count, stopper) = (Rc::new(Cell::new(0)), reactor.clone());
        let heard = count.clone();
        let watch = reactor.on_signal(Signal::Term, move || heard.set(heard.get() + 1)).unwrap();
        reactor.call_when_running(|| raise(Signal::Term));
        let seen = count.clone();
        let outcome = reactor.run_until(async move {
            while seen.get() == 0 {
                stopper.yield_now().await;
            }
            Ok(())
        });
        outcome.unwrap();
        watch.remove();
        // Nobody has taken it over now: it stops the reactor.
        reactor.call_when_running(|| raise(Signal::Term));
        reactor.run().unwrap();
        std::process::exit(if count.get() == 1 { 77 } else { 1 });
    };
    let test = "a_watch_of_sigterm_takes_the_place_of_stopping";
    if let Some(status) = in_a_process_of_its_own(test, role, "") {
        assert_eq!(status.code(), Some(77), "{status}");
    }
}
