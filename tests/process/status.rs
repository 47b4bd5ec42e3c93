//! Children whose exit status somebody else takes.

use super::{Told, sh, start};
use futures_util::AsyncReadExt;
use ropewalk::ClientEndpoint;
use ropewalk::process::{ProcessExitedAlready, ProcessStatusUnknown};
use ropewalk::reactor::Signal;
use ropewalk::{Reactor, on_report};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Runs a test's body in a process of its own in which SIGCHLD is ignored from the start.
fn with_children_ignored(name: &str, body: impl FnOnce()) {
    const MARK: &str = "ROPEWALK_TEST_IGNORES_CHILDREN";
    if std::env::var_os(MARK).is_some() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
        assert!(ignored >> (Signal::Child.number() - 1) & 1 == 1, "it is not ignored");
        return body();
    }
    let child = std::process::Command::new("bash")
        .args(["-c", "trap '' CHLD; exec \"$@\"", "bash"])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "yes")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&child.stdout), text(&child.stderr));
    assert!(out.contains("running 1 test"), "no test is called {name}");
    assert!(child.status.success(), "{out}{err}");
}

/// Turns the reactor until the end of a child was told, and a little longer.
fn run_to_the_end_and_on(reactor: &Reactor, told: &Told) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while told.reason.borrow().is_none() {
        assert!(Instant::now() < deadline, "in vain: {:?}", told.events);
        reactor.turn(Some(Duration::from_millis(5))).unwrap();
    }
    (0..100).for_each(|_| reactor.turn(Some(Duration::ZERO)).unwrap());
}

fn reports() -> Rc<RefCell<Vec<String>>> {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let sink = reports.clone();
    on_report(move |report| sink.borrow_mut().push(report.to_string()));
    reports
}

#[test]
fn a_child_is_told_ended_once_though_the_process_ignores_its_children() {
    let name = "status::a_child_is_told_ended_once_though_the_process_ignores_its_children";
    with_children_ignored(name, || {
        let (reactor, reports) = (Reactor::new().unwrap(), reports());
        let (process, told) = start(&reactor, sh("echo heard; exit 3"));
        let ended = process.wait();
        run_to_the_end_and_on(&reactor, &told);
        assert!(told.reason().is::<ProcessStatusUnknown>(), "{}", told.reason());
        assert_eq!(told.heard(1), "heard\n");
        let count = |wanted| told.events.borrow().iter().filter(|event| *event == wanted).count();
        assert_eq!((count("exited"), count("ended")), (1, 1));
        assert_eq!(process.status(), None);
        for ended in [ended, process.wait()] {
            let failure = reactor.run_until(ended).unwrap_err();
            assert!(failure.is::<ProcessStatusUnknown>(), "{failure}");
        }
        assert!(process.signal(Signal::Term).unwrap_err().is::<ProcessExitedAlready>());
        assert_eq!(*reports.borrow(), [""; 0]);
    });
}

#[test]
fn every_way_to_run_a_program_ends_though_the_process_ignores_its_children() {
    let name = "status::every_way_to_run_a_program_ends_though_the_process_ignores_its_children";
    with_children_ignored(name, || {
        let reactor = Reactor::new().unwrap();
        let failure = reactor.run_until(reactor.process_output("true")).unwrap_err();
        assert!(failure.is::<ProcessStatusUnknown>(), "{failure}");
        let failure = reactor.run_until(reactor.process_value("true")).unwrap_err();
        assert!(failure.is::<ProcessStatusUnknown>(), "{failure}");
        let opening = reactor.open_process(sh("echo streamed"));
        let (heard, failure) = reactor
            .run_until(async move {
                let mut child = opening.await?;
                let mut heard = String::new();
                child.stdout.read_to_string(&mut heard).await?;
                Ok((heard, child.wait().await.unwrap_err()))
            })
            .unwrap();
        assert_eq!(heard, "streamed\n");
        assert!(failure.is::<ProcessStatusUnknown>(), "{failure}");
        let program: ClientEndpoint = "process:/bin/echo:whole".parse().unwrap();
        let opening = reactor.open(&program);
        let (heard, error) = reactor
            .run_until(async move {
                let (mut stream, mut heard) = (opening.await?, Vec::new());
                let error = stream.read_to_end(&mut heard).await.unwrap_err();
                Ok((heard, error.to_string()))
            })
            .unwrap();
        assert_eq!(heard, b"whole\n");
        assert!(error.contains("somebody else took its status"), "{error}");
    });
}

#[test]
fn a_child_that_another_part_of_the_process_waited_for_is_told_ended_once() {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let (reactor, reports) = (Reactor::new().unwrap(), reports());
    let (process, told) = start(&reactor, sh("exit 3"));
    let pid = Pid::from_raw(process.pid() as i32).unwrap();
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).unwrap();
    // Its number may be another's by now: nobody else is signalled.
    assert!(process.signal(Signal::Kill).unwrap_err().is::<ProcessExitedAlready>());
    run_to_the_end_and_on(&reactor, &told);
    assert!(told.reason().is::<ProcessStatusUnknown>(), "{}", told.reason());
    let count = |wanted| told.events.borrow().iter().filter(|event| *event == wanted).count();
    assert_eq!((count("exited"), count("ended")), (1, 1));
    assert_eq!(*reports.borrow(), [""; 0]);
}
