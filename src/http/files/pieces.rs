// A body of texts and parts of a file, one after the other.

use crate::deferred::Deferred;
use crate::failure::Result;
use crate::reactor::Reactor;
use futures_util::io::{AsyncBufRead, AsyncRead};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

pub(super) enum Piece {
    Text(String),
    Part(Range<u64>),
}

/// So much of a file is read at once, in a thread.
const AT_ONCE: u64 = 64 << 10;

pub(super) struct Pieces {
    reactor: Reactor,
    file: Arc<File>,
    left: VecDeque<Piece>,
    /// Of the piece before those.
    bytes: Vec<u8>,
    /// How many of them were taken.
    at: usize,
    reading: Option<Deferred<Vec<u8>>>,
}

impl Pieces {
    pub(super) fn new(reactor: Reactor, file: Arc<File>) -> Pieces {
        Pieces { reactor, file, left: VecDeque::new(), bytes: Vec::new(), at: 0, reading: None }
    }

    pub(super) fn add(&mut self, piece: Piece) {
        self.left.push_back(piece);
    }

    pub(super) fn length(&self) -> u64 {
        let length = |piece: &Piece| match piece {
            Piece::Text(text) => text.len() as u64,
            Piece::Part(part) => part.end - part.start,
        };
        self.left.iter().map(length).sum()
    }

    fn begin(&mut self, piece: Piece) {
        let part = match piece {
            Piece::Text(text) => {
                (self.bytes, self.at) = (text.into_bytes(), 0);
                return;
            }
            Piece::Part(part) => part,
        };
        let end = part.end.min(part.start + AT_ONCE);
        if end < part.end {
            self.left.push_front(Piece::Part(end..part.end));
        }
        let file = self.file.clone();
        self.reading = Some(self.reactor.defer_to_thread(move || read(&file, part.start..end)));
    }
}

/// Fails if the file has become shorter: its length was announced.
fn read(file: &File, part: Range<u64>) -> Result<Vec<u8>> {
    // No more than AT_ONCE.
    let mut bytes = vec![0; (part.end - part.start) as usize];
    file.read_exact_at(&mut bytes, part.start)?;
    Ok(bytes)
}

impl AsyncBufRead for Pieces {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let pieces = self.get_mut();
        while pieces.at == pieces.bytes.len() {
            if let Some(reading) = &mut pieces.reading {
                let bytes = ready!(Pin::new(reading).poll(context));
                pieces.reading = None;
                let bytes = bytes.map_err(|failure| io::Error::other(failure.into_error()))?;
                (pieces.bytes, pieces.at) = (bytes, 0);
                continue;
            }
            match pieces.left.pop_front() {
                Some(piece) => pieces.begin(piece),
                None => break,
            }
        }
        Poll::Ready(Ok(&pieces.bytes[pieces.at..]))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().at += count;
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let there = ready!(self.as_mut().poll_fill_buf(context))?;
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Poll::Ready(Ok(count))
    }
}
