//! The place in a failure is the user's line, or there is none: never one of this crate's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "kit/mod.rs"]
mod kit;

use ropewalk::net::{DatagramProtocol, DatagramTransport};
use ropewalk::transport::{Producer, Producing};
use ropewalk::{
    Address, Deferred, Failure, Protocol, Reactor, Result, ServerEndpoint, Stream, Transport,
    UnixName,
};
use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;

struct Silent;

impl Protocol for Silent {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

impl DatagramProtocol for Silent {
    fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

impl Producer for Silent {
    fn resume_producing(&mut self, _: &Transport) {}
    fn pause_producing(&mut self) {}
    fn stop_producing(&mut self) {}
}

#[derive(Default)]
struct Places(Vec<String>);

impl Places {
    /// Looks at the place of a failure, and of those that it was made of.
    fn see<T: Debug>(&mut self, what: &str, outcome: Result<T>) {
        let failure = outcome.expect_err(what);
        let place = failure.location();
        if place.is_some_and(|place| place.file() != file!()) {
            self.0.push(format!("{what}: {} ({failure})", place.unwrap()));
        }
    }

    fn wait<T: Debug + 'static>(&mut self, reactor: &Reactor, what: &str, deferred: Deferred<T>) {
        // `run_until` hands on the failure as it is.
        self.see(what, reactor.run_until(deferred));
    }

    fn none(&self) {
        assert!(self.0.is_empty(), "places of our own:\n{}", self.0.join("\n"));
    }
}

/// A transport and a stream whose connection is open, and the other end.
fn open(reactor: &Reactor) -> (Stream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (reactor.open_pipes(ours.try_clone().unwrap(), ours).unwrap(), theirs)
}

#[test]
fn a_failed_call_of_a_reactor_names_the_users_line_or_none() {
    let (reactor, mut places) = (Reactor::new().unwrap(), Places::default());
    let factory = |_: &Address| Silent;
    places.see("stop", reactor.stop());
    places.see("listen", reactor.listen("nonsense", factory));
    places.see("serve", reactor.serve("256.0.0.1:1", async |_| Ok(())));
    places.see("listen_unix", reactor.listen(ServerEndpoint::unix("/nonsense/at/all"), factory));
    places.see("serve_unix", reactor.serve("unix:/nonsense/at/all", async |_| Ok(())));
    places.see("listen_udp", reactor.listen_udp("nonsense", Silent).map(drop));
    places.see("bind_udp", reactor.bind_udp("nonsense"));
    places.see("listen_multicast", reactor.listen_multicast("nonsense", Silent).map(drop));
    places.see("open_multicast", reactor.open_multicast("nonsense"));
    let nowhere = || UnixName::from("/nonsense/at/all");
    let datagrams = reactor.listen_unix_datagram(Address::Unix(nowhere()), Silent);
    places.see("listen_unix_datagram", datagrams.map(drop));
    places.see("open_unix_datagram", reactor.open_unix_datagram(Address::Unix(nowhere())));
    places.wait(&reactor, "open_unix", reactor.open(nowhere()).map(drop));
    places.wait(&reactor, "open", reactor.open("127.0.0.1:1").map(drop));
    places.wait(&reactor, "open by name", reactor.open("nowhere.invalid:1").map(drop));
    places.wait(&reactor, "connect", reactor.connect("127.0.0.1:1", factory).map(drop));
    places.wait(&reactor, "resolve", reactor.resolve("nowhere.invalid", 80));
    let inherited = "fd:4000000".parse::<ServerEndpoint>().unwrap();
    places.see("fd: listen", reactor.listen(inherited.clone(), factory));
    places.see("fd: serve", reactor.serve(inherited, async |_| Ok(())));
    let gone = Reactor::new().unwrap().clone();
    places.see("run after the end", gone.run());
    places.see("run_until after the end", gone.run_until(async { Ok(()) }));
    places.see("turn after the end", gone.turn(None));
    places.see("listen after the end", gone.listen("127.0.0.1:0", factory));
    places.see("open_stdio after the end", gone.open_stdio());
    places.see("a run inside", {
        let inner = reactor.clone();
        reactor.run_until(async move { inner.run() })
    });
    places.none();
}

#[test]
fn a_failed_call_of_a_transport_names_the_users_line_or_none() {
    let (reactor, mut places) = (Reactor::new().unwrap(), Places::default());
    let (stream, _other) = open(&reactor);
    let transport = stream.transport();
    places.see("set_keepalive", transport.set_keepalive(None));
    let file = std::fs::File::open("/dev/null").unwrap();
    places.see("send_file_descriptor", transport.send_file_descriptor(file.into()));
    transport.register_producer(Silent, Producing::Push).unwrap();
    places.see("register_producer", transport.register_producer(Silent, Producing::Push));
    transport.abort_connection();
    kit::turn(&reactor);
    places.see("replace_stream", transport.replace_stream(|below| below));
    places.see("set_nodelay", transport.set_nodelay(true));
    places.see("register_producer", transport.register_producer(Silent, Producing::Push));
    let again = transport.clone();
    places.wait(&reactor, "drained", {
        transport.write("lost");
        again.drained()
    });
    places.wait(&reactor, "send_file", transport.send_file(&b"file"[..]));
    places.none();
}

#[test]
fn a_failed_call_for_datagrams_names_the_users_line_or_none() {
    let (reactor, mut places) = (Reactor::new().unwrap(), Places::default());
    let socket = reactor.bind_udp("127.0.0.1:0").unwrap();
    let (transport, host) = (socket.transport(), socket.host());
    places.see("send", reactor.run_until(async { socket.send("to nobody").await }));
    let too_long = vec![0; 100_000];
    places.see("send_to", reactor.run_until(async { socket.send_to(&too_long, &host).await }));
    let outcome = reactor.run_until(async {
        socket.send_to("longer", &host).await?;
        socket.recv_from(&mut [0; 3]).await
    });
    places.see("recv_from", outcome);
    let unix = Address::Unix(UnixName::from("/nonsense/at/all"));
    places.see("write", transport.write("to nobody"));
    places.see("write_to", transport.write_to("to a path", &unix));
    places.see("connect", socket.connect(unix.clone()));
    places.see("transport.connect", transport.connect(unix));
    let group = Ipv4Addr::LOCALHOST.into();
    places.see("join_group", transport.join_group(group, Ipv4Addr::LOCALHOST));
    places.see("leave_group", transport.leave_group(group, Ipv4Addr::LOCALHOST));
    reactor.run_until(transport.stop_listening()).unwrap();
    places.see("write after the end", transport.write_to("late", &host));
    places.see("set_broadcast", transport.set_broadcast(true));
    places.see("set_multicast_ttl", transport.set_multicast_ttl(1));
    places.see("recv_from", reactor.run_until(async { socket.recv_from(&mut [0; 3]).await }));
    places.none();
}

#[test]
fn a_panic_in_a_call_from_outside_names_the_line_of_the_call_or_none() {
    let (reactor, mut places) = (Reactor::new().unwrap(), Places::default());
    let port = reactor.listen("127.0.0.1:0", |_: &Address| Silent).unwrap();
    let connecting = reactor.connect(port.host(), |_: &Address| Silent);
    let connected = reactor.run_until(connecting).unwrap();
    let call = connected.call(|_, _| -> Result { panic!("on purpose") });
    places.wait(&reactor, "a panic", call);
    let call = connected.call(|_, _| Err::<(), _>(Failure::msg("on purpose")));
    places.wait(&reactor, "after the panic", call);
    places.none();
}

#[cfg(feature = "process")]
#[test]
fn a_failed_call_for_processes_names_the_users_line_or_none() {
    use ropewalk::process::ProcessOptions;
    let (reactor, mut places) = (Reactor::new().unwrap(), Places::default());
    let nothing = || ProcessOptions::new("/nonsense/at/all");
    places.wait(&reactor, "open_process", reactor.open_process(nothing()).map(drop));
    places.wait(&reactor, "process_output", reactor.process_output(nothing()));
    places.wait(&reactor, "process_value", reactor.process_value(nothing()));
    let loud = ProcessOptions::new("sh").args(["-c", "echo loud >&2; exit 3"]);
    places.wait(&reactor, "process_output", reactor.process_output(loud));
    places.none();
}

#[cfg(feature = "tls")]
#[test]
fn a_failed_call_for_tls_names_the_users_line_or_none() {
    use ropewalk::tls::{ClientConfig, Identity, ServerConfig, start_tls};
    let (reactor, mut places) = (Reactor::new().unwrap(), Places::default());
    let files = || ("/nonsense", "/nonsense/at/all");
    places.see("from_pem", Identity::from_pem("", ""));
    places.see("from_pem", Identity::from_pem("-----BEGIN CERTIFICATE-----\n!\n", ""));
    places.see("from_files", Identity::from_files(files().0, files().1));
    places.see("trusting_files", ClientConfig::trusting_files(files().0));
    let good = ServerConfig::new(Identity::self_signed(&["localhost"]).unwrap());
    let bad = ClientConfig::trusting("no PEM at all");
    let factory = |_: &Address| Silent;
    places.see("listen_tls", reactor.listen(ServerEndpoint::from("nonsense").tls(&good), factory));
    places.wait(
        &reactor,
        "open_tls",
        reactor.open(ropewalk::ClientEndpoint::tcp("127.0.0.1:1").tls(&bad)).map(drop),
    );
    let (stream, other) = open(&reactor);
    places.wait(&reactor, "start_tls", start_tls(&stream.transport(), &bad));
    let unnamed = ClientConfig::trusting("");
    places.wait(&reactor, "start_tls", start_tls(&stream.transport(), &unnamed));
    drop(other);
    places.wait(&reactor, "start_tls of an end", start_tls(&stream.transport(), &good));
    places.wait(&reactor, "start_tls after it", start_tls(&stream.transport(), &good));
    places.none();
}
