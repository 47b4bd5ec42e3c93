//! Standard input and output, and any two descriptors, as a connection in both faces.

use crate::address::Address;
use crate::driver::{ByteStream, Pipes};
use crate::failure::Result;
use crate::net::connection::Connection;
use crate::protocol::Protocol;
use crate::reactor::{Loop, Reactor};
use crate::stream::Stream;
use crate::transport::Transport;
use std::io::{self, stdin, stdout};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

impl Reactor {
    /// Makes standard input and output the connection of a protocol.
    ///
    /// ```no_run
    /// use ropewalk::{Protocol, Reactor, Result, Transport};
    ///
    /// struct Shout;
    /// impl Protocol for Shout {
    ///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
    ///         transport.write(&data.to_ascii_uppercase());
    ///         Ok(())
    ///     }
    /// }
    /// let reactor = Reactor::new()?;
    /// reactor.connect_stdio(Shout)?;
    /// reactor.run()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "StandardIO")]
    #[track_caller]
    pub fn connect_stdio(&self, protocol: impl Protocol + 'static) -> Result<Transport> {
        let connection = standard_connection(self)?;
        connection.begin(Box::new(protocol));
        Ok(connection.transport())
    }

    /// Makes standard input and output a stream.
    ///
    /// ```no_run
    /// use futures_util::AsyncWriteExt;
    /// use futures_util::io::copy_buf;
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let (input, mut output) = reactor.open_stdio()?.split();
    /// reactor.run_until(async move {
    ///     copy_buf(input, &mut output).await?; // a cat
    ///     Ok(output.close().await?)
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "stdout")]
    #[doc(alias = "stdin")]
    #[track_caller]
    pub fn open_stdio(&self) -> Result<Stream> {
        Ok(Stream::new(standard_connection(self)?))
    }

    /// Makes two descriptors of anybody's the connection of a protocol.
    ///
    /// ```
    /// use ropewalk::{Failure, Protocol, Reactor, Result, Transport};
    /// use std::io::{Read, Write, pipe};
    ///
    /// struct Shout(Reactor);
    /// impl Protocol for Shout {
    ///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
    ///         transport.write(&data.to_ascii_uppercase());
    ///         Ok(())
    ///     }
    ///     fn connection_lost(&mut self, _reason: &Failure) {
    ///         let _ = self.0.stop();
    ///     }
    /// }
    /// let ((input, mut to), (mut from, output)) = (pipe()?, pipe()?);
    /// to.write_all(b"rope")?;
    /// drop(to);
    /// let reactor = Reactor::new()?;
    /// reactor.connect_pipes(input, output, Shout(reactor.clone()))?;
    /// reactor.run()?;
    /// let mut heard = String::new();
    /// from.read_to_string(&mut heard)?;
    /// assert_eq!(heard, "ROPE");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn connect_pipes(
        &self,
        input: impl Into<OwnedFd>,
        output: impl Into<OwnedFd>,
        protocol: impl Protocol + 'static,
    ) -> Result<Transport> {
        let connection = foreign_connection(self, input.into(), output.into())?;
        connection.begin(Box::new(protocol));
        Ok(connection.transport())
    }

    /// Makes two descriptors of anybody's a stream.
    ///
    /// ```
    /// use futures_util::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let ((input, to), (from, output)) = (std::io::pipe()?, std::io::pipe()?);
    /// let reactor = ropewalk::Reactor::new()?;
    /// let (mut one, mut other) = (reactor.open_pipes(input, output)?, reactor.open_pipes(from, to)?);
    /// let heard = reactor.run_until(async move {
    ///     one.write_all(b"rope").await?;
    ///     one.close().await?;
    ///     let mut heard = String::new();
    ///     other.read_to_string(&mut heard).await?;
    ///     Ok(heard)
    /// })?;
    /// assert_eq!(heard, "rope");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn open_pipes(
        &self,
        input: impl Into<OwnedFd>,
        output: impl Into<OwnedFd>,
    ) -> Result<Stream> {
        Ok(Stream::new(foreign_connection(self, input.into(), output.into())?))
    }
}

#[track_caller]
fn standard() -> Result<(OwnedFd, OwnedFd)> {
    let what = |error: io::Error| {
        io::Error::new(error.kind(), format!("standard input or output cannot be had: {error}"))
    };
    let input = stdin().as_fd().try_clone_to_owned().map_err(what)?;
    Ok((input, stdout().as_fd().try_clone_to_owned().map_err(what)?))
}

/// Standard input and output as a connection without a face yet.
#[track_caller]
pub(crate) fn standard_connection(reactor: &Reactor) -> Result<Rc<Connection>> {
    let (stream, name) = standard_stream(reactor.inner())?;
    Ok(Connection::open(reactor.inner(), stream, name))
}

/// Standard input and output as a stream that no connection has yet.
#[track_caller]
pub(crate) fn standard_stream(reactor: &Loop) -> Result<(Box<dyn ByteStream>, Address)> {
    reactor.check_alive()?;
    let (input, output) = standard()?;
    let name = Address::pipe("stdio");
    let pipes = Pipes {
        input: Some(input),
        output: Some(output),
        name: name.clone(),
        is_shared: true,
        is_standard: true,
    };
    Ok((reactor.driver.adopt(pipes)?, name))
}

/// Descriptors of anybody's as a connection without a face yet.
#[track_caller]
fn foreign_connection(
    reactor: &Reactor,
    input: OwnedFd,
    output: OwnedFd,
) -> Result<Rc<Connection>> {
    let (input, output, name) = (Some(input), Some(output), Address::pipe("pipes"));
    connection(reactor, Pipes { input, output, name, is_shared: true, is_standard: false })
}

/// A connection over descriptors, without a face yet.
#[track_caller]
pub(crate) fn connection(reactor: &Reactor, pipes: Pipes) -> Result<Rc<Connection>> {
    let (inner, name) = (reactor.inner(), pipes.name.clone());
    inner.check_alive()?;
    let stream = inner.driver.adopt(pipes)?;
    Ok(Connection::open(inner, stream, name))
}
