//! Endpoints on real sockets: each kind of text listens and connects, in both faces.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "kit/paths.rs"]
mod paths;
#[path = "kit/peers.rs"]
mod peers;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use paths::path;
use ropewalk::endpoint::quote;
use ropewalk::transport::ConnectionDone;
use ropewalk::{
    Address, Deferred, Failure, Port, Protocol, Reactor, Result, Stream, Transport, Trigger,
};
use ropewalk::{ClientEndpoint, ServerEndpoint};
use std::cell::RefCell;
use std::net::TcpListener;
use std::rc::Rc;

/// Says whom it sees, and then sends back what it gets.
struct Mirror;

impl Protocol for Mirror {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(format!("{} at {}\n", transport.peer(), transport.host()));
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
            0 => reactor.listen(&endpoint, |_: &Address| Mirror),
            _ => reactor.serve(&endpoint, mirror),
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
        let client = client(&format!("tcp:127.0.0.1:{}", port_of(port)));
        let text = answer(reactor, reactor.open(&client), vec![b"hello".into()]).unwrap();
        assert!(text.ends_with(&format!(" at {}\nhello", port.host())), "{text}");
        let (text, reason) = told(reactor, &client, b"hello").unwrap();
        assert!(text.ends_with(&format!(" at {}\nhello", port.host())), "{text}");
        assert!(reason.is::<ConnectionDone>(), "{reason}");
    });
}

#[test]
fn tcp6_listens_at_every_address_unless_told_otherwise() {
    if TcpListener::bind("[::1]:0").is_err() {
        return println!("skipped: this machine has no IPv6");
    }
    in_both_faces(r"tcp6:0:interface=\:\:1", |reactor, port| {
        let opening = reactor.open(client(&format!(r"tcp:\:\:1:{}", port_of(port))));
        assert!(answer(reactor, opening, vec![]).unwrap().contains(&format!("at {}", port.host())));
    });
}

#[test]
fn unix_listens_and_connects_at_a_path_with_a_colon() {
    let path = path("ropewalk:endpoints");
    let path = quote(path.to_str().unwrap());
    in_both_faces(&format!("unix:{path}:mode=600"), |reactor, _| {
        let opening = reactor.open(client(&format!("unix:{path}")));
        assert!(answer(reactor, opening, vec![b"hello".into()]).unwrap().ends_with("\nhello"));
    });
}

#[test]
fn systemd_without_sockets_says_so() {
    let reactor = Reactor::new().unwrap();
    let endpoint: ServerEndpoint = "systemd:name=http".parse().unwrap();
    let text = reactor.serve(&endpoint, mirror).unwrap_err().to_string();
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
                let opening = reactor.open(port.host());
                let text = answer(reactor, opening, vec![header[..cut].into(), rest]).unwrap();
                assert_eq!(text, "192.0.2.1:4096 at 192.0.2.2:80\nhello", "cut at {cut}");
            }
        }
    });
}

#[test]
fn a_balancers_own_check_keeps_the_real_addresses() {
    in_both_faces(BEHIND, |reactor, port| {
        let opening = reactor.open(port.host());
        let text = answer(reactor, opening, vec![b"PROXY UNKNOWN\r\nhello".into()]).unwrap();
        assert!(text.starts_with("127.0.0.1:") && text.ends_with("\nhello"), "{text}");
    });
}

#[test]
fn what_is_no_header_ends_its_connection_and_the_server_lives() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let sink = reports.clone();
    ropewalk::on_peer_fault(move |report| sink.borrow_mut().push(report.to_string()));
    in_both_faces(BEHIND, |reactor, port| {
        for bad in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY TCP9 a b c d\r\n", &LINE[..20]] {
            // Whether as an end or as a reset, the peer hears nothing.
            let said = answer(reactor, reactor.open(port.host()), vec![bad.into()]);
            assert_eq!(said.unwrap_or_default(), "");
        }
        let opening = reactor.open(port.host());
        let good = vec![[LINE, b"hello"].concat()];
        assert!(answer(reactor, opening, good).unwrap().ends_with("hello"));
    });
    let reports = reports.borrow();
    assert!(reports.iter().any(|text| text.contains("it sent no PROXY header")), "{reports:?}");
}

/// Says something, ends its half, collects the answer, and tells it with the reason of the end.
struct Asker {
    question: &'static [u8],
    answer: Vec<u8>,
    told: Trigger<(String, Failure)>,
}

impl Protocol for Asker {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(self.question);
        transport.lose_write_connection();
    }
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.answer.extend_from_slice(data);
        Ok(())
    }
    fn connection_lost(&mut self, reason: &Failure) {
        let answer = String::from_utf8(std::mem::take(&mut self.answer)).unwrap();
        self.told.callback((answer, reason.clone())).unwrap();
    }
}

/// What is answered to a protocol of a client, and how that ends.
fn told(
    reactor: &Reactor,
    client: &ClientEndpoint,
    question: &'static [u8],
) -> Result<(String, Failure)> {
    let (told, telling) = Deferred::new();
    let asker = Asker { question, answer: Vec::new(), told };
    let connecting = ropewalk::ported::connect_protocol(reactor, client, asker);
    reactor.run_until(connecting.add_callback(|_| telling))
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use ropewalk::tls::{ClientConfig, Identity, ServerConfig, session};
    use std::fs;
    use std::path::PathBuf;

    /// A directory for certificates, which is gone when the test is over.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let directory = Directory(path(&format!("ropewalk:{name}")));
            fs::create_dir_all(&directory.0).unwrap();
            directory
        }

        /// As an argument of a description.
        fn quoted(&self, name: &str) -> String {
            quote(self.0.join(name).to_str().unwrap())
        }

        fn write(&self, name: &str, identity: &Identity) {
            let both = identity.key_pem() + &identity.certificate_pem();
            fs::write(self.0.join(name), both).unwrap();
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn identity(name: &str) -> Identity {
        Identity::self_signed(&[name]).unwrap()
    }

    /// Both faces of a client hear the mirror through TLS.
    fn mirrors(reactor: &Reactor, client: &ClientEndpoint) {
        let said = answer(reactor, reactor.open(client), vec![b"hello".into()]).unwrap();
        assert!(said.ends_with("\nhello"), "{client}: {said}");
        let (said, reason) = told(reactor, client, b"hello").unwrap();
        assert!(said.ends_with("hello"), "{client}: {said}");
        assert!(reason.is::<ConnectionDone>(), "{client}: {reason}");
    }

    #[test]
    fn a_client_trusts_the_roots_that_its_text_names_and_no_others() {
        let reactor = Reactor::new().unwrap();
        let identity = Identity::self_signed(&["127.0.0.1"]).unwrap();
        let roots = path("roots.pem");
        std::fs::write(&roots, identity.certificate_pem()).unwrap();
        let config = ServerConfig::new(identity);
        ropewalk::on_report(|_| ()); // of the client below that does not trust it
        let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&config), mirror).unwrap();
        let text = format!("tls:127.0.0.1:{}", port_of(&port));
        let trusting = format!("{text}:trustRoots={}", quote(roots.to_str().unwrap()));
        let said = answer(&reactor, reactor.open(client(&trusting)), vec![b"hello".into()]);
        std::fs::remove_file(&roots).unwrap();
        assert!(said.unwrap().ends_with("\nhello"));
        assert!(answer(&reactor, reactor.open(client(&text)), vec![]).is_err());
        let failure = answer(&reactor, reactor.open(client(&trusting)), vec![]).unwrap_err();
        assert!(failure.to_string().starts_with("cannot read "), "{failure}");
    }

    #[test]
    fn a_server_shows_each_client_the_certificate_of_its_name_and_sees_new_ones() {
        let directory = Directory::new("by-name");
        let (one, two) = (identity("one.test"), identity("*.two.test"));
        directory.write("one.pem", &one);
        directory.write("two.pem", &two);
        let roots = directory.quoted("");
        in_both_faces(&format!("tls:{roots}:0:interface=127.0.0.1"), |reactor, port| {
            let client = |name: &str| {
                let to = quote(&format!("tcp:127.0.0.1:{}", port_of(port)));
                client(&format!("tls:{name}:443:endpoint={to}:trustRoots={roots}"))
            };
            mirrors(reactor, &client("one.test"));
            mirrors(reactor, &client("www.two.test"));
            let stranger = answer(reactor, reactor.open(client("three.test")), vec![]);
            assert!(stranger.unwrap_err().to_string().contains("certificate"));

            directory.write("three.pem", &identity("three.test"));
            // The directory is not looked at again at once.
            let try_again = |_| answer(reactor, reactor.open(client("three.test")), vec![]).is_ok();
            assert!((0..1000).any(try_again), "it never was");
            mirrors(reactor, &client("three.test"));
            fs::remove_file(directory.0.join("three.pem")).unwrap();
        });
    }

    #[test]
    fn certificates_that_are_no_good_are_told_and_the_former_ones_go_on() {
        let directory = Directory::new("damaged");
        directory.write("a.pem", &identity("a.test"));
        let roots = ClientConfig::trusting_files(directory.0.join("a.pem")).unwrap();
        let reports = Rc::new(RefCell::new(Vec::new()));
        let sink = reports.clone();
        ropewalk::on_report(move |report| sink.borrow_mut().push(report.to_string()));
        let reactor = Reactor::new().unwrap();
        let text = format!("tls:{}:0:interface=127.0.0.1", directory.quoted(""));
        let port = reactor.serve(text, mirror).unwrap();
        fs::write(directory.0.join("a.pem"), "nothing of use").unwrap();
        let client = ClientEndpoint::from(&port.host()).tls(&roots.server_name("a.test"));
        let is_told = |_| {
            mirrors(&reactor, &client);
            !reports.borrow().is_empty()
        };
        assert!((0..1000).any(is_told), "it never was");
        // The same files are no news.
        (0..3).for_each(|_| mirrors(&reactor, &client));
        let reports = reports.borrow();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(reports[0].contains("there is no certificate with its key in"), "{reports:?}");
    }

    #[test]
    fn ssl_takes_files_at_both_ends_and_verifies_the_hostname() {
        let directory = Directory::new("ssl");
        let server = identity("server.test");
        fs::write(directory.0.join("key"), server.key_pem()).unwrap();
        fs::write(directory.0.join("certificate"), server.certificate_pem()).unwrap();
        directory.write("chain.pem", &identity("somebody.test"));
        let [key, certificate, chain] =
            ["key", "certificate", "chain.pem"].map(|it| directory.quoted(it));
        let text = format!(
            "ssl:0:{key}:{certificate}:sslmethod=SSLv23_METHOD:interface=127.0.0.1:extraCertChain={chain}"
        );
        ropewalk::on_report(|_| ()); // of the client below that expects another name
        in_both_faces(&text, |reactor, port| {
            let text = format!("ssl:127.0.0.1:{}:caCertsDir={certificate}", port_of(port));
            let named = client(&format!("{text}:hostname=server.test"));
            mirrors(reactor, &named);
            let stream = reactor.run_until(reactor.open(&named)).unwrap();
            let session = session(&stream.transport()).unwrap();
            assert_eq!(session.peer_certificates().len(), 2, "the chain comes behind");
            drop(stream);
            let failure = answer(reactor, reactor.open(client(&text)), vec![]).unwrap_err();
            assert!(failure.to_string().contains("certificate cannot be trusted"), "{failure}");
        });
    }

    #[test]
    fn a_client_shows_the_certificate_that_its_text_names() {
        let directory = Directory::new("client");
        let (server, me) = (identity("127.0.0.1"), identity("me"));
        directory.write("both.pem", &me);
        fs::write(directory.0.join("key"), me.key_pem()).unwrap();
        fs::write(directory.0.join("roots"), server.certificate_pem()).unwrap();
        let config = ServerConfig::new(server).require_client_certificate(me.certificate_pem());
        let [both, key, roots] = ["both.pem", "key", "roots"].map(|it| directory.quoted(it));
        ropewalk::on_report(|_| ()); // of the client below that shows none
        let reactor = Reactor::new().unwrap();
        let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&config), mirror).unwrap();
        let at = format!("127.0.0.1:{}", port_of(&port));
        for text in [
            format!("tls:{at}:trustRoots={roots}:certificate={both}"),
            format!("tls:{at}:trustRoots={roots}:certificate={both}:privateKey={key}"),
            format!("ssl:{at}:caCertsDir={roots}:certKey={both}:privateKey={key}"),
        ] {
            mirrors(&reactor, &client(&text));
        }
        let nobody = client(&format!("tls:{at}:trustRoots={roots}"));
        assert!(answer(&reactor, reactor.open(&nobody), vec![]).is_err());
    }

    #[test]
    fn tls_runs_over_unix_behind_haproxy_and_in_itself() {
        let directory = Directory::new("over");
        let identity = identity("bus");
        directory.write("bus.pem", &identity);
        let (config, roots) = (
            ServerConfig::new(identity.clone()),
            ClientConfig::trusting(identity.certificate_pem()).server_name("bus"),
        );
        let (certificates, socket) = (directory.quoted(""), directory.quoted("socket"));
        let unix = quote(&format!("unix:{socket}"));
        let trusting = directory.quoted("bus.pem");
        in_both_faces(&format!("tls:{certificates}:endpoint={unix}"), |reactor, _| {
            mirrors(reactor, &client(&format!("tls:bus:endpoint={unix}:trustRoots={trusting}")));
            mirrors(reactor, &client(&format!("unix:{socket}")).tls(&roots));
        });

        let reactor = Reactor::new().unwrap();
        let server: ServerEndpoint = "tcp:0:interface=127.0.0.1".parse().unwrap();
        let server = server.tls(&config).tls(&config);
        assert_eq!(server.to_string(), "TLS over TLS over tcp:0:interface=127.0.0.1");
        let port = reactor.listen(&server, |_: &Address| Mirror).unwrap();
        mirrors(&reactor, &ClientEndpoint::from(&port.host()).tls(&roots).tls(&roots));

        let behind: ServerEndpoint = BEHIND.parse().unwrap();
        let port = reactor.serve(behind.tls(&config), mirror).unwrap();
        let answer = reactor.run_until(reactor.open(port.host()).add_callback(|mut stream| {
            stream.reactor().spawn(async move {
                stream.write_all(LINE).await?;
                ropewalk::tls::start_tls(&stream.transport(), &roots).await?;
                stream.close().await?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await?;
                Ok(answer)
            })
        }));
        assert_eq!(answer.unwrap(), "192.0.2.1:4096 at 192.0.2.2:80\n");
    }

    #[test]
    fn what_is_wrong_with_its_files_is_said_by_who_listens_and_who_connects() {
        let reactor = Reactor::new().unwrap();
        for (text, why) in [
            ("tls:/no/such:0", "cannot read /no/such: "),
            ("ssl:0", "cannot read server.pem: "),
            ("ssl:0:/dev/null", "/dev/null with the key /dev/null: there is no certificate"),
        ] {
            let endpoint: ServerEndpoint = text.parse().unwrap();
            let failure = reactor.listen(&endpoint, |_: &Address| Mirror).unwrap_err();
            assert!(failure.is::<ropewalk::net::ListenError>());
            let failure = failure.to_string();
            assert!(failure.starts_with(&format!("cannot listen at {text}: {why}")), "{failure}");
        }
        for (text, why) in [
            ("tls:h:1:trustRoots=/no/such", "cannot read /no/such: "),
            ("tls:h:1:certificate=/no/such", "cannot read /no/such: "),
        ] {
            let failure = reactor.run_until(reactor.open(client(text))).unwrap_err().to_string();
            assert!(failure.contains(why), "{failure}");
        }
    }

    #[cfg(feature = "idna")]
    #[test]
    fn a_name_beyond_ascii_is_verified_by_its_a_label() {
        let directory = Directory::new("beyond-ascii");
        directory.write("a.pem", &identity("bücher.test"));
        let certificates = directory.quoted("");
        in_both_faces(&format!("tls:{certificates}:0:interface=127.0.0.1"), |reactor, port| {
            let to = quote(&format!("tcp:127.0.0.1:{}", port_of(port)));
            for name in ["bücher.test", "BÜCHER.test", "xn--bcher-kva.test"] {
                let text = format!("tls:{name}:443:endpoint={to}:trustRoots={certificates}");
                mirrors(reactor, &client(&text));
            }
        });
    }

    #[cfg(feature = "process")]
    #[test]
    fn tls_runs_through_a_program() {
        if !peers::noted("socat", std::path::Path::new("/usr/bin/socat").exists()) {
            return;
        }
        let directory = Directory::new("program");
        directory.write("bus.pem", &identity("bus"));
        let certificates = directory.quoted("");
        in_both_faces(&format!("tls:{certificates}:0:interface=127.0.0.1"), |reactor, port| {
            let to = quote(&format!("TCP:127.0.0.1:{}", port_of(port)));
            let program = quote(&format!("process:/usr/bin/socat:-:{to}"));
            let text = format!("tls:bus:443:endpoint={program}:trustRoots={certificates}");
            mirrors(reactor, &client(&text));
        });
    }
}

#[cfg(feature = "process")]
mod process {
    use super::*;
    use ropewalk::process::{ProcessTerminated, SpawnError};
    use ropewalk::transport::{ConnectionAborted, ConnectionLost};

    #[test]
    fn a_program_that_ends_well_is_a_connection_that_does_in_both_faces() {
        let reactor = Reactor::new().unwrap();
        let cat = client("process:/bin/cat:-");
        let said = answer(&reactor, reactor.open(&cat), vec![b"hel".into(), b"lo".into()]);
        assert_eq!(said.unwrap(), "hello");
        let (said, reason) = told(&reactor, &cat, b"hello").unwrap();
        assert_eq!(said, "hello");
        assert!(reason.is::<ConnectionDone>(), "{reason}");
    }

    #[test]
    fn a_program_that_fails_is_the_reason_of_the_end_after_all_that_it_wrote() {
        let reactor = Reactor::new().unwrap();
        let fails = client("process:sh:-c:cat; exit 7");
        let (said, reason) = told(&reactor, &fails, b"hello").unwrap();
        assert_eq!(said, "hello");
        let lost = reason.check::<ConnectionLost>().expect("it is lost");
        let why = lost.cause().get_ref().and_then(|why| why.downcast_ref::<ProcessTerminated>());
        assert_eq!(why.and_then(ProcessTerminated::exit_code), Some(7), "{reason}");
        assert!(reason.to_string().contains("stdio of sh"), "{reason}");

        let failure = answer(&reactor, reactor.open(&fails), vec![]).unwrap_err().to_string();
        assert!(failure.contains("the process sh ended with exit status: 7"), "{failure}");
    }

    #[test]
    fn the_end_of_its_output_is_not_told_before_that_of_the_program() {
        let reactor = Reactor::new().unwrap();
        // What it reads after closing its output is its last: only then can it end.
        let early = client("process:sh:-c:exec >&-; read line; exit 3");
        let (trigger, lost) = Deferred::new();
        let asker = Asker { question: b"", answer: Vec::new(), told: trigger };
        let connected = reactor.connect(&early, {
            let mut asker = Some(asker);
            move |_: &Address| Patient(asker.take().expect("it connects once"))
        });
        let connected = reactor.run_until(connected).unwrap();
        connected.call(|_, transport| transport.write(b"now\n"));
        let (_, reason) = reactor.run_until(lost).unwrap();
        assert!(reason.to_string().contains("exit status: 3"), "{reason}");
    }

    /// An asker that asks when it is told to.
    struct Patient(Asker);

    impl Protocol for Patient {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            self.0.data_received(transport, data)
        }
        fn connection_lost(&mut self, reason: &Failure) {
            self.0.connection_lost(reason);
        }
    }

    #[test]
    fn a_connection_that_is_aborted_kills_its_program() {
        let reactor = Reactor::new().unwrap();
        // Deaf to the end of its input, and silent: nothing but a signal ends it.
        let stubborn = client("process:sh:-c:echo $$; exec sleep 1000");
        let opening = reactor.open(&stubborn);
        let pid = reactor.run_until(async move {
            let mut stream = opening.await?;
            let mut line = [0; 16];
            let count = stream.read(&mut line).await?;
            stream.transport().abort_connection();
            let failure = stream.read(&mut line).await.unwrap_err();
            assert!(failure.to_string().contains("abort"), "{failure}");
            Ok(String::from_utf8_lossy(&line[..count]).trim().to_owned())
        });
        let process = format!("/proc/{}/stat", pid.unwrap());
        let is_gone = || {
            let stat = std::fs::read_to_string(&process).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        while !is_gone() {
            reactor.run_until(reactor.yield_now()).unwrap();
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_a_failure_that_names_it() {
        let reactor = Reactor::new().unwrap();
        let failure = reactor.run_until(reactor.open(client("process:/no/such:x"))).unwrap_err();
        assert!(failure.is::<SpawnError>() && !failure.is::<ConnectionAborted>());
        assert!(failure.to_string().starts_with("cannot start /no/such: "), "{failure}");
    }
}
