//! Connecting by name, in virtual time: which address is tried when, and what is told when none serves.

#![cfg(feature = "simulation")]
use ropewalk::deferred::Cancelled;
use ropewalk::net::ConnectError;
use ropewalk::simulation::{Host, Simulation};
use ropewalk::{ClientEndpoint, Deferred, Result, Stream, succeed};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
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
    host.reactor().serve("0.0.0.0:80", handler).expect("the port is free");
    host
}

fn open(client: &Host, to: ClientEndpoint) -> Deferred<Stream> {
    client.reactor().open(to)
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
    let to = ClientEndpoint::from("name:80").timeout(Duration::from_secs(3));
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

/// What the resolver is asked for, and what connecting to the name ends with if it knows none.
fn asked_for(name: &str) -> (Option<String>, String) {
    let simulation = Simulation::new(7);
    let (asked, client) = (Rc::new(RefCell::new(None)), simulation.host("client"));
    let sink = asked.clone();
    client.reactor().install_name_resolver(
        move |host: &str, _: u16| -> Deferred<Vec<SocketAddr>> {
            sink.replace(Some(host.to_owned()));
            succeed(Vec::new())
        },
    );
    let failure =
        simulation.run_until(open(&client, (name, 80).into())).expect_err("it has no address");
    (asked.take(), failure.to_string())
}

#[test]
fn a_name_in_ascii_is_looked_up_as_it_is() {
    assert_eq!(asked_for("XN--bcher-kva.Example").0.as_deref(), Some("XN--bcher-kva.Example"));
}

#[cfg(feature = "idna")]
#[test]
fn a_name_beyond_ascii_is_looked_up_by_its_a_label() {
    let (asked, text) = asked_for("Bücher.example");
    assert_eq!(asked.as_deref(), Some("xn--bcher-kva.example"));
    assert!(text.starts_with("cannot connect to Bücher.example:80: "), "{text}");
    let (asked, text) = asked_for("ü ü");
    assert_eq!((asked, &*text), (None, "cannot connect to ü ü:80: \"ü ü\" is no name of a host"));
}

#[cfg(not(feature = "idna"))]
#[test]
fn a_name_beyond_ascii_is_not_looked_up_and_the_error_says_what_to_give() {
    let (asked, text) = asked_for("bücher.example");
    assert_eq!(asked, None);
    assert!(text.starts_with("cannot connect to bücher.example:80: the name "), "{text}");
    assert!(text.contains("give its A-label, as in xn--bcher-kva.example"), "{text}");
}
