//! What TLS says of its own accord, seen by a peer that is rustls alone: alerts, and new keys.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
#![cfg(feature = "tls")]

#[path = "kit/mod.rs"]
mod kit;

use kit::{FACES, Face, Peer, hear_reports, until};
use ropewalk::tls::rustls::pki_types::CertificateDer;
use ropewalk::tls::rustls::pki_types::pem::PemObject;
use ropewalk::tls::rustls::{self, AlertDescription, ClientConnection};
use ropewalk::tls::{Identity, ServerConfig};
use ropewalk::{Address, Port, Protocol, Reactor, Result, ServerEndpoint, Stream, Transport};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

fn serve(face: Face, reactor: &Reactor, identity: &Identity) -> Port {
    let config = ServerConfig::new(identity.clone());
    serve_at(face, reactor, &ServerEndpoint::from("127.0.0.1:0").tls(&config))
}

fn serve_at(face: Face, reactor: &Reactor, endpoint: &ServerEndpoint) -> Port {
    let port = match face {
        Face::Protocol => reactor.listen(endpoint, |_: &Address| Echo),
        Face::Stream => reactor.serve(endpoint, async |stream: Stream| {
            let (mut reader, mut writer) = stream.split();
            futures_util::io::copy(&mut reader, &mut writer).await?;
            Ok(())
        }),
    };
    port.unwrap()
}

fn roots(identity: &Identity) -> rustls::RootCertStore {
    let pem = identity.certificate_pem();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    roots
}

/// A client of rustls' own, after its handshake and what the server says right after that.
struct Client {
    peer: Peer,
    session: ClientConnection,
}

impl Client {
    fn new(reactor: &Reactor, port: &Port, identity: &Identity) -> Client {
        let config = rustls::ClientConfig::builder().with_root_certificates(roots(identity));
        Client::with(reactor, port, Arc::new(config.with_no_client_auth()))
    }

    fn with(reactor: &Reactor, port: &Port, config: Arc<rustls::ClientConfig>) -> Client {
        let name = "127.0.0.1".try_into().unwrap();
        let session = ClientConnection::new(config, name).unwrap();
        let mut client = Client { peer: Peer::call(port), session };
        until(reactor, "the handshake", || {
            client.go_on().unwrap();
            !client.session.is_handshaking() && !client.session.wants_write()
        });
        // Two tickets come behind it.
        kit::turn(reactor);
        client.go_on().unwrap();
        client
    }

    /// Passes on what there is, both ways.
    fn go_on(&mut self) -> std::result::Result<(), rustls::Error> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.peer.socket).unwrap();
        }
        loop {
            match self.session.read_tls(&mut self.peer.socket) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    return Ok(());
                }
            }
            self.session.process_new_packets()?;
        }
    }
}

#[test]
fn a_peer_that_breaks_the_encryption_is_told_why() {
    for face in FACES {
        let (reactor, _reports) = (Reactor::new().unwrap(), hear_reports());
        let identity = Identity::self_signed(&["127.0.0.1"]).unwrap();
        let port = serve(face, &reactor, &identity);
        let mut client = Client::new(&reactor, &port, &identity);
        client
            .peer
            .socket
            .write_all(b"\x17\x03\x03\0\x20no ciphertext of anybody's at all")
            .unwrap();
        let mut told = None;
        until(&reactor, "an alert", || {
            told = client.go_on().err();
            told.is_some()
        });
        let alert = rustls::Error::AlertReceived(AlertDescription::BadRecordMac);
        assert_eq!(told, Some(alert), "{face:?}");
    }
}

#[test]
fn a_peer_that_speaks_no_tls_is_told_why_in_the_clear() {
    for face in FACES {
        let (reactor, _reports) = (Reactor::new().unwrap(), hear_reports());
        let identity = Identity::self_signed(&["127.0.0.1"]).unwrap();
        let port = serve(face, &reactor, &identity);
        let mut peer = Peer::call(&port);
        peer.send(b"\x16\x03\x01\0\x04\xff\0\0\0");
        until(&reactor, "an alert", || peer.hear().len() >= 7);
        assert_eq!(peer.got[0], 0x15, "{face:?}: {:?}", peer.got);
        assert_eq!(peer.got[5], 2, "it is fatal");
    }
}

#[test]
fn new_keys_that_a_peer_asks_for_are_in_force_for_what_is_written_next() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let identity = Identity::self_signed(&["127.0.0.1"]).unwrap();
        let port = serve(face, &reactor, &identity);
        let mut client = Client::new(&reactor, &port, &identity);
        for asked in [1, 3, 0, 1] {
            for _ in 0..asked {
                client.session.refresh_traffic_keys().unwrap();
                client.go_on().unwrap();
                kit::turn(&reactor);
            }
            client.session.writer().write_all(b"hello").unwrap();
            let mut got = Vec::new();
            until(&reactor, "an answer", || {
                client.go_on().unwrap();
                let mut piece = [0; 10];
                let count = client.session.reader().read(&mut piece).unwrap_or(0);
                got.extend_from_slice(&piece[..count]);
                got.len() >= 5
            });
            assert_eq!(got, b"hello", "{face:?}, asked {asked} times");
        }
    }
}

#[test]
fn a_wish_to_negotiate_again_is_declined_at_once() {
    use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
    use rustls::crypto::ring::{cipher_suite, default_provider};
    use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};

    const SUITE: SupportedCipherSuite = cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let identity = Identity::self_signed(&["127.0.0.1"]).unwrap();
        let port = serve(face, &reactor, &identity);
        let provider =
            rustls::crypto::CryptoProvider { cipher_suites: vec![SUITE], ..default_provider() };
        let versions = [&rustls::version::TLS12];
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider));
        let config = config.with_protocol_versions(&versions).unwrap();
        let mut config = config.with_root_certificates(roots(&identity)).with_no_client_auth();
        config.enable_secret_extraction = true;
        let mut client = Client::with(&reactor, &port, Arc::new(config.clone()));

        // rustls itself never wishes that: a first word to another, under the keys of this one.
        let name = "127.0.0.1".try_into().unwrap();
        let mut hello = Vec::new();
        let mut other = ClientConnection::new(Arc::new(config), name).unwrap();
        other.write_tls(&mut hello).unwrap();
        let secrets = client.session.dangerous_extract_secrets().unwrap();
        let (number, ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets.tx else {
            panic!("another suite");
        };
        let SupportedCipherSuite::Tls12(suite) = SUITE else { panic!("another version") };
        let plain = OutboundPlainMessage {
            typ: ContentType::Handshake,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(&hello[5..]),
        };
        let mut encrypter = suite.aead_alg.encrypter(key, iv.as_ref(), &[]);
        client.peer.send(&encrypter.encrypt(plain, number).unwrap().encode());
        until(&reactor, "an alert", || !client.peer.hear().is_empty());
        assert_eq!(client.peer.got[0], 0x15, "{face:?}: an alert");
        assert_eq!(client.peer.end, None, "it is a warning");
        reports.expect(&[]);
    }
}

#[test]
fn a_goodbye_in_tls_behind_bytes_is_heard_through_the_layer_of_a_balancers_header() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let identity = Identity::self_signed(&["127.0.0.1"]).unwrap();
        let endpoint =
            ServerEndpoint::from("127.0.0.1:0").tls(&ServerConfig::new(identity.clone()));
        let port = serve_at(face, &reactor, &endpoint.behind_proxy());
        let mut client = Client::new(&reactor, &port, &identity);
        let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 4096 80\r\n";
        client.session.writer().write_all(header).unwrap();
        client.go_on().unwrap();
        client.session.writer().write_all(b"hello").unwrap();
        until(&reactor, "it is answered", || {
            client.go_on().unwrap();
            client.session.reader().read(&mut [0; 10]).is_ok_and(|count| count > 0)
        });
        // In one piece, and the connection below stays open.
        client.session.writer().write_all(b"bye").unwrap();
        client.session.send_close_notify();
        client.go_on().unwrap();
        until(&reactor, "it says goodbye as well", || {
            client.go_on().unwrap();
            matches!(client.session.process_new_packets(), Ok(state) if state.peer_has_closed())
        });
    }
}
