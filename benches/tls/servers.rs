//! The servers. A connection asks with nine bytes, a direction and a count: `<` sends the server so
//! many, and it answers with one when it has them; `>` has it send so many; `=` has it echo so many.

use std::sync::Arc;

use ropewalk::tls::{Identity, ServerConfig};
use ropewalk::transport::{Producer, Producing};
use ropewalk::{Address, Failure, Protocol, Reactor, Result, ServerEndpoint, Stream, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::machine::stay_on;

/// Names of servers, the one that the others are compared with first.
pub(crate) const ALL: [&str; 3] = ["tokio-rustls", "callbacks", "async"];

/// The variables that hold the certificate and its key.
pub(crate) const CERTIFICATE: &str = "ROPEWALK_BENCH_CERTIFICATE";
pub(crate) const KEY: &str = "ROPEWALK_BENCH_KEY";

const ANY_PORT: &str = "127.0.0.1:0";
const PIECE: usize = 64 * 1024;

/// Runs a server by its name until killed.
pub(crate) fn serve(name: &str, cpu: &str) -> Result {
    stay_on(cpu.parse()?)?;
    let (certificate, key) = (std::env::var(CERTIFICATE)?, std::env::var(KEY)?);
    if name == "tokio-rustls" {
        return tokio_server(&certificate, &key);
    }
    let config = ServerConfig::new(Identity::from_pem(certificate, key)?);
    let reactor = Reactor::new()?;
    let port = match name {
        "callbacks" => reactor
            .listen(ServerEndpoint::from(ANY_PORT).tls(&config), |_: &Address| {
                Callbacks::default()
            })?,
        "async" => reactor.serve(ServerEndpoint::from(ANY_PORT).tls(&config), handle)?,
        _ => return Err(Failure::msg(format!("there is no server '{name}'"))),
    };
    println!("{}", port.host());
    reactor.run()
}

/// A direction and a count.
fn parse(request: [u8; 9]) -> (u8, u64) {
    let [direction, count @ ..] = request;
    (direction, u64::from_be_bytes(count))
}

#[derive(Default)]
struct Callbacks {
    request: Vec<u8>,
    /// Bytes that are still to come, after a request for that.
    to_receive: u64,
    echoes: bool,
}

impl Protocol for Callbacks {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if self.to_receive > 0 {
            self.to_receive -= (data.len() as u64).min(self.to_receive);
            if self.echoes {
                transport.write(data);
            } else if self.to_receive == 0 {
                transport.write(b".");
            }
            return Ok(());
        }
        self.request.extend_from_slice(data);
        let Some((request, rest)) = self.request.split_first_chunk() else { return Ok(()) };
        let ((direction, count), came) = (parse(*request), rest.len() as u64);
        self.echoes = direction == b'=';
        if self.echoes {
            transport.write(rest);
        }
        self.request.clear();
        if self.echoes || direction == b'<' {
            self.to_receive = count - came;
            return Ok(());
        }
        transport.register_producer(Pieces { left: count }, Producing::Pull)
    }
}

/// Writes a piece whenever the one before it is sent.
struct Pieces {
    left: u64,
}

impl Producer for Pieces {
    fn resume_producing(&mut self, transport: &Transport) {
        let count = self.left.min(PIECE as u64);
        self.left -= count;
        transport.write(&[7; PIECE][..count as usize]);
        if self.left == 0 {
            transport.unregister_producer();
        }
    }
}

/// Answers what a stream asks until it ends. Both streams have these methods, of traits that are not the
/// same: that is why this is no function.
macro_rules! answer {
    ($stream:ident) => {
        loop {
            let mut request = [0; 9];
            if $stream.read_exact(&mut request).await.is_err() {
                return Ok(());
            }
            let (direction, mut left) = parse(request);
            let mut piece = vec![7; PIECE];
            while left > 0 && direction != b'>' {
                let count = $stream.read(&mut piece).await?;
                left = left.saturating_sub(count.max(1) as u64);
                if direction == b'=' {
                    $stream.write_all(&piece[..count]).await?;
                    $stream.flush().await?;
                }
            }
            while left > 0 {
                let count = left.min(PIECE as u64);
                $stream.write_all(&piece[..count as usize]).await?;
                left -= count;
            }
            if direction == b'<' {
                $stream.write_all(b".").await?;
            }
            $stream.flush().await?;
        }
    };
}

async fn handle(mut stream: Stream) -> Result {
    use futures_util::{AsyncReadExt, AsyncWriteExt};
    answer!(stream)
}

fn tokio_server(certificate: &str, key: &str) -> Result {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(ANY_PORT).await?;
        println!("{}", listener.local_addr()?);
        let tasks = tokio::task::LocalSet::new();
        tasks
            .run_until(async {
                loop {
                    let (socket, _) = listener.accept().await?;
                    socket.set_nodelay(true)?;
                    let acceptor = acceptor.clone();
                    tokio::task::spawn_local(async move {
                        // A client that goes away is the bench's own, which says so itself.
                        let _ = tokio_handle(acceptor, socket).await;
                    });
                }
            })
            .await
    })
}

async fn tokio_handle(
    acceptor: tokio_rustls::TlsAcceptor,
    socket: tokio::net::TcpStream,
) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = acceptor.accept(socket).await?;
    answer!(stream)
}
