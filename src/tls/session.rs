//! What the two ends of a TLS connection have agreed upon.

use super::stream::TlsStream;
use crate::transport::Transport;
use rustls::Connection;

/// What was agreed upon in a handshake, as [`session`] tells it.
///
/// ```
/// use ropewalk::tls::Session;
///
/// /// A line for the log.
/// fn told(session: &Session) -> String {
///     let peer = match session.peer_certificates() {
///         [] => "nobody in particular".to_owned(),
///         [leaf, ..] => format!("a certificate of {} bytes", leaf.len()),
///     };
///     let resumed = if session.is_resumed() { ", resumed" } else { "" };
///     let name = session.server_name().unwrap_or("no name");
///     format!("{} with {}, for {name}: {peer}{resumed}", session.version(), session.cipher())
/// }
/// # let _ = told;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    alpn: Option<Vec<u8>>,
    server_name: Option<String>,
    certificates: Vec<Vec<u8>>,
    version: String,
    cipher: String,
    is_resumed: bool,
}

impl Session {
    /// The protocol above TLS, if both ends know one (ALPN).
    #[doc(alias = "negotiatedProtocol")]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// At a server, the name that the client called it by (SNI).
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The peer's certificate, and those that vouch for it, in DER; empty if it showed none.
    #[doc(alias = "getPeerCertificate")]
    pub fn peer_certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// `TLSv1_3` or `TLSv1_2`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The cipher, as `TLS13_AES_256_GCM_SHA384`.
    pub fn cipher(&self) -> &str {
        &self.cipher
    }

    /// Whether the handshake was short, because the two had met before.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    fn of(session: &Connection) -> Session {
        let certificates = session.peer_certificates().unwrap_or_default();
        let server_name = match session {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        };
        let kind = session.handshake_kind();
        Session {
            alpn: session.alpn_protocol().map(<[u8]>::to_vec),
            server_name,
            certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
            version: session.protocol_version().map_or(String::new(), |it| format!("{it:?}")),
            cipher: session
                .negotiated_cipher_suite()
                .map_or(String::new(), |it| format!("{:?}", it.suite())),
            is_resumed: kind == Some(rustls::HandshakeKind::Resumed),
        }
    }
}

/// What was agreed upon on this connection; `None` without TLS, or once it is lost.
///
/// ```
/// use ropewalk::{ClientEndpoint, ServerEndpoint};
/// use ropewalk::Reactor;
/// use ropewalk::tls::{ClientConfig, Identity, ServerConfig, session};
///
/// let identity = Identity::self_signed(&["localhost"])?;
/// let client = ClientConfig::trusting(identity.certificate_pem()).server_name("localhost");
/// let server = ServerConfig::new(identity).alpn(["chat"]);
/// let reactor = Reactor::new()?;
/// let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), async |_| Ok(()))?;
/// let stream = reactor.run_until(reactor.open(ClientEndpoint::from(&port.host()).tls(&client.alpn(["chat"]))))?;
/// let session = session(&stream.transport()).expect("TLS it is");
/// assert_eq!(session.alpn(), Some(&b"chat"[..]));
/// assert_eq!(session.version(), "TLSv1_3");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "ISSLTransport")]
pub fn session(transport: &Transport) -> Option<Session> {
    transport.with_layer(|stream: &TlsStream| Session::of(&stream.session))
}
