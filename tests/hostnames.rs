//! Connecting by name, in virtual time: which address is tried when, and what is told when none serves.

use ropewalk::simulation::{Host, Simulation};
use ropewalk::{Cancelled, ConnectError, ConnectTo, Deferred, Result, Stream, succeed};
use std::net::SocketAddr;
use std::time::Duration;

/// A client for which `name:80` has the addresses of `hosts`, in this order.
fn client(simulation: &Simulation, hosts: &[&Host]) -> Host {
    let addresses: Vec<_> = hosts.iter().map(|host| SocketAddr::new(host.ip(), 80)).collect();
    let client = simulation.host("client");
    let resolver =
        move |_: &str, _: u16| -> Deferred<Vec<SocketAddr>> { succeed(addresses.clone()) };
    client.reactor().install_name_resolver(resolver);
    client
}

/// A host that serves at port 80.
fn good(simulation: &Simulation) -> Host {
    let host = simulation.host("good");
    let handler = async |mut stream: Stream| {
        futures_util::AsyncReadExt::read(&mut stream, &mut [0]).await?;
        Ok(())
    };
    host.reactor().serve_tcp("0.0.0.0:80", handler).expect("the port is free");
    host
}

fn open(client: &Host, to: ConnectTo) -> Deferred<Stream> {
    client.reactor().open_tcp(to)
}

/// The hosts' links are fast: what takes long is waiting.
const SOON: Duration = Duration::from_millis(50);
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[test]
fn an_address_that_does_not_answer_is_overtaken_after_the_attempt_delay() {
    let simulation = Simulation::new(1);
    let (silent, good) = (simulation.host("silent"), good(&simulation));
    let client = client(&simulation, &[&silent, &good]);
    simulation.cut(&client, &silent);
    let stream = simulation.run_until(open(&client, "name:80".into())).unwrap();
    assert_eq!(stream.peer().ip(), Some(good.ip()));
    let time = simulation.time();
    assert!(time >= ATTEMPT_DELAY && time < ATTEMPT_DELAY + SOON, "{time:?}");
}

#[test]
fn an_address_that_refuses_brings_the_next_one_forward_at_once() {
    let simulation = Simulation::new(2);
    let (one, two) = (simulation.host("one"), simulation.host("two"));
    let good = good(&simulation);
    let client = client(&simulation, &[&one, &two, &good]);
    let stream = simulation.run_until(open(&client, "name:80".into())).unwrap();
    assert_eq!(stream.peer().ip(), Some(good.ip()));
    assert!(simulation.time() < SOON, "{:?}", simulation.time());
}

#[test]
fn when_every_address_fails_each_is_told_with_its_cause() {
    let simulation = Simulation::new(3);
    let (one, two) = (simulation.host("one"), simulation.host("two"));
    let client = client(&simulation, &[&one, &two]);
    let failure = simulation.run_until(open(&client, "name:80".into())).unwrap_err();
    let text = failure.to_string();
    assert!(text.starts_with("cannot connect to name:80: "), "{text}");
    for host in [one, two] {
        assert!(text.contains(&format!("{}:80: ", host.ip())), "{text}");
    }
    assert_eq!(
        failure.check::<ConnectError>().unwrap().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
}

#[test]
fn a_time_limit_tells_what_had_failed_before_it() {
    let simulation = Simulation::new(4);
    let (refuses, silent) = (simulation.host("refuses"), simulation.host("silent"));
    let client = client(&simulation, &[&refuses, &silent]);
    simulation.cut(&client, &silent);
    let to = ConnectTo::new("name:80").timeout(Duration::from_secs(3));
    let text = simulation.run_until(open(&client, to)).unwrap_err().to_string();
    assert!(text.contains(&format!("{}:80: ", refuses.ip())), "{text}");
    assert!(text.ends_with("; no connection within 3s"), "{text}");
    assert_eq!(simulation.time().as_secs(), 3);
}

#[test]
fn giving_up_gives_every_attempt_up() {
    let simulation = Simulation::new(5);
    let (one, two) = (simulation.host("one"), simulation.host("two"));
    let client = client(&simulation, &[&one, &two]);
    simulation.cut(&client, &one);
    simulation.cut(&client, &two);
    let told = |outcome: Result<Stream>| assert!(outcome.unwrap_err().is::<Cancelled>());
    let opening = open(&client, "name:80".into()).add_both(told);
    simulation.run_for(ATTEMPT_DELAY * 2).unwrap();
    assert_eq!(client.descriptors(), 2, "both are being tried");
    opening.cancel();
    simulation.run_for(SOON).unwrap();
    assert_eq!(client.descriptors(), 0);
}

#[test]
fn a_name_without_an_address_is_told_by_name() {
    let simulation = Simulation::new(6);
    let client = client(&simulation, &[]);
    let text = simulation.run_until(open(&client, "name:80".into())).unwrap_err().to_string();
    assert!(text.contains("the name name has no address"), "{text}");
}
