//! A system that has no memory for a send, or for a read, at the moment: nothing is lost, nobody is told,
//! and it is asked again.

#![cfg(feature = "simulation")]
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::simulation::{Call, EventKind, Fault, Host, Simulation, TraceEvent};
use ropewalk::{
    Address, ClientEndpoint, Deferred, Failure, Protocol, Reactor, Result, ServerEndpoint,
    Transport, Trigger,
};
use std::io::ErrorKind::OutOfMemory;
use std::time::Duration;

const DONE: &str = "the connection was closed in order";
const MUCH: usize = 300_000;

/// Says all it has, and hears all until the end.
struct End {
    says: usize,
    got: usize,
    told: Option<Trigger<(usize, String)>>,
}

fn end(says: usize) -> (End, Deferred<(usize, String)>) {
    let (told, telling) = Deferred::new();
    (End { says, got: 0, told: Some(told) }, telling)
}

impl Protocol for End {
    fn connection_made(&mut self, transport: &Transport) {
        if self.says > 0 {
            transport.write(vec![7; self.says]);
            transport.lose_write_connection();
        }
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.got += data.len();
        Ok(())
    }

    fn read_closed(&mut self, transport: &Transport) {
        transport.lose_connection();
    }

    fn connection_lost(&mut self, reason: &Failure) {
        if let Some(told) = self.told.take() {
            let _ = told.callback((self.got, reason.to_string()));
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Wire {
    Plain,
    #[cfg(feature = "tls")]
    Tls,
}

const WIRES: &[Wire] = &[
    Wire::Plain,
    #[cfg(feature = "tls")]
    Wire::Tls,
];

impl Wire {
    /// Serves one connection, and says how to reach it.
    fn listen(self, reactor: &Reactor, server: End) -> ClientEndpoint {
        let mut server = Some(server);
        let build = move |_: &Address| server.take().expect("one connection");
        match self {
            Wire::Plain => {
                reactor.listen("0.0.0.0:7", build).expect("a port");
                "server:7".into()
            }
            #[cfg(feature = "tls")]
            Wire::Tls => {
                use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
                let identity = Identity::self_signed(&["server"]).expect("it is a name");
                let trusted = ClientConfig::trusting(identity.certificate_pem());
                let config = ServerConfig::new(identity);
                reactor
                    .listen(ServerEndpoint::from("0.0.0.0:7").tls(&config), build)
                    .expect("a port");
                ClientEndpoint::from("server:7").tls(&trusted.server_name("server"))
            }
        }
    }
}

/// The host's next calls of one kind find no memory, and so does one now and then, for a while.
fn starve(host: &Host, call: Call) {
    let fail = move |host: &Host| host.fail_next(call, Fault::Error(OutOfMemory));
    (0..3).for_each(|_| fail(host));
    for n in 0..40 {
        let again = host.clone();
        host.reactor().call_later(Duration::from_millis(3 * n), move || fail(&again));
    }
}

fn two_hosts() -> (Simulation, Host, Host) {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    (simulation, server, client)
}

/// A client of protocols says much over each wire, while the named calls find no memory: all arrives.
fn say_much_while_starved(starved: impl Fn(&Host, &Host)) {
    for &wire in WIRES {
        let (simulation, server, client) = two_hosts();
        let ((server_end, heard), (client_end, said)) = (end(0), end(MUCH));
        let to = wire.listen(&server.reactor(), server_end);
        starved(&server, &client);
        let mut client_end = Some(client_end);
        let build = move |_: &Address| client_end.take().expect("one connection");
        let connecting = client.reactor().connect(to, build);
        simulation.run_until(connecting).expect("it connects");
        assert_eq!(
            simulation.run_until(heard).expect("it is told"),
            (MUCH, DONE.into()),
            "{wire:?}"
        );
        assert_eq!(simulation.run_until(said).expect("it is told"), (0, DONE.into()), "{wire:?}");
    }
}

#[test]
fn a_protocol_whose_sends_find_no_memory_sends_all_and_ends_in_order() {
    say_much_while_starved(|server, client| {
        starve(client, Call::Write);
        starve(server, Call::Write);
    });
}

#[test]
fn a_read_that_finds_no_memory_is_made_again() {
    say_much_while_starved(|server, _| starve(server, Call::Read));
}

#[test]
fn a_stream_whose_sends_find_no_memory_sends_all_and_is_told_of_the_last_byte() {
    for &wire in WIRES {
        let (simulation, server, client) = two_hosts();
        let (server_end, heard) = end(0);
        let to = wire.listen(&server.reactor(), server_end);
        starve(&client, Call::Write);
        let reactor = client.reactor();
        let saying = client.reactor().spawn(async move {
            let mut stream = reactor.open(to).await?;
            stream.write_all(&vec![7; MUCH]).await?;
            stream.flush().await?;
            stream.close().await?;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await?;
            Ok(rest.len())
        });
        assert_eq!(simulation.run_until(saying).unwrap(), 0, "{wire:?}");
        assert_eq!(simulation.run_until(heard).unwrap(), (MUCH, DONE.into()), "{wire:?}");
    }
}

#[test]
fn a_system_that_never_has_memory_is_asked_a_hundred_times_a_second_and_the_close_is_limited() {
    let (simulation, server, client) = two_hosts();
    let ((server_end, _heard), (client_end, said)) = (end(0), end(0));
    let to = Wire::Plain.listen(&server.reactor(), server_end);
    let mut client_end = Some(client_end);
    let build = move |_: &Address| client_end.take().expect("one connection");
    let connected = simulation.run_until(client.reactor().connect(to, build)).unwrap();
    (0..100_000).for_each(|_| client.fail_next(Call::Write, Fault::Error(OutOfMemory)));
    let transport = connected.transport();
    simulation.keep_trace();
    transport.set_close_timeout(Duration::from_secs(5));
    transport.write(b"to nobody");
    transport.lose_connection();
    let (_, reason) = simulation.run_until(said).unwrap();
    assert!(reason.contains("took no byte for 5s"), "{reason}");
    let is_failed_write =
        |event: &&TraceEvent| matches!(event.what, EventKind::Failing(Call::Write, _));
    let tries = simulation.trace_events().iter().filter(is_failed_write).count();
    assert!((100..=600).contains(&tries), "{tries}");
}
