//! What leaves together, and when.

use super::*;
use ropewalk::UnixName;
use ropewalk::reactor::{Event, Phase};
use std::io::ErrorKind;

/// What a callback that writes datagrams of these lengths makes of them, and that all arrive.
fn sends(lengths: &[usize]) -> Vec<String> {
    let (reactor, calls, socket) = sender();
    let (listener, to) = receiver();
    let datagrams = numbered(lengths);
    let sent = datagrams.clone();
    in_a_callback(&reactor, move || {
        sent.iter().for_each(|data| socket.write_to(data, &to).unwrap());
    });
    assert_eq!(received(&listener), datagrams);
    calls.sends()
}

#[test]
fn a_burst_leaves_in_two_calls() {
    assert_eq!(sends(&[10; 32]), ["1", "31x10"]);
}

#[test]
fn a_shorter_datagram_is_the_last_of_its_train() {
    assert_eq!(sends(&[10, 10, 10, 4, 10, 10]), ["1", "3x10", "2x10"]);
}

#[test]
fn a_single_datagram_and_a_pair_leave_one_by_one() {
    assert_eq!(sends(&[10]), ["1"]);
    assert_eq!(sends(&[10, 10]), ["1", "1"]);
    assert_eq!(sends(&[10, 20, 10, 20]), ["1"; 4]);
}

#[test]
fn empty_datagrams_and_long_ones_leave_one_by_one() {
    assert_eq!(sends(&[0, 0, 0]), ["1"; 3]);
    assert_eq!(sends(&[10, 10, 10, 0, 10]), ["1", "2x10", "1", "1"]);
    assert_eq!(sends(&[40_000, 40_000]), ["1"; 2]);
    assert_eq!(sends(&[65_507]), ["1"]);
    assert_eq!(sends(&[30_000, 30_000, 30_000]), ["1", "2x30000"]);
}

#[test]
fn a_train_has_64_datagrams_or_64_kib_at_most() {
    assert_eq!(sends(&[2; 100]), ["1", "64x2", "35x2"]);
    assert_eq!(sends(&[16_000; 6]), ["1", "4x16000", "1"]);
}

#[test]
fn datagrams_to_two_places_in_turn_leave_in_order() {
    let (reactor, calls, socket) = sender();
    let ((one, first), (two, second)) = (receiver(), receiver());
    in_a_callback(&reactor, move || {
        for number in 0..3u8 {
            socket.write_to([number], &first).unwrap();
            socket.write_to([number], &second).unwrap();
            socket.write_to([number], &second).unwrap();
        }
    });
    assert_eq!(received(&one), [[0], [1], [2]]);
    assert_eq!(received(&two), [[0], [0], [1], [1], [2], [2]]);
    assert_eq!(calls.sends(), ["1"; 9]);
}

#[test]
fn outside_of_a_turn_each_datagram_leaves_at_once() {
    let (_reactor, calls, socket) = sender();
    let (listener, to) = receiver();
    (0..3).for_each(|_| socket.write_to(b"now", &to).unwrap());
    assert_eq!(received(&listener), [b"now"; 3]);
    assert_eq!(calls.sends(), ["1"; 3]);
}

#[test]
fn what_a_socket_answers_leaves_when_all_that_came_was_told() {
    let (driver, calls) = Double::new();
    let reactor = Reactor::with_driver(driver);
    let echo =
        Told(|transport: &DatagramTransport, data: &[u8], from: &_| transport.write_to(data, from));
    let server = reactor.listen_udp("127.0.0.1:0", echo).unwrap();
    let (client, _) = receiver();
    let datagrams = numbered(&[10; 40]);
    for datagram in &datagrams {
        client.send_to(datagram, server.host().socket_addr().unwrap()).unwrap();
    }
    let mut answers = Vec::new();
    while answers.len() < datagrams.len() {
        reactor.turn(Some(Duration::from_millis(5))).unwrap();
        answers.extend(received(&client));
    }
    assert_eq!(answers, datagrams);
    assert_eq!(calls.sends(), ["1", "39x10"]);
}

#[test]
fn a_closed_socket_has_sent_what_it_was_given() {
    let (reactor, calls, socket) = sender();
    let (listener, to) = receiver();
    in_a_callback(&reactor, move || {
        (0..5).for_each(|_| socket.write_to(b"bye", &to).unwrap());
        drop(socket.stop_listening());
        assert!(socket.write_to(b"bye", &to).unwrap_err().to_string().contains("closed"));
    });
    assert_eq!(received(&listener), [b"bye"; 5]);
    assert_eq!(calls.sends(), ["1", "4x3"]);
}

#[test]
fn what_a_trigger_sends_after_the_shutdown_has_left_when_run_returns() {
    let (reactor, calls, _) = sender();
    let (listener, to) = receiver();
    let opening = reactor.clone();
    reactor.add_system_event_trigger(Phase::After, Event::Shutdown, move || {
        let socket = opening.listen_udp("127.0.0.1:0", Told(|_: &_, _: &_, _: &_| Ok(())))?;
        (0..5).try_for_each(|_| socket.write_to(b"bye", &to))
    });
    let stopping = reactor.clone();
    reactor.call_when_running(move || stopping.stop());
    reactor.run().unwrap();
    assert_eq!(received(&listener), [b"bye"; 5]);
    assert_eq!(calls.sends(), ["1", "4x3"]);
}

#[test]
fn an_option_is_changed_after_what_was_sent_before() {
    let (reactor, calls, socket) = sender();
    let (listener, to) = receiver();
    in_a_callback(&reactor, move || {
        (0..3).for_each(|_| socket.write_to(b"one", &to).unwrap());
        socket.set_broadcast(true).unwrap();
        (0..3).for_each(|_| socket.write_to(b"two", &to).unwrap());
    });
    assert_eq!(received(&listener).len(), 6);
    assert_eq!(calls.sends(), ["1", "2x3", "option", "1", "2x3"]);
}

#[test]
fn a_task_sends_in_trains_until_it_waits_to_receive() {
    let (driver, calls) = Double::new();
    let reactor = Reactor::with_driver(driver);
    let socket = reactor.bind_udp("127.0.0.1:0").unwrap();
    let (listener, to) = receiver();
    let back = socket.host().socket_addr().unwrap();
    let seen = calls.clone();
    let asking = reactor.spawn(async move {
        for _ in 0..20 {
            socket.send_to(b"question", &to).await?;
        }
        assert_eq!(seen.sends(), ["1"]);
        let mut buffer = [0; 100];
        socket.recv_from(&mut buffer).await.map(|(length, _)| buffer[..length].to_vec())
    });
    let mut questions = 0;
    while questions < 20 {
        reactor.turn(Some(Duration::from_millis(5))).unwrap();
        questions += received(&listener).len();
    }
    assert_eq!(calls.sends(), ["19x8"]);
    listener.send_to(b"answer", back).unwrap();
    assert_eq!(reactor.run_until(asking).unwrap(), b"answer");
}

#[test]
fn what_two_tasks_send_in_turn_leaves_in_order() {
    let (reactor, _calls, _) = sender();
    let socket = Rc::new(reactor.bind_udp("127.0.0.1:0").unwrap());
    let (listener, to) = receiver();
    let task = |name: u8| {
        let (socket, to) = (socket.clone(), to.clone());
        let transport = socket.transport();
        reactor.spawn(async move {
            for number in 0..10u8 {
                socket.send_to(&[name, number], &to).await?;
                transport.write_to([name, number], &to)?;
                transport.reactor().yield_now().await;
            }
            Ok(())
        })
    };
    let both = [task(0), task(1)];
    both.into_iter().for_each(|task| reactor.run_until(task).unwrap());
    let expected = (0..10).flat_map(|number| [[0, number], [0, number], [1, number], [1, number]]);
    assert_eq!(received(&listener), expected.collect::<Vec<_>>());
}

#[test]
fn a_train_that_the_system_does_not_take_yet_waits_in_order() {
    let (reactor, calls, to, heard) = unix_ear("waits");
    let unnamed = Address::Unix(UnixName::Unnamed);
    let socket = reactor.listen_unix_datagram(unnamed, Told(|_: &_, _: &_, _: &_| Ok(()))).unwrap();
    let datagrams = numbered(&[2, 2, 2, 2, 2, 3, 3, 1, 2]);
    let sent = datagrams.clone();
    calls.next_train.set(Some(ErrorKind::WouldBlock));
    in_a_callback(&reactor, move || {
        sent[..4].iter().for_each(|data| socket.write_to(data, &to).unwrap());
        // Of another kind: the train would leave now, and does not.
        socket.write_to([0; 3], &to).unwrap();
        sent[4..].iter().for_each(|data| socket.write_to(data, &to).unwrap());
        let failure = socket.write_to(vec![0; 256 * 1024], &to).unwrap_err();
        assert!(failure.to_string().contains("wait to be sent already"), "{failure}");
    });
    assert_eq!(calls.sends(), ["1", "3x2"]);
    let mut expected = datagrams;
    expected.insert(4, vec![0; 3]);
    while heard.borrow().len() < expected.len() {
        reactor.turn(None).unwrap();
    }
    assert_eq!(*heard.borrow(), expected);
}

type Heard = Rc<RefCell<Vec<Vec<u8>>>>;

/// A Unix socket that hears what is sent in a train too: it is tried again when it took nothing.
fn unix_ear(name: &str) -> (Reactor, Rc<Calls>, Address, Heard) {
    let (driver, calls) = Double::new();
    calls.takes_apart.set(true);
    let reactor = Reactor::with_driver(driver);
    let name = format!("ropewalk-trains-{name}-{}", std::process::id());
    let at = Address::Unix(UnixName::Abstract(name.into_bytes().into()));
    let heard = Heard::default();
    let to = reactor.listen_unix_datagram(at, ear(&heard)).unwrap().host();
    (reactor, calls, to, heard)
}

#[test]
fn a_datagram_of_a_task_does_not_overtake_those_that_wait() {
    let (reactor, calls, to, heard) = unix_ear("overtakes");
    let socket = reactor.open_unix_datagram(Address::Unix(UnixName::Unnamed)).unwrap();
    calls.next_singles.borrow_mut().push(ErrorKind::WouldBlock);
    socket.transport().write_to(b"first", &to).unwrap();
    let sending = reactor.spawn(async move { socket.send_to(b"second", &to).await });
    reactor.run_until(sending).unwrap();
    while heard.borrow().len() < 2 {
        reactor.turn(None).unwrap();
    }
    assert_eq!(*heard.borrow(), [&b"first"[..], b"second"]);
}
