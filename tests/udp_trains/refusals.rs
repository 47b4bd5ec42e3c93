//! Who takes no trains gets the datagrams one by one; what fails in a train is told or reported.

use super::*;
use std::io::ErrorKind;

/// Sends bursts of these lengths to a listener that must get all of them.
fn sends_refused(refuses: (usize, ErrorKind), bursts: &[&[usize]]) -> Vec<String> {
    let (reactor, calls, socket) = sender();
    calls.refuses.set(Some(refuses));
    let (listener, to) = receiver();
    for lengths in bursts {
        let datagrams = numbered(lengths);
        let (sent, socket, to) = (datagrams.clone(), socket.clone(), to.clone());
        in_a_callback(&reactor, move || {
            sent.iter().for_each(|data| socket.write_to(data, &to).unwrap());
        });
        assert_eq!(received(&listener), datagrams);
    }
    calls.sends()
}

#[test]
fn a_length_that_does_not_go_in_trains_is_not_tried_again_and_shorter_ones_are() {
    let bursts: [&[usize]; 3] = [&[20, 20, 20, 5], &[20, 20, 20], &[10, 10, 10]];
    let sends = sends_refused((15, ErrorKind::InvalidInput), &bursts);
    assert_eq!(sends, ["1", "3x20", "1", "1", "1", "1", "1", "1", "1", "2x10"]);
}

#[test]
fn where_no_trains_go_none_is_tried_again() {
    let bursts: [&[usize]; 2] = [&[20, 20, 20], &[10, 10, 10]];
    let sends = sends_refused((0, ErrorKind::Unsupported), &bursts);
    assert_eq!(sends, ["1", "2x20", "1", "1", "1", "1", "1"]);
}

#[test]
fn what_fails_for_once_in_a_train_goes_one_by_one_for_once() {
    let (reactor, calls, socket) = sender();
    let (listener, to) = receiver();
    calls.next_train.set(Some(ErrorKind::PermissionDenied));
    in_a_callback(&reactor, move || {
        (0..5).for_each(|_| socket.write_to(b"all", &to).unwrap());
    });
    assert_eq!(received(&listener), [b"all"; 5]);
    assert_eq!(calls.sends(), ["1", "4x3", "1", "3x3"]);
}

/// What five datagrams become, the first of which, or the train of the others, finds no memory.
fn short_of_memory(prepare: impl FnOnce(&Calls)) -> Vec<String> {
    let (reports, (reactor, calls, socket)) = (reports(), sender());
    let (listener, to) = receiver();
    prepare(&calls);
    let all = numbered(&[20; 5]);
    let sent = all.clone();
    in_a_callback(&reactor, move || {
        sent.iter().for_each(|data| socket.write_to(data, &to).unwrap());
    });
    let mut heard = received(&listener);
    assert!(heard.len() < all.len());
    while heard.len() < all.len() {
        reactor.turn(None).unwrap();
        heard.extend(received(&listener));
    }
    assert_eq!(heard, all);
    assert_eq!(*reports.borrow(), [""; 0]);
    calls.sends()
}

#[test]
fn datagrams_that_find_no_memory_wait_and_leave_in_order() {
    let short = ErrorKind::OutOfMemory;
    let sends = short_of_memory(|calls| drop(calls.next_singles.replace(vec![short])));
    assert_eq!(sends, ["1", "5x20"]);
    let sends = short_of_memory(|calls| calls.next_train.set(Some(short)));
    assert_eq!(sends, ["1", "4x20", "4x20"]);
}

#[test]
fn a_task_whose_datagram_finds_no_memory_waits_until_it_is_sent() {
    let (driver, calls) = Double::new();
    let reactor = Reactor::with_driver(driver);
    let socket = reactor.bind_udp("127.0.0.1:0").unwrap();
    let (listener, to) = receiver();
    calls.next_singles.replace(vec![ErrorKind::OutOfMemory; 3]);
    let sending = reactor.spawn(async move { socket.send_to(b"at last", &to).await });
    reactor.run_until(sending).unwrap();
    assert_eq!(received(&listener), [b"at last"]);
    assert_eq!(calls.sends(), ["1"; 4]);
}

#[test]
fn what_fails_after_it_was_gathered_is_reported_for_each_datagram() {
    let reports = reports();
    let (reactor, calls, socket) = sender();
    let (_listener, to) = receiver();
    let (refusing, sent_to) = (calls.clone(), to.clone());
    in_a_callback(&reactor, move || {
        (0..4).for_each(|_| socket.write_to(b"lost", &sent_to).unwrap());
        refusing.refuses.set(Some((0, ErrorKind::PermissionDenied)));
        refusing.singles.set(Some(ErrorKind::PermissionDenied));
    });
    assert_eq!(reports.borrow().len(), 3, "{reports:?}");
    let expected = "cannot send a datagram of 4 bytes from";
    assert!(reports.borrow()[0].contains(expected), "{reports:?}");
    assert!(reports.borrow()[0].contains(&to.to_string()), "{reports:?}");
}

#[test]
fn who_answers_a_report_with_another_datagram_keeps_the_order() {
    let (reactor, calls, socket) = sender();
    let (listener, to) = receiver();
    let (transport, place, allowing) = (socket.clone(), to.clone(), calls.clone());
    on_report(move |_| {
        allowing.singles.set(None);
        allowing.refuses.set(None);
        // The last datagram went well: this is like it.
        transport.write_to(b"after", &place).unwrap();
    });
    in_a_callback(&reactor, move || {
        (0..3).for_each(|_| socket.write_to(b"first", &to).unwrap());
        calls.refuses.set(Some((0, ErrorKind::PermissionDenied)));
        calls.singles.set(Some(ErrorKind::PermissionDenied));
    });
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(received(&listener), [&b"first"[..], b"after", b"after"]);
}

/// Counts refusals.
struct Refused(Rc<Cell<usize>>);

impl DatagramProtocol for Refused {
    fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }

    fn connection_refused(&mut self, _: &DatagramTransport, _: &Failure) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_refusal_in_the_midst_of_a_burst_is_told_once_and_the_train_arrives() {
    let (driver, calls) = Double::new();
    let reactor = Reactor::with_driver(driver);
    let refusals = Rc::new(Cell::new(0));
    let socket = reactor.listen_udp("127.0.0.1:0", Refused(refusals.clone())).unwrap();
    let at = StdSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    socket.connect(at).unwrap();
    let listener = Rc::new(RefCell::new(None));
    let bound = listener.clone();
    in_a_callback(&reactor, move || {
        socket.write(b"refused").unwrap();
        let listener = StdSocket::bind(at).unwrap();
        listener.set_nonblocking(true).unwrap();
        bound.replace(Some(listener));
        (0..9).for_each(|_| socket.write_to(b"arrives", &at.into()).unwrap());
    });
    assert_eq!(received(listener.borrow().as_ref().unwrap()), [b"arrives"; 9]);
    while refusals.get() == 0 {
        reactor.turn(Some(Duration::from_millis(5))).unwrap();
    }
    (0..3).for_each(|_| reactor.turn(Some(Duration::ZERO)).unwrap());
    assert_eq!(refusals.get(), 1);
    assert_eq!(calls.sends(), ["1", "9x7", "9x7"], "the first train met the refusal");
}

#[test]
fn a_refusal_is_told_though_what_met_it_has_to_wait() {
    let (driver, calls) = Double::new();
    let reactor = Reactor::with_driver(driver);
    let refusals = Rc::new(Cell::new(0));
    let socket = reactor.listen_udp("127.0.0.1:0", Refused(refusals.clone())).unwrap();
    let (_listener, to) = receiver();
    socket.connect(to).unwrap();
    // Of an earlier datagram; then there is no room.
    calls.next_singles.replace(vec![ErrorKind::WouldBlock, ErrorKind::ConnectionRefused]);
    socket.write(b"waits").unwrap();
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(refusals.get(), 1);
}

/// What gives a namespace a loopback that carries 1400 bytes in one piece.
const NARROW: &str = "ip link set lo mtu 1400 up && exec \"$0\" \"$@\"";
/// What says to a process that it has such a loopback.
const NARROWED: &str = "ROPEWALK_TEST_NARROWED";

#[test]
fn datagrams_over_the_mtu_of_the_path_arrive_too() {
    if std::env::var_os(NARROWED).is_some() {
        return over_a_narrow_loopback();
    }
    let mut command = std::process::Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", NARROW]);
    command.arg(std::env::current_exe().unwrap()).env(NARROWED, "yes");
    command.args(["datagrams_over_the_mtu_of_the_path_arrive_too", "--nocapture"]);
    let output = command.output();
    let began = |output: &std::process::Output| output.stdout.starts_with(b"\nrunning 1 test");
    let Some(output) = output.ok().filter(began) else {
        return println!("not tested: a namespace is not to be had");
    };
    assert!(output.status.success(), "{output:?}");
}

fn over_a_narrow_loopback() {
    let (reactor, calls, socket) = sender();
    let (listener, to) = receiver();
    for length in [2000, 1800, 1000] {
        let datagrams = numbered(&[length; 5]);
        let (sent, socket, to) = (datagrams.clone(), socket.clone(), to.clone());
        in_a_callback(&reactor, move || {
            sent.iter().for_each(|data| socket.write_to(data, &to).unwrap());
        });
        assert_eq!(received(&listener), datagrams);
    }
    let expected = "1 4x2000 1 1 1 1 1 4x1800 1 1 1 1 1 4x1000";
    assert_eq!(calls.sends().join(" "), expected);
}
