//! Addresses of IPv6 that name their scope: nobody looks them up, and wherever an address may stand they may.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
#![cfg(target_os = "linux")]

#[path = "kit/mod.rs"]
mod kit;

use futures_util::AsyncReadExt;
use kit::Notes;
use ropewalk::net::{ConnectError, DatagramProtocol, DatagramTransport, ListenError};
use ropewalk::simulation::Simulation;
use ropewalk::{Address, Deferred, Protocol, Reactor, Result, Stream, Transport, fail};
use ropewalk::{ClientEndpoint, ServerEndpoint};
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener};

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

/// A reactor whose resolver knows nothing and notes what it is asked; none where there is no IPv6.
fn reactor() -> Option<(Reactor, Notes)> {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return None;
    }
    let (reactor, asked) = (Reactor::new().unwrap(), Notes::default());
    install(&reactor, &asked);
    Some((reactor, asked))
}

fn install(reactor: &Reactor, asked: &Notes) {
    let asked = asked.clone();
    reactor.install_name_resolver(move |host: &str, _: u16| -> Deferred<Vec<SocketAddr>> {
        asked.add(host);
        fail(ropewalk::Failure::msg("it knows nothing"))
    });
}

/// The number of the loopback interface.
const LO: u32 = 1;

#[test]
fn a_scoped_address_is_connected_to_and_no_resolver_asked() {
    let Some((reactor, asked)) = reactor() else { return };
    let port = reactor.serve("[::1]:0", async |_| Ok(())).unwrap();
    let number = port.host().port().unwrap();
    let address = SocketAddrV6::new(Ipv6Addr::LOCALHOST, number, 0, LO);
    for to in [
        ClientEndpoint::from(SocketAddr::from(address)),
        ClientEndpoint::from(&Address::from(SocketAddr::from(address))),
        ClientEndpoint::from(&port.host()),
        ClientEndpoint::from(format!("[::1%lo]:{number}")),
        ClientEndpoint::from(("::1%lo", number)),
        ClientEndpoint::from(("::1%1", number)),
        ClientEndpoint::from(("::1", number)),
    ] {
        let text = to.to_string();
        let stream: Stream = reactor.run_until(reactor.open(to)).expect(&text);
        assert_eq!(stream.peer(), port.host(), "{text}");
    }
    let endpoint: ClientEndpoint = format!(r"tcp:\:\:1%lo:{number}").parse().unwrap();
    assert_eq!(reactor.run_until(reactor.open(&endpoint)).unwrap().peer(), port.host());
    let found = reactor.run_until(reactor.resolve("fe80::1%lo", 80)).unwrap();
    let link_local = SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, LO);
    assert_eq!(found, [SocketAddr::from(link_local)]);
    asked.expect(&[]);
}

#[test]
fn a_scoped_address_is_listened_at_however_it_is_written() {
    let Some((reactor, asked)) = reactor() else { return };
    let listen = |host: &str| reactor.listen((host, 0), |_: &Address| Silent);
    let serve = |at: &str| reactor.serve(at, async |_| Ok(()));
    let endpoint = |text: &str| reactor.listen(text, |_: &Address| Silent);
    for port in [
        listen("::1%lo"),
        listen("::1%1"),
        serve("[::1%lo]:0"),
        serve("[::1%1]:0"),
        reactor.listen(String::from("[::1%lo]:0"), |_: &Address| Silent),
        endpoint(r"tcp6:0:interface=\:\:1%lo"),
        endpoint(r"tcp:0:\:\:1%lo"),
    ] {
        let port = port.unwrap();
        assert_eq!(port.host().ip(), Some(Ipv6Addr::LOCALHOST.into()));
        reactor.run_until(reactor.open(port.host())).unwrap();
    }
    let datagrams = reactor.listen_udp("[::1%lo]:0", Silent).unwrap();
    assert_eq!(datagrams.host().ip(), Some(Ipv6Addr::LOCALHOST.into()));
    asked.expect(&[]);
}

#[test]
fn a_link_local_address_goes_to_the_system_with_its_scope() {
    let Some((reactor, _)) = reactor() else { return };
    // The loopback interface has no such address, which is what the system then says.
    for at in ["[fe80::1%lo]:0", "[fe80::1%1]:0"] {
        let failure = reactor.listen(at, |_: &Address| Silent).unwrap_err();
        let error = failure.check::<ListenError>().unwrap();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{failure}");
    }
}

#[test]
fn a_scope_that_is_none_is_an_error_that_says_so_and_no_resolver_is_asked() {
    let Some((reactor, asked)) = reactor() else { return };
    for (host, kind, why) in [
        ("fe80::1%nosuch", ErrorKind::NotFound, "there is no network interface \"nosuch\""),
        ("fe80::1%", ErrorKind::NotFound, "there is no network interface \"\""),
        ("::1%-1", ErrorKind::NotFound, "there is no network interface \"-1\""),
        ("::1%99999999999", ErrorKind::NotFound, "no network interface \"99999999999\""),
        ("127.0.0.1%lo", ErrorKind::InvalidInput, "only addresses of IPv6 have one"),
    ] {
        let failure = reactor.listen((host, 0), |_: &Address| Silent).unwrap_err();
        assert_eq!(failure.check::<ListenError>().unwrap().kind(), kind, "{failure}");
        assert!(failure.to_string().contains(why), "{failure}");
        let failure = reactor.run_until(reactor.open((host, 80))).unwrap_err();
        assert_eq!(failure.check::<ConnectError>().unwrap().kind(), kind, "{failure}");
        assert!(failure.to_string().contains(why), "{failure}");
    }
    asked.expect(&[]);
}

#[test]
fn an_address_to_bind_to_takes_a_scope() {
    let Some((reactor, asked)) = reactor() else { return };
    let port = reactor
        .serve("[::1]:0", async |stream: Stream| {
            assert_eq!(stream.peer().ip(), Some(Ipv6Addr::LOCALHOST.into()));
            Ok(())
        })
        .unwrap();
    let number = port.host().port().unwrap();
    let client = |bind: &str| {
        let text = format!(r"tcp:\:\:1:{number}:bindAddress={bind}");
        text.parse::<ClientEndpoint>().map_err(|bad| bad.problem().to_string())
    };
    for bind in [r"\:\:1%lo", r"\:\:1%1", r"\:\:1"] {
        let mut stream = reactor.run_until(reactor.open(client(bind).unwrap())).unwrap();
        let read = async move { Ok(stream.read(&mut [0]).await?) };
        assert_eq!(reactor.run_until(read).unwrap(), 0, "{bind}");
    }
    let nowhere = reactor.open(client(r"fe80\:\:1%nosuch").unwrap());
    let failure = reactor.run_until(nowhere).unwrap_err().to_string();
    assert!(failure.ends_with("No such device (os error 19)"), "{failure}");
    for bad in [r"\:\:1%", "127.0.0.1%lo", "lo", "%lo"] {
        assert_eq!(client(bad).unwrap_err(), "the bindAddress is an IP address", "{bad}");
    }
    asked.expect(&[]);
}

#[test]
fn a_simulated_host_has_no_interfaces_and_asks_nobody() {
    let (simulation, asked) = (Simulation::new(1), Notes::default());
    let client = simulation.host("client");
    install(&client.reactor(), &asked);
    let opening = client.reactor().open("[fe80::1%eth0]:80");
    let failure = simulation.run_until(opening).unwrap_err();
    assert!(failure.to_string().ends_with("there is no network interface \"eth0\""), "{failure}");
    let at = "[fe80::1%eth0]:80";
    let failure = client.reactor().listen(at, |_: &Address| Silent).unwrap_err();
    assert!(failure.to_string().ends_with("there is no network interface \"eth0\""), "{failure}");
    asked.expect(&[]);
}

#[cfg(feature = "tls")]
#[test]
fn a_tls_server_proves_an_address_without_its_scope() {
    use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
    let Some((reactor, asked)) = reactor() else { return };
    let identity = Identity::self_signed(&["::1"]).unwrap();
    let trusting = ClientConfig::trusting(identity.certificate_pem());
    let server = ServerConfig::new(identity);
    let port =
        reactor.serve(ServerEndpoint::from("[::1%lo]:0").tls(&server), async |_| Ok(())).unwrap();
    let number = port.host().port().unwrap();
    for host in ["::1%lo", "::1%1", "::1"] {
        let to = ClientEndpoint::from((host, number)).tls(&trusting);
        reactor.run_until(reactor.open(to)).expect(host);
    }
    asked.expect(&[]);
}
