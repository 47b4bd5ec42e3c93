// What is put between a connection and its stream, and what that needs of the connection.

use super::Transport;
use crate::deferred::Deferred;
use crate::driver::{ByteStream, Readiness};
use crate::failure::Result;
use std::panic::Location;
use std::time::Duration;

impl Transport {
    /// Puts a layer between this connection and its stream, as STARTTLS does.
    ///
    /// `wrap` gets the stream and returns the layer over it; what was written before goes out
    /// unwrapped first, if the system takes it at once, else this fails and nothing changes.
    ///
    /// # What a layer may call
    /// The stream below, of course: in the order in which it is [called itself](crate::driver::Layer#the-calling-order),
    /// and from its own methods only.
    ///
    /// Every method of a transport, also of its own connection's, from every method of its own, from
    /// `wrap` and from its drop. What it writes to its own connection is kept, and goes out through the
    /// layer behind the bytes that it is called with, also those that it does not take this time. What
    /// needs the stream itself is asked of the stream below: during the call `set_nodelay`,
    /// `set_keepalive`, `send_file_descriptor` and `replace_stream` fail, and `host` says what the
    /// stream said when the layer was put on. A layer that panics loses its own connection, and no other.
    #[track_caller]
    pub fn replace_stream(
        &self,
        wrap: impl FnOnce(Box<dyn ByteStream>) -> Box<dyn ByteStream> + 'static,
    ) -> Result {
        self.carrier.keep_host();
        let here = Location::caller();
        let replaced = self.carrier.replace_stream(Box::new(wrap));
        replaced.map_err(|failure| failure.arose_at(here))
    }

    /// Puts a layer on, as [`replace_stream`](Transport::replace_stream), and has it shake hands within `limit`.
    ///
    /// What was written before leaves before the layer's first byte, even if that takes time; what is
    /// written from now on waits for the end of the handshake and goes through the layer. The Deferred tells
    /// that end. A handshake that fails, or takes longer, loses the connection.
    ///
    /// ```
    /// use ropewalk::driver::{ByteStream, Layer};
    /// use ropewalk::{Protocol, Result, Transport, forward_byte_stream};
    /// use std::io;
    /// use std::time::Duration;
    ///
    /// /// Sends `?` and waits for one byte: then the rest passes as it is.
    /// struct Knock {
    ///     below: Box<dyn ByteStream>,
    ///     has_asked: bool,
    ///     is_open: bool,
    /// }
    /// impl ByteStream for Knock {
    ///     forward_byte_stream!(self.below: all except as_layer);
    ///
    ///     fn as_layer(&mut self) -> Option<&mut dyn Layer> {
    ///         Some(self)
    ///     }
    /// }
    /// impl Layer for Knock {
    ///     forward_byte_stream!(self.below: layer except handshake);
    ///
    ///     fn handshake(&mut self) -> io::Result<()> {
    ///         while !self.has_asked {
    ///             self.has_asked = self.below.write(b"?")? == 1;
    ///         }
    ///         while !self.is_open {
    ///             match self.below.read(&mut [0])? {
    ///                 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
    ///                 _ => self.is_open = true,
    ///             }
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// fn knock(transport: &Transport) -> ropewalk::Deferred<()> {
    ///     let wrap = |below| -> Box<dyn ByteStream> {
    ///         Box::new(Knock { below, has_asked: false, is_open: false })
    ///     };
    ///     transport.upgrade(wrap, Duration::from_secs(10))
    /// }
    /// # let _ = knock;
    /// ```
    #[doc(alias = "startTLS")]
    pub fn upgrade(
        &self,
        wrap: impl FnOnce(Box<dyn ByteStream>) -> Box<dyn ByteStream> + 'static,
        limit: Duration,
    ) -> Deferred<()> {
        self.carrier.keep_host();
        self.carrier.clone().shake_hands(Box::new(wrap), limit)
    }

    /// A number that is another after each [`upgrade`](Transport::upgrade).
    ///
    /// Who keeps bytes for later, as a framing does, keeps it with them: bytes that came under another
    /// number came outside of the layer that is there now. Somebody on the way may have put them there, to
    /// be taken for the peer's, and they are not to be delivered.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// assert_eq!(recording.transport().upgrade_epoch(), 0);
    /// # }
    /// ```
    pub fn upgrade_epoch(&self) -> u8 {
        self.carrier.layers()
    }

    /// Looks at the layer that is on this connection, if it shows itself
    /// ([`Layer::as_any`](crate::driver::Layer::as_any)) and is a `T`; `None` if not, or if a call to it is in
    /// progress.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// let name = recording.transport().with_layer(|name: &String| name.clone());
    /// assert_eq!(name, None);
    /// # }
    /// ```
    pub fn with_layer<T: 'static, R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        let (mut look, mut seen) = (Some(look), None);
        self.carrier.look_at_stream(&mut |layer| {
            if let (Some(layer), Some(look)) = (layer.downcast_ref(), look.take()) {
                seen = Some(look(layer));
            }
        });
        seen
    }

    /// Whether it is a layer under this connection, and not its peer, that lets no bytes pass.
    ///
    /// A time limit that a peer is given does not run meanwhile.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// # use ropewalk::simulation::RecordingTransport;
    /// assert!(!RecordingTransport::new().transport().is_held_back());
    /// # }
    /// ```
    pub fn is_held_back(&self) -> bool {
        self.carrier.is_held_back()
    }

    /// Has the connection try again in the next turn what a layer under it held back.
    ///
    /// A layer that says `WouldBlock` for a reason of its own, or gives less than there is, gets no event
    /// when the reason is gone. This is that event; a layer calls it from a timer, say.
    ///
    /// ```
    /// use ropewalk::Transport;
    /// use ropewalk::driver::Readiness;
    /// use std::time::Duration;
    ///
    /// fn hold_reading(transport: &Transport, delay: Duration) {
    ///     let held = transport.clone();
    ///     transport.reactor().call_later(delay, move || held.retry_io(Readiness::READABLE));
    /// }
    /// # let _ = hold_reading;
    /// ```
    pub fn retry_io(&self, readiness: Readiness) {
        self.carrier.retry_io(readiness);
    }
}
