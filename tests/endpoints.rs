//! Endpoints on real sockets: each kind of text listens and connects, in both faces.

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::endpoint::{ClientEndpoint, ServerEndpoint, quote};
use ropewalk::{
    Address, CannotListen, Deferred, Port, Protocol, Reactor, Result, Stream, Transport,
};
use std::cell::RefCell;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::rc::Rc;

/// Says whom it sees, and then sends back what it gets.
struct Mirror;

impl Protocol for Mirror {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(format!("{} at {}\n", transport.peer(), transport.host()).as_bytes());
    }
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

async fn mirror(mut stream: Stream) -> Result {
    stream.write_all(format!("{} at {}\n", stream.peer(), stream.host()).as_bytes()).await?;
    let mut data = Vec::new();
    stream.read_to_end(&mut data).await?;
    Ok(stream.write_all(&data).await?)
}

/// Listens at `text` in one face and then the other, and lets `check` look at each.
fn in_both_faces(text: &str, check: impl Fn(&Reactor, &Port)) {
    let reactor = Reactor::new().expect("a reactor");
    let endpoint: ServerEndpoint = text.parse().unwrap_or_else(|bad| panic!("{bad}"));
    for face in 0..2 {
        let port = match face {
            0 => endpoint.listen(&reactor, |_: &Address| Mirror),
            _ => endpoint.serve(&reactor, mirror),
        };
        let port = port.unwrap_or_else(|failure| panic!("{text}: {failure}"));
        check(&reactor, &port);
        reactor.run_until(port.stop_listening()).expect("the port closes");
    }
}

/// What a server answers to `data` and the end.
fn answer(reactor: &Reactor, opening: Deferred<Stream>, data: Vec<Vec<u8>>) -> Result<String> {
    let exchange = opening.add_callback(|mut stream| {
        stream.reactor().spawn(async move {
            for piece in data {
                stream.write_all(&piece).await?;
                stream.flush().await?;
                stream.reactor().yield_now().await;
            }
            stream.close().await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        })
    });
    reactor.run_until(exchange)
}

fn port_of(port: &Port) -> u16 {
    port.host().port().expect("it is a TCP port")
}

fn client(text: &str) -> ClientEndpoint {
    text.parse().unwrap_or_else(|bad| panic!("{bad}"))
}

#[test]
fn tcp_listens_and_connects() {
    in_both_faces("tcp:0:interface=127.0.0.1", |reactor, port| {
        let opening = client(&format!("tcp:127.0.0.1:{}", port_of(port))).open(reactor);
        let text = answer(reactor, opening, vec![b"hello".into()]).unwrap();
        assert!(text.ends_with(&format!(" at {}\nhello", port.host())), "{text}");
    });
}

#[test]
fn tcp6_listens_at_every_address_unless_told_otherwise() {
    if TcpListener::bind("[::1]:0").is_err() {
        return println!("skipped: this machine has no IPv6");
    }
    in_both_faces(r"tcp6:0:interface=\:\:1", |reactor, port| {
        let opening = client(&format!(r"tcp:\:\:1:{}", port_of(port))).open(reactor);
        assert!(answer(reactor, opening, vec![]).unwrap().contains(&format!("at {}", port.host())));
    });
}

#[test]
fn unix_listens_and_connects_at_a_path_with_a_colon() {
    let path = std::env::temp_dir().join(format!("ropewalk:endpoints:{}", std::process::id()));
    let path = quote(path.to_str().unwrap());
    in_both_faces(&format!("unix:{path}:mode=600"), |reactor, _| {
        let opening = client(&format!("unix:{path}")).open(reactor);
        assert!(answer(reactor, opening, vec![b"hello".into()]).unwrap().ends_with("\nhello"));
    });
}

#[test]
fn fd_takes_a_listening_socket_over_and_leaves_its_number_open() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!("fd:{}", listener.as_raw_fd());
    in_both_faces(&text, |reactor, port| {
        assert_eq!(port.host(), listener.local_addr().unwrap().into());
        let opening = reactor.open_tcp(&port.host());
        assert!(answer(reactor, opening, vec![b"hello".into()]).unwrap().ends_with("hello"));
    });
}

#[test]
fn a_descriptor_that_is_no_listening_socket_is_told_by_number() {
    let reactor = Reactor::new().unwrap();
    let (file, socket) = (
        std::fs::File::open("/dev/null").unwrap(),
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    for number in [file.as_raw_fd(), socket.as_raw_fd(), 999_999] {
        let endpoint: ServerEndpoint = format!("fd:{number}").parse().unwrap();
        let failure = endpoint.listen(&reactor, |_: &Address| Mirror).unwrap_err();
        assert!(failure.is::<CannotListen>());
        assert!(failure.to_string().starts_with(&format!("cannot listen at fd:{number}: ")));
    }
}

#[test]
fn systemd_without_sockets_says_so() {
    let reactor = Reactor::new().unwrap();
    let endpoint: ServerEndpoint = "systemd:name=http".parse().unwrap();
    let text = endpoint.serve(&reactor, mirror).unwrap_err().to_string();
    assert_eq!(text, "cannot listen at systemd:name=http: systemd passed this process no sockets");
}

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 4096 80\r\n";
const BLOCK: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x10\0\0\x50";
const BEHIND: &str = "haproxy:tcp:0:interface=127.0.0.1";

#[test]
fn haproxy_headers_of_both_versions_name_the_peer_in_every_cut() {
    in_both_faces(BEHIND, |reactor, port| {
        for header in [LINE, BLOCK] {
            for cut in 0..=header.len() {
                let rest = [&header[cut..], b"hello"].concat();
                let opening = reactor.open_tcp(&port.host());
                let text = answer(reactor, opening, vec![header[..cut].into(), rest]).unwrap();
                assert_eq!(text, "192.0.2.1:4096 at 192.0.2.2:80\nhello", "cut at {cut}");
            }
        }
    });
}

#[test]
fn a_balancers_own_check_keeps_the_real_addresses() {
    in_both_faces(BEHIND, |reactor, port| {
        let opening = reactor.open_tcp(&port.host());
        let text = answer(reactor, opening, vec![b"PROXY UNKNOWN\r\nhello".into()]).unwrap();
        assert!(text.starts_with("127.0.0.1:") && text.ends_with("\nhello"), "{text}");
    });
}

#[test]
fn what_is_no_header_ends_its_connection_and_the_server_lives() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let sink = reports.clone();
    ropewalk::on_report(move |report| sink.borrow_mut().push(report.to_string()));
    in_both_faces(BEHIND, |reactor, port| {
        for bad in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY TCP9 a b c d\r\n", &LINE[..20]] {
            // Whether as an end or as a reset, the peer hears nothing.
            let said = answer(reactor, reactor.open_tcp(&port.host()), vec![bad.into()]);
            assert_eq!(said.unwrap_or_default(), "");
        }
        let opening = reactor.open_tcp(&port.host());
        let good = vec![[LINE, b"hello"].concat()];
        assert!(answer(reactor, opening, good).unwrap().ends_with("hello"));
    });
    let reports = reports.borrow();
    assert!(reports.iter().any(|text| text.contains("it sent no PROXY header")), "{reports:?}");
}
