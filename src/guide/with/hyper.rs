//! HTTP by hyper, server and client, each on a stream of ropewalk.

use futures_util::io::{AsyncBufRead, AsyncWrite};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use ropewalk::{Failure, Reactor, Result, Stream};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A stream as hyper reads and writes one.
struct Io(Stream);

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(Pin::new(&mut self.0).poll_fill_buf(context))?;
        let count = bytes.len().min(room.remaining());
        room.put_slice(&bytes[..count]);
        Pin::new(&mut self.0).consume(count);
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}

async fn greet(
    request: Request<Incoming>,
) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(format!("hello from {}", request.uri().path()))))
}

async fn ask(stream: Stream, path: &str) -> Result<Bytes> {
    let reactor = stream.reactor();
    let (mut sender, connection) = client::conn::http1::handshake(Io(stream)).await?;
    let driving = reactor.spawn(async move { Ok(connection.await?) });
    let request = Request::get(path).header("host", "here").body(Empty::<Bytes>::new())?;
    let body = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    drop(sender); // ends the connection
    driving.await?;
    Ok(body)
}

#[test]
fn hyper_serves_and_asks() -> std::result::Result<(), Failure> {
    let reactor = Reactor::new()?;
    let port = reactor.serve("127.0.0.1:0", async |stream| {
        let server = server::conn::http1::Builder::new();
        Ok(server.serve_connection(Io(stream), service_fn(greet)).await?)
    })?;
    let opening = reactor.open(port.host());
    let body = reactor.run_until(async move { ask(opening.await?, "/rope").await })?;
    assert_eq!(body, "hello from /rope");
    Ok(())
}
