//! TLS with every call of the driver failing in turn, and over bad networks.
//!
//! Each scenario checks itself, as those of `simulated_connections` do: whoever waits is told, nothing
//! is told twice or after the end, no socket is left, and where no fault may do harm the outcome is
//! right to the byte. TLS draws its keys from the system and not from the seed: what is sent differs
//! from run to run, but for its lengths, and so the calls are the same. For that the certificate has a
//! key whose signatures are all of one length.

#![cfg(feature = "simulation")]
#![cfg(feature = "tls")]

mod ledger;

use crate::ledger::{Asker, Echo, Ledger, bytes, hosts, make_bad, may_fail, seeds, walk};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::simulation::{Simulation, check_determinism, for_each_seed};
use ropewalk::tls::{ClientConfig, Identity, ServerConfig, start_tls};
use ropewalk::transport::ConnectionDone;
use ropewalk::{
    Address, ClientEndpoint, Deferred, Failure, Protocol, Result, ServerEndpoint, Stream,
    Transport, Trigger,
};
use std::rc::Rc;
use std::time::Duration;

/// For the name `server`, from 2000 until 9999, with an Ed25519 key.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBAjCBtaADAgECAgEBMAUGAytlcDAPMQ0wCwYDVQQDDAR3YWxrMCAXDTAwMDEw
MTAwMDAwMFoYDzk5OTkxMjMxMjM1OTU5WjAPMQ0wCwYDVQQDDAR3YWxrMCowBQYD
K2VwAyEArkQyU63DbEIuo3XHJARbiC2UHSEfGf97a4mejU96OpKjNDAyMBEGA1Ud
EQQKMAiCBnNlcnZlcjAdBgNVHQ4EFgQUyYhP2wqwREAf+nm/kGi0S/tnFO0wBQYD
K2VwA0EAqxWPKYsufu718jyfB+O/Idrp6HFPFaRyVRV7pn/dXpQY2TJvm6KjD9Gz
xxzIapmQHVBcp7Y9FRiOhrtF/EzwBw==
-----END CERTIFICATE-----
";

/// For this test alone: it guards nothing.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJeZ2UgZCtDeuvp119wyiqRSiJ61uSqRwjK69osd5wB6
-----END PRIVATE KEY-----
";

fn server_config() -> ServerConfig {
    ServerConfig::new(Identity::from_pem(CERTIFICATE, KEY).expect("it is an identity"))
}

fn client_config() -> ClientConfig {
    ClientConfig::trusting(CERTIFICATE).server_name("server")
}

// ---- what is checked of everybody ----

const STARTS: &str = "starts of TLS were not told";

/// A start of TLS, whose outcome is to be told once.
fn begin_tls(ledger: &Rc<Ledger>, transport: &Transport, config: &ServerConfig) {
    ledger.owe(STARTS);
    let ledger = ledger.clone();
    start_tls(transport, config).add_both(move |outcome| {
        ledger.pay(STARTS);
        if let Err(failure) = outcome
            && !is_of_connection(&failure)
        {
            ledger.wrong(format!("TLS did not start: {failure}"));
        }
        Ok(())
    });
}

fn is_of_connection(failure: &Failure) -> bool {
    failure.is::<ropewalk::transport::ConnectionLost>()
        || failure.is::<ropewalk::transport::ConnectionDone>()
}

/// A right outcome is always right; a wrong one needs a fault as its excuse.
fn judge<T>(simulation: &Simulation, outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(_) if may_fail(simulation) => Ok(None),
        Err(failure) => Err(Failure::msg(format!("failed without a fault: {failure}"))),
    }
}

/// As `judge`, and what came is all that was wanted.
fn judge_bytes(simulation: &Simulation, outcome: Result<Vec<u8>>, wanted: &[u8]) -> Result {
    match judge(simulation, outcome)? {
        Some(got) if got != wanted => {
            Err(Failure::msg(format!("{} of {} bytes came", got.len(), wanted.len())))
        }
        _ => Ok(()),
    }
}

// ---- the scenarios ----

fn echo_with_callbacks(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let watch = ledger.clone();
    let build = move |_: &Address| watch.watch(Echo);
    let port =
        server.reactor().listen(ServerEndpoint::from("0.0.0.0:7").tls(&server_config()), build);
    if judge(simulation, port)?.is_none() {
        return Ok(());
    }
    let config = client_config();
    // The second handshake is the short one.
    for size in [40_000, 5] {
        let (asker, answer) = Asker::new(bytes(size));
        let mut asker = Some(asker);
        let watch = ledger.clone();
        let build = move |_: &Address| watch.watch(asker.take().expect("one connection"));
        let to = ClientEndpoint::from("server:7").tls(&config);
        let connecting = client.reactor().connect(to, build);
        let outcome = simulation.run_until(async move {
            connecting.await?;
            answer.await
        });
        judge_bytes(simulation, outcome, &bytes(size))?;
    }
    ledger.close(simulation, &[&server, &client])
}

async fn echo(mut stream: Stream) -> Result {
    let mut buffer = [0; 700];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return stream.close().await.map_err(Failure::from);
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

/// Sends while it reads, ends its half, and gives what came back.
async fn exchange(stream: Stream, question: Vec<u8>) -> Result<Vec<u8>> {
    let (mut reading, mut writing) = stream.split();
    let send = async {
        writing.write_all(&question).await?;
        writing.close().await
    };
    let mut answer = Vec::new();
    futures_util::future::try_join(send, reading.read_to_end(&mut answer)).await?;
    Ok(answer)
}

fn echo_with_async(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let port =
        server.reactor().serve(ServerEndpoint::from("0.0.0.0:7").tls(&server_config()), echo);
    if judge(simulation, port)?.is_none() {
        return Ok(());
    }
    let opening = client.reactor().open(ClientEndpoint::from("server:7").tls(&client_config()));
    let asking = async move { exchange(opening.await?, bytes(20_000)).await };
    let outcome = simulation.run_until(client.reactor().spawn(asking));
    judge_bytes(simulation, outcome, &bytes(20_000))?;
    ledger.close(simulation, &[&server, &client])
}

/// Speaks TLS when it is told to, and echoes what it hears there.
struct Upgrades {
    ledger: Rc<Ledger>,
    is_secret: bool,
}

impl Protocol for Upgrades {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if self.is_secret {
            transport.write(data);
            return Ok(());
        }
        // Its one byte cannot come in two pieces.
        self.is_secret = true;
        transport.write(b"g");
        begin_tls(&self.ledger, transport, &server_config());
        transport.write(b"welcome");
        Ok(())
    }
}

fn start_of_tls(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let watch = ledger.clone();
    let build =
        move |_: &Address| watch.watch(Upgrades { ledger: watch.clone(), is_secret: false });
    if judge(simulation, server.reactor().listen("0.0.0.0:7", build))?.is_none() {
        return Ok(());
    }
    let opening = client.reactor().open("server:7");
    let asking = client.reactor().spawn(async move {
        let mut stream = opening.await?;
        stream.write_all(b"s").await?;
        stream.read_exact(&mut [0; 1]).await?;
        start_tls(&stream.transport(), &client_config()).await?;
        exchange(stream, bytes(2_000)).await
    });
    let outcome = simulation.run_until(asking);
    let wanted = [b"welcome".to_vec(), bytes(2_000)].concat();
    judge_bytes(simulation, outcome, &wanted)?;
    ledger.close(simulation, &[&server, &client])
}

/// TLS, and in it TLS again.
fn tls_in_tls(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let inner = server_config();
    let handler = async move |stream: Stream| {
        start_tls(&stream.transport(), &inner).await?;
        echo(stream).await
    };
    let port =
        server.reactor().serve(ServerEndpoint::from("0.0.0.0:7").tls(&server_config()), handler);
    if judge(simulation, port)?.is_none() {
        return Ok(());
    }
    let to = ClientEndpoint::from("server:7").tls(&client_config()).tls(&client_config());
    let opening = client.reactor().open(to);
    let asking = async move { exchange(opening.await?, bytes(2_000)).await };
    let outcome = simulation.run_until(client.reactor().spawn(asking));
    judge_bytes(simulation, outcome, &bytes(2_000))?;
    ledger.close(simulation, &[&server, &client])
}

/// The first bytes of a hello of 512, and no more.
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// Somebody begins to speak TLS and falls silent: both roles give up in time and say so.
fn silence(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let watch = ledger.clone();
    let build = move |_: &Address| watch.watch(Echo);
    let port =
        server.reactor().listen(ServerEndpoint::from("0.0.0.0:7").tls(&server_config()), build);
    let deaf = async |mut stream: Stream| {
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    };
    let deaf = server.reactor().serve("0.0.0.0:8", deaf);
    let (Some(_), Some(_)) = (judge(simulation, port)?, judge(simulation, deaf)?) else {
        return Ok(());
    };
    let opening = client.reactor().open("server:7");
    let outcome = simulation.run_until(async move {
        let mut stream = opening.await?;
        stream.write_all(HALF_A_HELLO).await?;
        Ok(stream.read_to_end(&mut Vec::new()).await.is_err())
    });
    // It is cut off: that the server failed is no end in order.
    if judge(simulation, outcome)? == Some(false) && !may_fail(simulation) {
        return Err(Failure::msg("a handshake that took too long ended in order"));
    }
    let opening = client.reactor().open(ClientEndpoint::from("server:8").tls(&client_config()));
    match simulation.run_until(opening) {
        Ok(_) => return Err(Failure::msg("a handshake with nobody succeeded")),
        Err(failure) if failure.is::<ropewalk::net::ConnectError>() => {}
        Err(failure) => return Err(failure),
    }
    simulation.set_limit(Duration::from_secs(3600));
    simulation.run_until_idle()?;
    if server.descriptors() > 2 || client.descriptors() > 0 || simulation.sockets() > 0 {
        return Err(Failure::msg("something is left of a handshake"));
    }
    ledger.verdict()
}

/// Says its piece and leaves at once, whatever the server may have to say.
struct Hasty {
    piece: Vec<u8>,
}

impl Protocol for Hasty {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(&self.piece);
        transport.lose_connection();
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Err(Failure::msg("it was told of bytes after it had left"))
    }
}

/// Gives what it heard, if the connection ended in order.
struct Hearer {
    heard: Vec<u8>,
    done: Option<Trigger<Vec<u8>>>,
}

impl Protocol for Hearer {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.heard.extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        let (heard, in_order) = (std::mem::take(&mut self.heard), reason.is::<ConnectionDone>());
        if let Some(done) = self.done.take() {
            let _ = if in_order { done.callback(heard) } else { done.errback(reason.clone()) };
        }
    }
}

/// A client leaves before it has read the server's tickets: the server hears all, and an end in order.
fn haste(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let (done, heard) = Deferred::new();
    let mut hearer = Some(Hearer { heard: Vec::new(), done: Some(done) });
    let watch = ledger.clone();
    let build = move |_: &Address| watch.watch(hearer.take().expect("one connection"));
    let port =
        server.reactor().listen(ServerEndpoint::from("0.0.0.0:7").tls(&server_config()), build);
    if judge(simulation, port)?.is_none() {
        return Ok(());
    }
    let mut hasty = Some(Hasty { piece: bytes(20_000) });
    let watch = ledger.clone();
    let build = move |_: &Address| watch.watch(hasty.take().expect("one connection"));
    let to = ClientEndpoint::from("server:7").tls(&client_config());
    let connecting = client.reactor().connect(to, build);
    match judge(simulation, simulation.run_until(connecting))? {
        // The server may have heard of no connection.
        None => drop(heard),
        Some(_) => judge_bytes(simulation, simulation.run_until(heard), &bytes(20_000))?,
    }
    ledger.close(simulation, &[&server, &client])
}

// ---- walked and seeded ----

type Scenario = fn(&Simulation) -> Result;

const SCENARIOS: [(&str, Scenario); 6] = [
    ("TLS echo with callbacks", echo_with_callbacks),
    ("TLS echo with async", echo_with_async),
    ("start of TLS", start_of_tls),
    ("silence", silence),
    ("TLS in TLS", tls_in_tls),
    ("haste", haste),
];

fn walk_through(number: usize) {
    let (name, scenario) = SCENARIOS[number];
    walk(name, scenario);
}

#[test]
fn every_single_fault_in_a_tls_echo_with_callbacks_is_survived() {
    walk_through(0);
}

#[test]
fn every_single_fault_in_a_tls_echo_with_async_is_survived() {
    walk_through(1);
}

#[test]
fn every_single_fault_in_a_start_of_tls_is_survived() {
    walk_through(2);
}

#[test]
fn every_single_fault_beside_a_silent_peer_is_survived() {
    walk_through(3);
}

#[test]
fn every_single_fault_in_tls_in_tls_is_survived() {
    walk_through(4);
}

#[test]
fn every_single_fault_beside_a_client_that_leaves_at_once_is_survived() {
    walk_through(5);
}

#[test]
fn tls_keeps_its_promises_under_every_seed() {
    for (name, scenario) in SCENARIOS {
        let outcome = for_each_seed(0..seeds(60), |simulation| {
            make_bad(simulation);
            scenario(simulation)
        });
        let report = outcome.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        println!("{name}: {report}");
    }
}

#[test]
fn tls_is_a_function_of_the_seed_but_for_the_bytes_that_its_keys_make() {
    for (name, scenario) in SCENARIOS {
        let outcome = check_determinism(3..5, |simulation| {
            simulation.ignore_contents();
            make_bad(simulation);
            scenario(simulation)
        });
        outcome.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let outcome = check_determinism(3..4, |simulation| {
            make_bad(simulation);
            scenario(simulation)
        });
        assert!(outcome.is_err(), "{name}: its keys are its own");
    }
}
