//! The checks of the pulling face.

use super::{Fixture, Pair, expect, pattern};
use crate::failure::{Failure, Result};
use crate::stream::Stream;
use futures_util::future::{poll_fn, try_join};
use futures_util::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

impl Fixture {
    /// Both streams: the server's and the client's.
    async fn opened(&self) -> Result<(Stream, Stream)> {
        match self.pair.take() {
            Some(Pair::Streams(opening)) => opening.await,
            _ => Err(Failure::msg("there are no streams")),
        }
    }
}

async fn read_all(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    stream.read_to_end(&mut data).await?;
    Ok(data)
}

pub(super) async fn echo(scene: Rc<Fixture>) -> Result {
    let (mut server, mut client) = scene.opened().await?;
    let text = b"a rope of three strands";
    let serve = async {
        let mut buffer = [0; 7];
        loop {
            match server.read(&mut buffer).await? {
                0 => return server.close().await,
                count => server.write_all(&buffer[..count]).await?,
            }
        }
    };
    let ask = async {
        for cut in 0..=text.len() {
            for piece in [&text[..cut], &text[cut..]] {
                client.write_all(piece).await?;
                client.flush().await?;
            }
            let mut heard = vec![0; text.len()];
            client.read_exact(&mut heard).await?;
            if heard != text {
                let text = format!("cut at {cut}: \"{}\"", heard.escape_ascii());
                return Err(io::Error::other(text));
            }
        }
        client.close().await?;
        read_all(&mut client).await
    };
    let ((), rest) = try_join(serve, ask).await?;
    expect(rest.is_empty(), || "something came after the end".into())
}

pub(super) async fn much(scene: Rc<Fixture>) -> Result {
    let (server, client) = scene.opened().await?;
    let data = pattern(600_007);
    let end = |stream: Stream| {
        let data = &data;
        async move {
            let (mut reading, mut writing) = stream.split();
            let send = async {
                writing.write_all(data).await?;
                writing.close().await
            };
            let mut heard = Vec::new();
            try_join(send, reading.read_to_end(&mut heard)).await?;
            Ok::<_, io::Error>(heard)
        }
    };
    let (one, other) = try_join(end(server), end(client)).await?;
    expect(one == data && other == data, || "the bytes differ".into())
}

pub(super) async fn half_close(scene: Rc<Fixture>) -> Result {
    let (mut server, mut client) = scene.opened().await?;
    client.write_all(b"question").await?;
    client.close().await?;
    expect(client.write_all(b"too late").await.is_err(), || "it wrote after its end".into())?;
    let question = read_all(&mut server).await?;
    server.write_all(b"answer").await?;
    server.close().await?;
    let answer = read_all(&mut client).await?;
    expect(question == b"question" && answer == b"answer", || "the bytes differ".into())
}

pub(super) async fn pressure(scene: Rc<Fixture>) -> Result {
    let (mut server, mut client) = scene.opened().await?;
    let piece = pattern(60_000);
    let mut written = 0;
    while written < 64 * 1024 * 1024 {
        // What was not taken of a piece is written first.
        match try_write(&mut server, &piece[written % piece.len()..]).await? {
            Some(count) => written += count,
            None => break,
        }
        scene.reactor.yield_now().await;
    }
    expect(written < 64 * 1024 * 1024, || format!("{written} bytes and it did not wait"))?;
    let send = async {
        server.write_all(&piece[written % piece.len()..]).await?;
        server.close().await
    };
    let whole = written.next_multiple_of(piece.len());
    let ((), heard) = try_join(send, read_all(&mut client)).await?;
    let is_whole = heard.len() == whole || heard.len() == whole + piece.len();
    expect(is_whole && heard.chunks(piece.len()).all(|other| other == piece), || {
        format!("{} of {whole} bytes came", heard.len())
    })
}

/// Writes what is taken of a piece; `None` says that there is no room.
async fn try_write(stream: &mut Stream, piece: &[u8]) -> io::Result<Option<usize>> {
    poll_fn(|context| match Pin::new(&mut *stream).poll_write(context, piece) {
        Poll::Ready(outcome) => Poll::Ready(outcome.map(Some)),
        Poll::Pending => Poll::Ready(Ok(None)),
    })
    .await
}

pub(super) async fn lose(scene: Rc<Fixture>) -> Result {
    let (mut server, mut client) = scene.opened().await?;
    let data = pattern(500_000);
    let send = async move {
        server.write_all(&data).await?;
        drop(server);
        Ok(data)
    };
    let (data, heard) = try_join(send, read_all(&mut client)).await?;
    expect(heard == data, || format!("{} of {} bytes came", heard.len(), data.len()))
}

pub(super) async fn abort(scene: Rc<Fixture>) -> Result {
    let (mut server, mut client) = scene.opened().await?;
    client.transport().abort_connection();
    let own = client.read(&mut [0]).await;
    expect(own.is_err(), || format!("who aborted read {own:?}"))?;
    let others = server.read(&mut [0]).await;
    expect(others.is_err() || !scene.resets, || format!("the peer of who aborted read {others:?}"))
}
