// The awaited face: a protocol that keeps messages until somebody asks for them.
//
// # Theory
// Messages wait in a queue of 64 KiB; above it the peer is read no more until half of it was taken. An end
// comes behind all that came before.

use super::protocol::{Closed, WebSocketProtocol};
use super::{CloseCode, Message, Socket};
use crate::failure::{Failure, Result};
use futures_core::Stream;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A WebSocket whose messages are awaited.
///
/// It is a futures [`Stream`] too. Dropped, it closes with 1000.
///
/// ```
/// use ropewalk::http::websocket::{Message, Options};
/// use ropewalk::http::{Request, leaf};
///
/// let shout = leaf(async |request: Request| {
///     let mut socket = request.accept_websocket_stream(&Options::new())?;
///     while let Some(message) = socket.next().await? {
///         match message {
///             Message::Text(text) => socket.send(text.to_uppercase()).await?,
///             Message::Binary(_) => break,
///         }
///     }
///     Ok(())
/// });
/// # let _ = shout;
/// ```
pub struct WebSocket {
    socket: Socket,
    queue: Rc<RefCell<Queue>>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    /// Bytes in it, each message counted as more than it has.
    length: usize,
    is_paused: bool,
    end: Option<Closed>,
    waker: Option<Waker>,
}

/// Reading stops above this, and goes on below half of it.
const HIGH: usize = 64 << 10;
/// What a message costs beside its bytes.
const EACH: usize = 64;

impl WebSocket {
    /// The next message; `None` when the peer has closed. A connection that is lost without a close is a
    /// failure, told once.
    #[allow(clippy::should_implement_trait, reason = "it is asynchronous")]
    pub async fn next(&mut self) -> Result<Option<Message>> {
        poll_fn(|context| self.poll_message(context)).await
    }

    /// Sends a message, when the peer has taken most of what was sent before.
    ///
    /// Fails with [`SendError`](super::SendError) behind a close, or with what the connection was lost for.
    pub async fn send(&self, message: impl Into<Message>) -> Result {
        if self.socket.waiting() > HIGH {
            self.socket.drained().await?;
        }
        Ok(self.socket.send(message)?)
    }

    /// Closes, and waits until the peer has; what it still sends is dropped.
    pub async fn close(mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.socket.close(code, reason);
        poll_fn(|context| self.poll_end(context)).await
    }

    /// A handle, to send by from elsewhere.
    pub fn socket(&self) -> Socket {
        self.socket.clone()
    }

    /// How it ended, once it has.
    pub fn closed(&self) -> Option<Closed> {
        self.queue.borrow().end.clone()
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        let mut queue = self.queue.borrow_mut();
        if let Some(message) = queue.messages.pop_front() {
            queue.length -= message.as_bytes().len() + EACH;
            let resumes = queue.is_paused && queue.length < HIGH / 2;
            queue.is_paused &= !resumes;
            drop(queue);
            if resumes {
                self.socket.resume_reading();
            }
            return Poll::Ready(Ok(Some(message)));
        }
        match &mut queue.end {
            Some(end) if end.is_clean() => Poll::Ready(Ok(None)),
            Some(end) => Poll::Ready(Err(end.failure.clone())),
            None => {
                drop(queue);
                let waker = Some(context.waker().clone());
                let former = std::mem::replace(&mut self.queue.borrow_mut().waker, waker);
                drop(former);
                Poll::Pending
            }
        }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<Closed>> {
        loop {
            match self.poll_message(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(_))) => {}
                Poll::Ready(Ok(None)) => break,
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
            }
        }
        let closed = self.closed();
        Poll::Ready(closed.ok_or_else(|| Failure::msg("the end is there")))
    }
}

impl Stream for WebSocket {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(context).map(Result::transpose)
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.socket.close(CloseCode::NORMAL, "");
        // What comes until the peer has answered is for nobody, and must come to an end.
        self.socket.resume_reading();
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// The protocol behind it.
pub(super) struct Pulled(Rc<RefCell<Queue>>);

impl Pulled {
    pub(super) fn new(socket: &Socket) -> (Pulled, WebSocket) {
        let queue: Rc<RefCell<Queue>> = Rc::default();
        (Pulled(queue.clone()), WebSocket { socket: socket.clone(), queue })
    }

    fn keep(&self, socket: &Socket, message: Message) {
        // Nobody is left to ask for it.
        if Rc::strong_count(&self.0) == 1 {
            return;
        }
        let mut queue = self.0.borrow_mut();
        queue.length += message.as_bytes().len() + EACH;
        queue.messages.push_back(message);
        let pauses = queue.length > HIGH && !queue.is_paused;
        queue.is_paused |= pauses;
        let waker = queue.waker.take();
        drop(queue);
        if pauses {
            socket.pause_reading();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl WebSocketProtocol for Pulled {
    fn text(&mut self, socket: &Socket, text: &str) -> Result {
        self.keep(socket, Message::from(text));
        Ok(())
    }

    fn binary(&mut self, socket: &Socket, data: &[u8]) -> Result {
        self.keep(socket, Message::from(data));
        Ok(())
    }

    fn closed(&mut self, closed: &Closed) {
        let mut queue = self.0.borrow_mut();
        queue.end = Some(closed.clone());
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
