//! Children on a terminal of their own.

use super::*;

#[test]
fn a_child_on_a_terminal_has_one_of_its_own_of_the_size_asked_for() {
    let told =
        run(sh("test -t 0 && test -t 1 && test -t 2 && stty size && tty </dev/tty")
            .terminal(31, 97));
    assert!(told.heard(1).starts_with("31 97\r\n/dev/"), "{:?}", told.events);
    assert!(told.reason().is::<ProcessDone>());
}

#[test]
fn a_terminal_reads_lines_until_ctrl_d() {
    let reactor = Reactor::new().unwrap();
    let (process, told) = start(&reactor, sh("stty -echo; echo ready; cat").terminal(24, 80));
    while told.heard(1) != "ready\r\n" {
        reactor.turn(None).unwrap();
    }
    process.write(b"one\ntwo\n");
    process.close_stdin();
    reactor.run().unwrap();
    assert_eq!(told.heard(1), "ready\r\none\r\ntwo\r\n");
    assert!(told.reason().is::<ProcessDone>());
}

#[test]
fn a_terminal_and_other_descriptors_exclude_each_other() {
    let reactor = Reactor::new().unwrap();
    let options = sh("true").terminal(24, 80).descriptor(1, ChildDescriptor::Null);
    let failure = reactor.run_until(reactor.open_process(options)).unwrap_err();
    assert!(failure.to_string().contains("ask for one or the other"), "{failure}");
}

/// A child that says when it reads, and when that is over.
fn reading() -> ProcessOptions {
    sh("stty -echo; echo ready; cat; echo over").terminal(24, 80)
}

#[test]
fn half_a_line_and_the_end_of_standard_input_are_an_end() {
    for (typed, heard) in
        [("", ""), ("half", "half"), ("one\nhalf", "one\r\nhalf"), ("one\n", "one\r\n")]
    {
        let reactor = Reactor::new().unwrap();
        let (process, told) = start(&reactor, reading());
        kit::until(&reactor, "it reads", || told.heard(1) == "ready\r\n");
        process.write(typed);
        process.close_stdin();
        process.write("dropped");
        kit::until(&reactor, "it ends", || told.reason.borrow().is_some());
        assert_eq!(told.heard(1), format!("ready\r\n{heard}over\r\n"));
        assert!(told.reason().is::<ProcessDone>());
    }
}

#[test]
fn the_end_of_standard_input_behind_more_than_a_terminal_takes_at_once_is_an_end() {
    let reactor = Reactor::new().unwrap();
    let (process, told) = start(&reactor, reading());
    kit::until(&reactor, "it reads", || told.heard(1) == "ready\r\n");
    process.write("a line\n".repeat(50_000));
    process.write("half");
    process.close_stdin();
    kit::until(&reactor, "it ends", || told.reason.borrow().is_some());
    assert_eq!(told.heard(1).matches("a line\r\n").count(), 50_000);
    assert!(told.heard(1).ends_with("halfover\r\n"));
}

#[test]
fn the_close_of_a_terminals_stream_is_an_end_and_what_the_child_says_then_is_heard() {
    let reactor = Reactor::new().unwrap();
    let opening = reactor.open_process(reading());
    let heard = reactor.run_until(reactor.spawn(async move {
        let mut child = opening.await?;
        let mut ready = [0; 7];
        child.stdout.read_exact(&mut ready).await?;
        child.stdin.write_all(b"half").await?;
        child.stdin.close().await?;
        let mut heard = String::new();
        child.stdout.read_to_string(&mut heard).await?;
        assert!(child.wait().await?.success());
        Ok(heard)
    }));
    assert_eq!(heard.unwrap(), "halfover\r\n");
}
