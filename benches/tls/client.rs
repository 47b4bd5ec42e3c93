//! The client: rustls over a blocking socket, the same for every server.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

pub(crate) type Line = StreamOwned<ClientConnection, TcpStream>;

/// Trusts this certificate alone; every handshake is a full one.
pub(crate) fn config(certificate: &str) -> ropewalk::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Connects; the handshake is over when this returns.
pub(crate) fn connect(at: SocketAddr, config: &Arc<ClientConfig>) -> ropewalk::Result<Line> {
    let name = ServerName::try_from("localhost")?;
    let mut session = ClientConnection::new(config.clone(), name)?;
    let mut socket = TcpStream::connect(at)?;
    socket.set_nodelay(true)?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(session, socket))
}

/// Has so many bytes go into the server.
pub(crate) fn send(line: &mut Line, count: u64) -> io::Result<()> {
    ask(line, b'<', count)?;
    let piece = vec![7; 64 * 1024];
    for _ in 0..count / piece.len() as u64 {
        line.write_all(&piece)?;
    }
    line.flush()?;
    // The server says when it has all of them.
    line.read_exact(&mut [0])
}

/// Has so many bytes come out of the server.
pub(crate) fn receive(line: &mut Line, count: u64) -> io::Result<()> {
    ask(line, b'>', count)?;
    let mut piece = vec![0; 64 * 1024];
    let mut left = count;
    while left > 0 {
        match line.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => left -= (count as u64).min(left),
        }
    }
    Ok(())
}

/// Bytes of a message that is echoed.
pub(crate) const MESSAGE: usize = 64;

/// Has the server echo so many messages, one after the other.
pub(crate) fn echo(line: &mut Line, count: u64) -> io::Result<()> {
    ask(line, b'=', count * MESSAGE as u64)?;
    let mut message = [7; MESSAGE];
    for _ in 0..count {
        line.write_all(&message)?;
        line.flush()?;
        line.read_exact(&mut message)?;
    }
    Ok(())
}

fn ask(line: &mut Line, what: u8, count: u64) -> io::Result<()> {
    let mut request = vec![what];
    request.extend(count.to_be_bytes());
    line.write_all(&request)?;
    line.flush()
}
