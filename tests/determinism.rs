//! A seed is one run: what the digest covers, and what finds a scenario that is not a function of it.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::simulation::{
    Call, DeterminismError, Fault, Faults, Host, Latency, Link, Simulation, check_determinism,
};
use ropewalk::{Address, Failure, Result};
use std::cell::Cell;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// The digests of a run of a second in which the first does something, and of one in which the second does.
fn digests_of(
    first: impl Fn(&Simulation, &Host, &Host),
    second: impl Fn(&Simulation, &Host, &Host),
) -> [u64; 2] {
    let digest = |act: &dyn Fn(&Simulation, &Host, &Host)| {
        let simulation = Simulation::new(3);
        let (server, client) = (simulation.host("server"), simulation.host("client"));
        act(&simulation, &server, &client);
        simulation.run_for(SECOND).unwrap();
        simulation.digest()
    };
    assert_eq!(digest(&first), digest(&first), "the same twice is the same");
    [digest(&first), digest(&second)]
}

#[track_caller]
fn expect_different([one, other]: [u64; 2]) {
    assert_ne!(one, other);
}

fn say(server: &Host, client: &Host, bytes: &'static [u8]) {
    server
        .reactor()
        .serve("0.0.0.0:7", async |mut stream| {
            stream.read_to_end(&mut Vec::new()).await?;
            Ok(())
        })
        .unwrap();
    let reactor = client.reactor();
    drop(client.reactor().spawn(async move {
        let mut stream = reactor.open("server:7").await?;
        stream.write_all(bytes).await?;
        Ok(())
    }));
}

#[test]
fn the_digest_covers_the_bytes_of_streams_and_datagrams() {
    let say =
        |bytes| move |_: &Simulation, server: &Host, client: &Host| say(server, client, bytes);
    for (one, other) in [
        (&b"x"[..], &b"y"[..]),
        (b"eight bytes and then one", b"eight bytes and then two"),
        (b"onetwo87", b"twoone87"),
        (b"\0", b"\x01"),
    ] {
        expect_different(digests_of(say(one), say(other)));
    }
    let send = |bytes: &'static [u8]| {
        move |_: &Simulation, server: &Host, client: &Host| {
            let socket = client.reactor().bind_udp("0.0.0.0:0").unwrap();
            let to = Address::from(SocketAddr::new(server.ip(), 53));
            drop(client.reactor().spawn(async move { socket.send_to(bytes, &to).await }));
        }
    };
    let long: &'static [u8] = &[7; 100];
    expect_different(digests_of(send(b"one"), send(b"two")));
    expect_different(digests_of(send(long), send([&[7; 99][..], &[8]].concat().leak())));
}

#[test]
fn the_digest_covers_the_names_of_the_hosts() {
    let make = |name: &'static str| {
        move |simulation: &Simulation, _: &Host, _: &Host| {
            simulation.host(name);
        }
    };
    expect_different(digests_of(make("alice"), make("bobby")));
}

#[test]
fn the_digest_covers_what_is_done_to_the_network_and_to_hosts() {
    expect_different(digests_of(|s, a, b| s.cut_one_way(a, b), |s, a, b| s.cut_one_way(b, a)));
    expect_different(digests_of(|_, a, _| a.pause(), |_, a, _| a.resume()));
    expect_different(digests_of(|_, a, _| a.crash(), |_, a, _| a.restart()));
    expect_different(digests_of(|s, _, _| s.note("one"), |s, _, _| s.note("two")));
    let listen = |at: &'static str| {
        move |_: &Simulation, server: &Host, _: &Host| {
            server.reactor().serve(at, async |_| Ok(())).map(drop).unwrap();
        }
    };
    expect_different(digests_of(listen("0.0.0.0:80"), listen("0.0.0.0:81")));
    let fail = |fault: Fault| {
        move |_: &Simulation, server: &Host, _: &Host| {
            server.fail_next(Call::Listen, fault);
            let _ = server.reactor().serve("0.0.0.0:80", async |_| Ok(()));
        }
    };
    let kinds = [std::io::ErrorKind::OutOfMemory, std::io::ErrorKind::TimedOut].map(Fault::Error);
    expect_different(digests_of(fail(kinds[0]), fail(kinds[1])));
}

#[test]
fn the_digest_covers_when_a_program_does_something_that_nobody_else_sees() {
    let wait = |time: Duration| {
        move |_: &Simulation, server: &Host, _: &Host| {
            server.reactor().call_later(time, || ());
        }
    };
    expect_different(digests_of(wait(SECOND / 2), wait(SECOND / 3)));
    let draw = |times: u64| {
        move |simulation: &Simulation, _: &Host, _: &Host| {
            (0..times).for_each(|_| assert!(simulation.random(|random| random.below(9)) < 9));
        }
    };
    expect_different(digests_of(draw(1), draw(2)));
}

#[test]
fn keeping_the_trace_changes_no_digest() {
    let act = |_: &Simulation, server: &Host, client: &Host| say(server, client, b"hello");
    let kept = |simulation: &Simulation, server: &Host, client: &Host| {
        simulation.keep_trace();
        say(server, client, b"hello");
    };
    let [one, other] = digests_of(act, kept);
    assert_eq!(one, other);
}

// ---- twice ----

fn busy(simulation: &Simulation) -> Result {
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let radio = Latency::LongTailed(Duration::from_millis(1), Duration::from_millis(20));
    simulation.set_link(&client, &server, Link::new().latency(radio).loss(0.05).duplication(0.1));
    client.set_faults(Faults::rough());
    server.set_faults(Faults::rough());
    say(&server, &client, b"hello");
    simulation.plan_troubles(&[server, client], 5, 10 * SECOND);
    simulation.run_for(20 * SECOND)
}

#[test]
fn a_busy_scenario_in_a_bad_network_is_a_function_of_its_seed() {
    assert_eq!(check_determinism(0..20, busy).unwrap().runs, 40);
}

#[test]
fn the_order_of_a_hash_map_is_found_and_the_first_lines_that_differ_are_told() {
    let outcome = check_determinism(0..5, |simulation| {
        let names: HashSet<u32> = (0..20).collect();
        names.iter().for_each(|name| simulation.note(format!("number {name}")));
        Ok(())
    });
    let failure = outcome.unwrap_err();
    assert!(failure.check::<DeterminismError>().is_some_and(|it| it.seed() == 0), "{failure}");
    let text = failure.to_string();
    assert_eq!(text.matches(" number ").count(), 2, "{text}");
    assert!(text.contains("ROPEWALK_SEED=0 cargo test"), "{text}");
}

#[test]
fn other_bytes_of_the_same_length_are_found() {
    let run = Cell::new(0u8);
    let outcome = check_determinism(0..5, |simulation| {
        run.set(run.get() + 1);
        let (server, client) = (simulation.host("server"), simulation.host("client"));
        say(&server, &client, vec![run.get(); 3].leak());
        simulation.run_for(SECOND)
    });
    assert!(outcome.unwrap_err().to_string().contains("sends 3 bytes"));
}

#[test]
fn a_scenario_that_fails_by_itself_fails_the_check_by_that() {
    let failure = check_determinism(0..5, |_| Err(Failure::msg("by itself"))).unwrap_err();
    assert!(!failure.is::<DeterminismError>() && failure.to_string().contains("by itself"));
}
