//! What arrives together is told one by one, whole and in order, in both faces.

use super::*;
use ropewalk::UdpSocket;

/// Has a socket of the same reactor send bursts of these lengths, one in each callback.
fn send_bursts(reactor: &Reactor, to: &Address, bursts: Vec<Vec<Vec<u8>>>) {
    let any_port = std::net::SocketAddr::new(to.ip().unwrap(), 0);
    let socket = reactor.bind_udp(any_port).unwrap();
    let (transport, to) = (socket.transport(), to.clone());
    let sending = reactor.spawn(async move {
        // It lives as long as the task.
        let _socket = socket;
        for burst in bursts {
            burst.iter().try_for_each(|data| transport.write_to(data, &to))?;
            // Both ends of the loopback have the same loop: now the other reads.
            for _ in 0..3 {
                transport.reactor().sleep(Duration::ZERO).await;
            }
        }
        Ok(())
    });
    drop(sending);
}

fn bursts() -> Vec<Vec<Vec<u8>>> {
    let lengths: [&[usize]; 8] = [
        &[3, 3],
        &[10; 40],
        &[1200, 1200, 1200, 7],
        &[5, 0, 5, 5, 5, 0],
        &[65_507, 20],
        &[30_000, 30_000, 30_000],
        &[2; 70],
        &[9, 8, 7, 7, 7, 8, 9],
    ];
    lengths.map(numbered).to_vec()
}

#[test]
fn bursts_arrive_whole_and_in_order_at_a_protocol() {
    bursts_arrive("127.0.0.1:0");
}

#[test]
fn bursts_over_ipv6_arrive_whole_and_in_order() {
    if StdSocket::bind("[::1]:0").is_err() {
        return println!("not tested: this machine has no IPv6");
    }
    bursts_arrive("[::1]:0");
}

fn bursts_arrive(any_port: &str) {
    let reactor = Reactor::new().unwrap();
    let heard = Rc::default();
    let socket = reactor.listen_udp(any_port, ear(&heard)).unwrap();
    send_bursts(&reactor, &socket.host(), bursts());
    let expected = bursts().concat();
    while heard.borrow().len() < expected.len() {
        reactor.turn(None).unwrap();
    }
    assert_eq!(*heard.borrow(), expected);
}

#[test]
fn bursts_arrive_whole_and_in_order_at_a_task() {
    let reactor = Reactor::new().unwrap();
    let socket = reactor.bind_udp("127.0.0.1:0").unwrap();
    send_bursts(&reactor, &socket.host(), bursts());
    let expected = bursts().concat();
    let count = expected.len();
    let heard = reactor.run_until(async move {
        let (mut heard, mut buffer) = (Vec::new(), vec![0; 65_536]);
        while heard.len() < count {
            let (length, _) = socket.recv_from(&mut buffer).await?;
            heard.push(buffer[..length].to_vec());
        }
        Ok(heard)
    });
    assert_eq!(heard.unwrap(), expected);
}

/// A reactor whose socket has received a burst of datagrams, so that it expects trains.
fn expecting() -> (Reactor, Rc<Calls>, UdpSocket) {
    let (driver, calls) = Double::new();
    let reactor = Reactor::with_driver(driver);
    let socket = reactor.bind_udp("127.0.0.1:0").unwrap();
    let (other, to) = (StdSocket::bind("127.0.0.1:0").unwrap(), socket.host());
    (0..BURST).for_each(|_| assert!(other.send_to(b"x", to.socket_addr().unwrap()).is_ok()));
    let socket = reactor.run_until(async move {
        for _ in 0..BURST {
            socket.recv_from(&mut [0; 1]).await?;
        }
        Ok(socket)
    });
    (reactor, calls, socket.unwrap())
}

/// So many without a pause, and a socket expects trains.
const BURST: usize = 8;

fn burst_to(reactor: &Reactor, to: &Address, burst: Vec<Vec<u8>>) {
    let sender = reactor.listen_udp("127.0.0.1:0", Told(|_: &_, _: &_, _: &_| Ok(()))).unwrap();
    let to = to.clone();
    in_a_callback(reactor, move || {
        burst.iter().for_each(|data| sender.write_to(data, &to).unwrap());
        drop(sender.stop_listening());
    });
}

#[test]
fn a_train_is_received_in_one_call() {
    let (reactor, calls, socket) = expecting();
    burst_to(&reactor, &socket.host(), numbered(&[10; 32]));
    calls.receives.set(0);
    let heard = reactor.run_until(async move {
        let mut heard = Vec::new();
        while heard.len() < 32 {
            let mut buffer = [0; 10];
            socket.recv_from(&mut buffer).await?;
            heard.push(buffer.to_vec());
        }
        Ok(heard)
    });
    assert_eq!(heard.unwrap(), numbered(&[10; 32]));
    assert_eq!(calls.receives.get(), 2, "the first, and the train of the others");
}

#[test]
fn a_buffer_that_is_too_short_loses_one_datagram_of_a_train_and_says_how_long_it_was() {
    let (reactor, _calls, socket) = expecting();
    burst_to(&reactor, &socket.host(), numbered(&[10, 10, 10, 10]));
    let heard = reactor.run_until(async move {
        let mut buffer = [0; 100];
        socket.recv_from(&mut buffer).await?;
        socket.recv_from(&mut buffer).await?;
        let failure = socket.recv_from(&mut buffer[..9]).await.unwrap_err();
        assert!(failure.to_string().contains("10 bytes, over 9"), "{failure}");
        let (length, _) = socket.recv_from(&mut buffer).await?;
        Ok(buffer[..length].to_vec())
    });
    assert_eq!(heard.unwrap(), numbered(&[10; 4])[3]);
}

#[test]
fn a_socket_that_is_closed_by_its_transport_forgets_what_no_task_asked_for() {
    let (reactor, _calls, socket) = expecting();
    burst_to(&reactor, &socket.host(), numbered(&[10; 5]));
    let failure = reactor.run_until(async move {
        let mut buffer = [0; 100];
        socket.recv_from(&mut buffer).await?;
        socket.recv_from(&mut buffer).await?;
        socket.transport().stop_listening().await?;
        socket.recv_from(&mut buffer).await.map(drop)
    });
    assert!(failure.unwrap_err().to_string().contains("closed"));
}

#[test]
fn a_protocol_that_stops_its_socket_hears_no_more_of_a_train() {
    let reactor = Reactor::new().unwrap();
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    let closing = Told(move |transport: &DatagramTransport, _: &_, _: &_| {
        counted.set(counted.get() + 1);
        if counted.get() == 10 {
            drop(transport.stop_listening());
        }
        Ok(())
    });
    let socket = reactor.listen_udp("127.0.0.1:0", closing).unwrap();
    burst_to(&reactor, &socket.host(), numbered(&[10; 30]));
    while count.get() < 10 {
        reactor.turn(None).unwrap();
    }
    (0..5).for_each(|_| reactor.turn(Some(Duration::ZERO)).unwrap());
    assert_eq!(count.get(), 10);
}

#[test]
fn an_error_or_a_panic_does_not_silence_the_rest_of_a_train() {
    let reports = reports();
    let reactor = Reactor::new().unwrap();
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    let failing = Told(move |_: &_, data: &[u8], _: &_| {
        counted.set(counted.get() + 1);
        match data[1] {
            5 => Err(Failure::msg("as asked")),
            7 => panic!("as asked"),
            _ => Ok(()),
        }
    });
    let socket = reactor.listen_udp("127.0.0.1:0", failing).unwrap();
    burst_to(&reactor, &socket.host(), numbered(&[10; 30]));
    while count.get() < 30 {
        reactor.turn(None).unwrap();
    }
    assert_eq!((count.get(), reports.borrow().len()), (30, 2), "{reports:?}");
}

#[test]
fn more_than_a_turns_share_arrives_over_several_turns() {
    let reactor = Reactor::new().unwrap();
    let heard = Rc::default();
    let socket = reactor.listen_udp("127.0.0.1:0", ear(&heard)).unwrap();
    let expected = numbered(&[10; 200]);
    burst_to(&reactor, &socket.host(), expected.clone());
    let mut turns = 0;
    while heard.borrow().len() < expected.len() {
        let before = heard.borrow().len();
        reactor.turn(None).unwrap();
        let told = heard.borrow().len() - before;
        assert!(told <= 64 + 128, "{told} in one turn");
        turns += usize::from(told > 0);
    }
    assert!(turns > 2, "{turns} turns");
    assert_eq!(*heard.borrow(), expected);
}

#[test]
fn a_train_to_a_group_reaches_every_member() {
    let reactor = Reactor::new().unwrap();
    let group = std::net::Ipv4Addr::new(239, 255, 77, 2);
    let join = |port: u16| {
        let heard = Rc::default();
        let member = reactor.listen_multicast((group, port), ear(&heard)).unwrap();
        member.join_group(group.into(), std::net::Ipv4Addr::LOCALHOST).unwrap();
        (member.host(), heard)
    };
    let (to, first) = join(0);
    let (_, second) = join(to.port().unwrap());
    let (transport, burst) = (sender_to_groups(&reactor), numbered(&[10; 20]));
    // The first burst makes them expect trains, the second comes as one.
    for bursts in 1..=2 {
        let (transport, to, burst) = (transport.clone(), to.clone(), burst.clone());
        in_a_callback(&reactor, move || {
            burst.iter().for_each(|data| transport.write_to(data, &to).unwrap());
        });
        while first.borrow().len().min(second.borrow().len()) < 20 * bursts {
            reactor.turn(None).unwrap();
        }
    }
    let expected = [burst.clone(), burst].concat();
    assert_eq!(*first.borrow(), expected);
    assert_eq!(*second.borrow(), expected);
}

fn sender_to_groups(reactor: &Reactor) -> DatagramTransport {
    let sender = reactor.listen_udp("127.0.0.1:0", Told(|_: &_, _: &_, _: &_| Ok(()))).unwrap();
    sender.set_multicast_interface(std::net::Ipv4Addr::LOCALHOST).unwrap();
    sender.set_multicast_ttl(0).unwrap();
    sender
}
