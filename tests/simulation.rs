//! What the simulated network promises, seen from outside.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::net::ConnectError;
use ropewalk::simulation::{Deadlock, Faults, Host, Latency, Link, Simulation, Why};
use ropewalk::{Address, ClientEndpoint, Deferred, Failure, Protocol, Reactor, Transport};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

fn serve_echo(host: &Host) {
    host.boot(|reactor| {
        reactor.serve("0.0.0.0:7", async |mut stream| {
            let mut buffer = [0; 512];
            loop {
                let count = stream.read(&mut buffer).await?;
                if count == 0 {
                    return Ok(());
                }
                stream.write_all(&buffer[..count]).await?;
            }
        })?;
        Ok(())
    });
}

fn ask(reactor: &Reactor, question: Vec<u8>) -> Deferred<Vec<u8>> {
    let asker = reactor.clone();
    reactor.spawn(async move {
        let (mut read, mut write) = asker.open("server:7").await?.split();
        let writing = asker.spawn(async move {
            write.write_all(&question).await?;
            write.close().await?;
            Ok(())
        });
        let mut answer = Vec::new();
        read.read_to_end(&mut answer).await?;
        writing.await?;
        Ok(answer)
    })
}

fn two_hosts(seed: u64) -> (Simulation, Host, Host) {
    let simulation = Simulation::new(seed);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    serve_echo(&server);
    (simulation, server, client)
}

#[test]
fn a_late_future_is_dropped_when_its_limit_has_passed_and_may_have_borrowed() {
    let (simulation, _, client) = two_hosts(1);
    let reactor = client.reactor();
    let reading = client.reactor().spawn(async move {
        let mut stream = reactor.open("server:7").await?;
        let mut answer = [0; 4];
        let late = reactor.timeout(Duration::from_secs(9), stream.read_exact(&mut answer)).await;
        assert_eq!(late.unwrap_err().to_string(), "timed out after 9s");
        stream.write_all(b"rope").await?; // neither is borrowed any more
        reactor.timeout(Duration::from_secs(9), stream.read_exact(&mut answer)).await??;
        assert_eq!(reactor.delayed_calls().len(), 0, "who was in time leaves no timer");
        Ok(answer)
    });
    assert_eq!(&simulation.run_until(reading).unwrap(), b"rope");
    assert_eq!(simulation.time().as_secs(), 9);
}

#[test]
fn what_is_sent_comes_back_in_virtual_time() {
    let (simulation, _, client) = two_hosts(1);
    let answer = ask(&client.reactor(), b"hello".to_vec());
    assert_eq!(simulation.run_until(answer).unwrap(), b"hello");
    assert!(simulation.time() < Duration::from_millis(10));
    simulation.run_until_idle().unwrap();
    assert_eq!(simulation.sockets(), 0);
}

#[test]
fn a_megabyte_passes_a_narrow_window_at_the_speed_of_the_link() {
    let (simulation, server, client) = two_hosts(2);
    let link = Link::new().bandwidth(1_000_000).window(8 * 1024);
    simulation.set_link(&client, &server, link.latency(Latency::Fixed(Duration::from_micros(100))));
    let question: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    let answer = simulation.run_until(ask(&client.reactor(), question.clone())).unwrap();
    assert!(answer == question);
    let seconds = simulation.time().as_secs_f64();
    assert!((1.0..2.5).contains(&seconds), "{seconds}");
}

#[test]
fn a_simulated_host_runs_as_a_real_one_does() {
    let (_simulation, _, client) = two_hosts(3);
    let reactor = client.reactor();
    let answer = reactor.run_until(ask(&reactor, b"by myself".to_vec())).unwrap();
    assert_eq!(answer, b"by myself");
    let stopper = reactor.clone();
    let start = reactor.now();
    reactor.call_later(Duration::from_secs(3600), move || stopper.stop());
    reactor.run().unwrap();
    assert_eq!(reactor.now() - start, Duration::from_secs(3600));
}

#[test]
fn nobody_listening_refuses_and_nobody_there_is_unreachable() {
    let (simulation, server, client) = two_hosts(4);
    let kind = |to: &str, wait: u64| {
        let to = ClientEndpoint::from(to).timeout(Duration::from_secs(wait));
        let failure = simulation.run_until(client.reactor().open(to)).unwrap_err();
        failure.check::<ConnectError>().map(ConnectError::kind)
    };
    assert_eq!(kind("server:8", 30), Some(ErrorKind::ConnectionRefused));
    assert_eq!(kind("10.9.9.9:8", 30), Some(ErrorKind::HostUnreachable));
    assert_eq!(kind("nobody:8", 30), Some(ErrorKind::NotFound));
    server.crash();
    assert_eq!(kind("server:7", 30), Some(ErrorKind::TimedOut));
    assert_eq!(kind("server:7", 600), Some(ErrorKind::TimedOut));
}

#[test]
fn a_cut_holds_bytes_back_until_it_heals() {
    let (simulation, server, client) = two_hosts(5);
    let (one, other) = (client.clone(), server.clone());
    simulation.cut_one_way(&server, &client);
    simulation.at(Duration::from_secs(5), move |simulation| simulation.heal(&one, &other));
    let answer = simulation.run_until(ask(&client.reactor(), b"late".to_vec())).unwrap();
    assert_eq!(answer, b"late");
    assert!(simulation.time() > Duration::from_secs(5));
}

#[test]
fn a_deadlock_is_found_and_says_who_waits_for_what() {
    let (simulation, _, client) = two_hosts(6);
    let reactor = client.reactor();
    let waiting = reactor.spawn(async move {
        let mut stream = Reactor::current().unwrap().open("server:7").await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        Ok(())
    });
    let failure = simulation.run_until(waiting).unwrap_err();
    let stuck = failure.check::<Deadlock>().unwrap();
    assert_eq!(stuck.why(), Why::NothingLeft);
    let text = failure.to_string();
    assert!(text.contains("deadlock") && text.contains("seed 6"), "{text}");
    assert!(text.contains("client is up, 1 tasks wait, no timer"), "{text}");
    assert!(text.contains("#1 with server is open, waits for bytes"), "{text}");
}

#[test]
fn a_task_that_only_yields_does_not_stop_the_time() {
    let (simulation, _, client) = two_hosts(7);
    let reactor = client.reactor();
    let start = reactor.now();
    let busy = reactor.spawn(async move {
        let reactor = Reactor::current().unwrap();
        while reactor.now() - start < Duration::from_millis(1) {
            reactor.yield_now().await;
        }
        Ok(())
    });
    simulation.run_until(busy).unwrap();
}

/// Counts its end.
struct Witness {
    heard: Rc<RefCell<Vec<u8>>>,
    ends: Rc<Cell<u32>>,
    reason: Rc<RefCell<String>>,
}

impl Protocol for Witness {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> ropewalk::Result {
        self.heard.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.ends.set(self.ends.get() + 1);
        self.reason.replace(reason.to_string());
    }
}

type Seen = (Rc<RefCell<Vec<u8>>>, Rc<Cell<u32>>, Rc<RefCell<String>>);

fn witness(simulation: &Simulation, client: &Host) -> (ropewalk::Connected<Witness>, Seen) {
    let seen: Seen = Seen::default();
    let (heard, ends, reason) = seen.clone();
    let mut made = Some(Witness { heard, ends, reason });
    let connecting =
        client.reactor().connect("server:7", move |_: &Address| made.take().expect("one call"));
    (simulation.run_until(connecting).unwrap(), seen)
}

#[test]
fn a_restarted_host_resets_what_it_does_not_know() {
    let (simulation, server, client) = two_hosts(8);
    let (connected, (_, ends, reason)) = witness(&simulation, &client);
    simulation.run_for(Duration::from_secs(1)).unwrap();
    server.restart();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(ends.get(), 0, "nobody has told the client");
    connected.transport().write(b"are you there?");
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(ends.get(), 1);
    assert!(reason.borrow().contains("reset"), "{}", reason.borrow());
    let answer = simulation.run_until(ask(&client.reactor(), b"new life".to_vec())).unwrap();
    assert_eq!(answer, b"new life");
}

#[test]
fn a_paused_host_answers_when_it_is_resumed() {
    let (simulation, server, client) = two_hosts(9);
    let (connected, (heard, ends, _)) = witness(&simulation, &client);
    server.pause();
    connected.transport().write(b"hello");
    simulation.run_for(Duration::from_secs(10)).unwrap();
    assert!(heard.borrow().is_empty());
    server.resume();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!((&**heard.borrow(), ends.get()), (&b"hello"[..], 0));
}

#[test]
fn a_fast_clock_rings_early() {
    let simulation = Simulation::new(10);
    let host = simulation.host("fast");
    host.set_clock_drift(1_000_000);
    let nap = host.reactor().sleep(Duration::from_secs(10));
    simulation.run_until(nap).unwrap();
    assert_eq!(simulation.time().as_millis(), 5000);
}

#[test]
fn a_host_without_descriptors_sheds_and_goes_on() {
    let (simulation, server, client) = two_hosts(11);
    server.limit_descriptors(2);
    let (first, _) = witness(&simulation, &client);
    let (_second, (_, ends, _)) = witness(&simulation, &client);
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(ends.get(), 1, "the second was closed");
    first.transport().lose_connection();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let answer = simulation.run_until(ask(&client.reactor(), b"room".to_vec())).unwrap();
    assert_eq!(answer, b"room");
}

/// A busy scenario in a bad network: what happened, as one number and as text.
fn busy_run(seed: u64, faults: Faults) -> (u64, String, Simulation) {
    let (simulation, server, client) = two_hosts(seed);
    simulation.keep_trace();
    let radio = Latency::LongTailed(Duration::from_millis(1), Duration::from_millis(20));
    simulation.set_link(&client, &server, Link::new().latency(radio).loss(0.05));
    server.set_faults(faults);
    client.set_faults(faults);
    let talk = |number: u8| ask(&client.reactor(), vec![number; 10_000]);
    let talks: Vec<_> = (0..8).map(talk).collect();
    simulation.run_for(Duration::from_secs(3600)).unwrap();
    for (number, talk) in talks.into_iter().enumerate() {
        let outcome = simulation.run_until(talk);
        if let Ok(answer) = outcome {
            assert!(answer == vec![number as u8; 10_000], "seed {seed}");
        }
    }
    (simulation.digest(), simulation.trace(), simulation)
}

#[test]
fn the_same_seed_gives_the_same_trace_bit_for_bit() {
    let (digest, trace, _) = busy_run(42, Faults::rough());
    let (again, same, _) = busy_run(42, Faults::rough());
    assert!(trace.lines().count() > 100);
    assert!(digest == again && trace == same);
    assert_ne!(busy_run(43, Faults::rough()).0, digest);
}

#[test]
fn a_pedantic_system_loses_no_byte() {
    for seed in 0..20 {
        let (simulation, server, client) = two_hosts(seed);
        server.set_faults(Faults::pedantic());
        client.set_faults(Faults::pedantic());
        let question: Vec<u8> = (0..30_000u32).map(|n| (n / 7) as u8).collect();
        let answer = simulation.run_until(ask(&client.reactor(), question.clone()));
        let answer = answer.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        assert!(answer == question, "seed {seed}");
    }
}

#[test]
fn a_picture_shows_hosts_and_what_travelled_between_them() {
    let (simulation, _, client) = two_hosts(12);
    simulation.keep_trace();
    simulation.run_until(ask(&client.reactor(), b"<hello>".to_vec())).unwrap();
    let picture = simulation.to_svg();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(picture.contains(">server</text>") && picture.contains(">client</text>"));
    assert!(picture.contains("#1 gets 7 bytes from client: &lt;hello&gt;</text>"));
    assert_eq!(picture.matches("marker-end=\"url(#data)\"").count(), 2);
    assert!(!picture.contains("observer"));
}

#[test]
fn a_script_that_makes_no_sense_is_refused_with_its_line() {
    let (simulation, _, _) = two_hosts(13);
    let refused = |text: &str| simulation.script(text).unwrap_err().to_string();
    assert_eq!(
        refused("# fine\n\ncut client-server"),
        "line 3 of the script: a time is missing: \"at 3 s\""
    );
    assert_eq!(
        refused("melt server at 3 s"),
        "line 1 of the script: melt is none of cut, partition, heal, reset, crash and pause"
    );
    assert_eq!(
        refused("crash server at soon"),
        "line 1 of the script: \"soon\" is no time, as \"3 s\" and \"250 ms\" are"
    );
    assert_eq!(
        refused("cut server at 3 s"),
        "line 1 of the script: server is no pair of hosts, as \"a-b\" is"
    );
}

#[test]
fn a_script_does_what_it_says_when_it_says() {
    let (simulation, server, client) = two_hosts(14);
    simulation.script("crash server at 1 s for 500 ms\ncut client>server at 2 s for 1 s").unwrap();
    simulation.run_for(Duration::from_millis(1200)).unwrap();
    assert!(!server.is_up());
    simulation.run_for(Duration::from_millis(800)).unwrap();
    assert!(server.is_up());
    let answer = simulation.run_until(ask(&client.reactor(), b"late".to_vec())).unwrap();
    assert_eq!(answer, b"late");
    assert!(simulation.time() > Duration::from_secs(3));
}

#[test]
fn a_failing_scenario_names_its_seed_and_the_command_that_runs_it_again() {
    let failure = ropewalk::simulation::for_each_seed(0..50, |simulation| {
        match simulation.random(|random| random.below(10)) {
            3 => panic!("three"),
            _ => Ok(()),
        }
    })
    .unwrap_err();
    let fallen = failure.check::<ropewalk::simulation::FailedSeed>().unwrap();
    let text = failure.to_string();
    assert!(text.starts_with(&format!("seed {} failed at 0ns", fallen.seed())), "{text}");
    assert!(text.contains("three"), "{text}");
    let command = format!("ROPEWALK_SEED={} cargo test", fallen.seed());
    assert!(text.contains(&command), "{text}");
}

#[test]
fn a_pump_gives_both_ends_their_end_in_order() {
    struct Bye;
    impl Protocol for Bye {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> ropewalk::Result {
            transport.write(data);
            transport.lose_connection();
            Ok(())
        }
    }
    let seen = Seen::default();
    let (heard, ends, reason) = seen.clone();
    let mut pump = ropewalk::simulation::Pump::new(Witness { heard, ends, reason }, Bye);
    pump.with_client(|_, transport| transport.write(b"one byte at a time"));
    while pump.pump(1) {}
    assert!(pump.is_over());
    assert_eq!((&**seen.0.borrow(), seen.1.get()), (&b"o"[..], 1));
    assert_eq!(*seen.2.borrow(), "the connection was closed in order");
}

#[test]
fn an_abort_is_a_loss_at_the_other_end_of_a_pump() {
    let (near, far) = (Seen::default(), Seen::default());
    let witness = |seen: &Seen| {
        let (heard, ends, reason) = seen.clone();
        Witness { heard, ends, reason }
    };
    let mut pump = ropewalk::simulation::Pump::new(witness(&near), witness(&far));
    pump.with_server(|_, transport| transport.abort_connection());
    pump.flush();
    assert!(near.2.borrow().contains("was lost"), "{}", near.2.borrow());
    assert!(far.2.borrow().contains("aborted here"), "{}", far.2.borrow());
    assert_eq!((near.1.get(), far.1.get()), (1, 1));
}

#[test]
fn a_connected_datagram_socket_hears_of_a_refusal_and_lives_on() {
    let simulation = Simulation::new(16);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let socket = client.reactor().bind_udp("0.0.0.0:0").unwrap();
    socket.connect(Address::from(std::net::SocketAddr::new(server.ip(), 53))).unwrap();
    let asking = async move {
        socket.send(b"?").await?;
        let refusal = socket.recv_from(&mut [0; 16]).await;
        socket.send(b"again?").await?;
        Ok(refusal.map(drop))
    };
    let refusal = simulation.run_until(asking).unwrap().unwrap_err();
    assert!(refusal.to_string().contains("refused"), "{refusal}");
}
#[test]
fn datagrams_come_once_late_twice_or_never() {
    let simulation = Simulation::new(15);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let radio = Latency::Uniform(Duration::from_millis(1), Duration::from_millis(50));
    let link = Link::new().latency(radio).loss(0.2).duplication(0.2);
    simulation.set_link(&client, &server, link);
    let heard = Rc::new(RefCell::new(Vec::new()));
    let (ear, inbox) = (server.reactor().bind_udp("0.0.0.0:53").unwrap(), heard.clone());
    let hearing = server.reactor().spawn(async move {
        let mut buffer = [0; 16];
        loop {
            let (count, from) = ear.recv_from(&mut buffer).await?;
            assert_eq!((count, from.ip()), (1, Some([10, 0, 0, 2].into())));
            inbox.borrow_mut().push(buffer[0]);
        }
        #[expect(unreachable_code, reason = "it says what the task would give")]
        Ok(())
    });
    let mouth = client.reactor().bind_udp("0.0.0.0:0").unwrap();
    let to = Address::from(std::net::SocketAddr::new(server.ip(), 53));
    let saying = async move {
        for number in 0..100 {
            mouth.send_to(&[number], &to).await?;
        }
        Ok(())
    };
    simulation.run_until(saying).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    hearing.cancel();
    let heard = heard.take();
    let different: std::collections::BTreeSet<u8> = heard.iter().copied().collect();
    assert!((60..95).contains(&different.len()), "{} of 100 arrived", different.len());
    assert!(heard.len() > different.len(), "some came twice");
    assert!(!heard.is_sorted(), "some came late");
}

#[test]
fn a_name_to_listen_at_is_one_of_the_simulation() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let reactor = server.reactor();
    let greet = async |mut stream: ropewalk::Stream| Ok(stream.write_all(b"hello").await?);
    assert_eq!(reactor.serve("server:80", greet).unwrap().host().to_string(), "10.0.0.1:80");
    assert!(reactor.serve(("localhost", 81), greet).is_ok());
    assert!(reactor.bind_udp("server:53").is_ok());
    let elsewhere = reactor.serve("client:80", greet).unwrap_err().to_string();
    assert!(elsewhere.contains("client are not known at once"), "{elsewhere}");
    let unknown = reactor.bind_udp(("nobody", 80)).unwrap_err().to_string();
    assert!(unknown.contains("nobody are not known at once"), "{unknown}");
    let reactor = client.reactor();
    let greeting = simulation.run_until(async move {
        let mut greeting = String::new();
        reactor.open("server:80").await?.read_to_string(&mut greeting).await?;
        Ok(greeting)
    });
    assert_eq!(greeting.unwrap(), "hello");
}

#[test]
fn a_datagram_to_a_group_reaches_every_host_that_has_joined_it() {
    let simulation = Simulation::new(9);
    let hosts = ["a", "b", "c"].map(|name| simulation.host(name));
    let group = std::net::IpAddr::from([239, 1, 2, 3]);
    let sockets = hosts
        .each_ref()
        .map(|host| Rc::new(host.reactor().open_multicast("0.0.0.0:5000").unwrap()));
    sockets[0].transport().join_group(group, ropewalk::driver::Interface::Any).unwrap();
    sockets[1].transport().join_group(group, ropewalk::driver::Interface::Any).unwrap();
    assert!(
        sockets[1].transport().join_group(group, ropewalk::driver::Interface::Any).is_err(),
        "it is in it"
    );
    let to = Address::from(std::net::SocketAddr::new(group, 5000));
    let say = |speaker: usize, what: u8| {
        let (socket, to) = (sockets[speaker].clone(), to.clone());
        simulation.run_until(async move { socket.send_to(&[what], &to).await }).unwrap();
    };
    let heard = hosts.each_ref().map(|_| Rc::new(RefCell::new(Vec::new())));
    let hearing: Vec<_> = (0..3)
        .map(|number| {
            let (socket, inbox) = (sockets[number].clone(), heard[number].clone());
            hosts[number].reactor().spawn(async move {
                let mut buffer = [0; 16];
                while socket.recv_from(&mut buffer).await.is_ok() {
                    inbox.borrow_mut().push(buffer[0]);
                }
                Ok(())
            })
        })
        .collect();
    let settle = || simulation.run_for(Duration::from_secs(1)).unwrap();
    say(2, 1);
    settle();
    say(0, 2);
    settle();
    sockets[0].transport().set_multicast_loopback(false).unwrap();
    sockets[1].transport().leave_group(group, ropewalk::driver::Interface::Any).unwrap();
    say(0, 3);
    settle();
    assert_eq!(heard.each_ref().map(|heard| heard.take()), [vec![1, 2], vec![1, 2], vec![]]);
    hearing.into_iter().for_each(|hearing| hearing.cancel());
}
