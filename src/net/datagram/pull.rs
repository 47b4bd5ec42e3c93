//! The pulling face of datagrams: a task asks for the next one.

use super::DatagramTransport;
use super::at::UdpAddress;
use super::socket::Datagrams;
use crate::address::Address;
use crate::driver::Readiness;
use crate::failure::{Failure, Result};
use crate::net::listen::ListenError;
use crate::reactor::Reactor;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A socket for datagrams, for tasks to receive and send; dropping it closes it.
///
/// Several tasks may use it at once: each datagram goes to one of those that wait.
///
/// ```
/// use ropewalk::Reactor;
///
/// let reactor = Reactor::new()?;
/// let socket = reactor.bind_udp("127.0.0.1:0")?;
/// reactor.run_until(async move {
///     socket.send_to("to myself", &socket.host()).await?;
///     let mut buffer = [0; 100];
///     let (length, from) = socket.recv_from(&mut buffer).await?;
///     assert_eq!((&buffer[..length], from), (&b"to myself"[..], socket.host()));
///     Ok(())
/// })?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub struct UdpSocket {
    datagrams: Rc<Datagrams>,
}

impl Reactor {
    /// A UDP socket at an address, for tasks. Fails with [`ListenError`].
    #[track_caller]
    pub fn bind_udp(&self, at: impl Into<UdpAddress>) -> Result<UdpSocket> {
        Ok(UdpSocket { datagrams: self.inner().bind_udp(&at.into(), false)? })
    }

    /// As [`bind_udp`](Reactor::bind_udp), at a port that others may have as well: for multicast.
    #[track_caller]
    pub fn open_multicast(&self, at: impl Into<UdpAddress>) -> Result<UdpSocket> {
        Ok(UdpSocket { datagrams: self.inner().bind_udp(&at.into(), true)? })
    }

    /// Opens a Unix socket for datagrams, for tasks. Fails with [`ListenError`].
    #[track_caller]
    #[doc(alias = "UnixDatagram")]
    pub fn open_unix_datagram(&self, at: impl Into<Address>) -> Result<UdpSocket> {
        let at = at.into();
        let bound = self.inner().bind(&at, false);
        Ok(UdpSocket { datagrams: bound.map_err(ListenError::at(&at))? })
    }
}

impl UdpSocket {
    pub(super) fn over(datagrams: Rc<Datagrams>) -> UdpSocket {
        UdpSocket { datagrams }
    }

    /// Waits for a datagram; gives its length and its sender.
    ///
    /// A datagram longer than the buffer is an error that says how long it was; it is lost. On a
    /// connected socket a peer's refusal of what was sent before is an error
    /// ([`std::io::ErrorKind::ConnectionRefused`]), once; the socket is as good as before.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, Address)> {
        let room = buffer.len();
        let (length, from) = poll_fn(|context| self.poll_receive(context, buffer))
            .await
            .map_err(Failure::without_backtrace)?;
        if length > room {
            let host = self.host();
            let why = format!("{from} sent {host} a datagram of {length} bytes, over {room}");
            return Err(Failure::in_loop_msg(why));
        }
        Ok((length, from))
    }

    /// Sends a datagram, whole; waits while the system takes none.
    ///
    /// One like the datagram before it may leave later, together with those that follow: when the task
    /// waits to receive, or the turn of the loop is over.
    ///
    /// Fails with [`SendError`](crate::net::SendError) if it is too long or the address is none that this
    /// socket can send to.
    pub async fn send_to(&self, data: impl AsRef<[u8]>, to: &Address) -> Result {
        poll_fn(|context| self.poll_send(context, data.as_ref(), Some(to))).await
    }

    /// Sends a datagram to where the socket is connected.
    pub async fn send(&self, data: impl AsRef<[u8]>) -> Result {
        poll_fn(|context| self.poll_send(context, data.as_ref(), None)).await
    }

    /// Speaks with one peer only, from now on; see [`DatagramTransport::connect`].
    #[track_caller]
    pub fn connect(&self, peer: impl Into<Address>) -> Result {
        self.transport().connect(peer)
    }

    /// This end's address.
    pub fn host(&self) -> Address {
        self.transport().host()
    }

    /// The handle that callbacks have: groups, options, sending without waiting.
    pub fn transport(&self) -> DatagramTransport {
        DatagramTransport::new(self.datagrams.clone())
    }

    fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, Address)>> {
        if let Some(refusal) = self.datagrams.take_refusal() {
            return Poll::Ready(Err(refusal));
        }
        if self.datagrams.is_ready(Readiness::READABLE) {
            std::task::ready!(self.poll_budget(context));
            match self.datagrams.receive_one(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
        // Who waits for a datagram has most likely answered the last one.
        self.datagrams.end_gathering();
        self.datagrams.wait_to_receive(context.waker());
        Poll::Pending
    }

    fn poll_send(
        &self,
        context: &mut Context<'_>,
        data: &[u8],
        to: Option<&Address>,
    ) -> Poll<Result> {
        std::task::ready!(self.poll_budget(context));
        match self.datagrams.try_send(data, to) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.datagrams.wait_to_send(context.waker());
                Poll::Pending
            }
            Err(error) => {
                let cannot = self.datagrams.cannot_send(data.len(), to, error);
                Poll::Ready(Err(Failure::without_backtrace(cannot)))
            }
        }
    }

    /// One task's share of a turn is bounded.
    fn poll_budget(&self, context: &Context<'_>) -> Poll<()> {
        if self.datagrams.inner.tasks.spend() {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.datagrams.close();
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").field("host", &self.host()).finish_non_exhaustive()
    }
}
