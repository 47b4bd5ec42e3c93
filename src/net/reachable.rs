// The connection's side of a protocol that is shared with its handles.
//
// A wrapper, not a search from the connection down: so it costs those alone who want it, and it is the
// innermost of all, whatever framing or policy is around it.

use crate::failure::Result;
use crate::net::connected::{Connected, Guest};
use crate::protocol::Protocol;
use crate::reach_protocol;
use crate::transport::Transport;
use std::fmt;
use std::rc::Rc;

/// A protocol that reaches itself: it is made when its connection is, and given a [`Connected`] of its own.
///
/// Timers and Deferreds that it begins say `me.call(|this, transport| ..)`: that runs at once, or right after
/// the callback in progress, and not at all once `connection_lost` was called.
///
/// It is a [`Protocol`] if what is inside is one, and a [`LineProtocol`](crate::framing::LineProtocol) or
/// [`StringProtocol`](crate::framing::StringProtocol) likewise, for the receivers of `framing` to be around.
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::net::Reachable;
/// use ropewalk::simulation::Simulation;
/// use ropewalk::{Address, Connected, Protocol, Result, Transport};
/// use std::time::Duration;
///
/// /// Says how often it ticked, when asked.
/// struct Ticks {
///     me: Connected<Ticks>,
///     count: usize,
/// }
///
/// impl Ticks {
///     fn tick_later(&self, transport: &Transport) {
///         let me = self.me.clone();
///         transport.reactor().call_later(Duration::from_secs(1), move || {
///             drop(me.call(|this, transport| {
///                 this.count += 1;
///                 this.tick_later(transport);
///             }));
///         });
///     }
/// }
///
/// impl Protocol for Ticks {
///     fn connection_made(&mut self, transport: &Transport) {
///         self.tick_later(transport);
///     }
///     fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
///         transport.write(format!("{} ", self.count));
///         Ok(())
///     }
/// }
///
/// let simulation = Simulation::new(1);
/// let server = simulation.host("server");
/// let ticking = |_: &Address| Reachable::new(|me| Ticks { me, count: 0 });
/// server.reactor().listen("0.0.0.0:80", ticking)?;
/// let opening = simulation.host("client").reactor().open("server:80");
/// let stream = simulation.run_until(opening)?;
/// simulation.run_for(Duration::from_millis(2500))?;
/// stream.transport().write("?");
/// let heard = simulation.run_until(async move {
///     let (mut stream, mut heard) = (stream, [0; 2]);
///     futures_util::AsyncReadExt::read_exact(&mut stream, &mut heard).await?;
///     Ok(heard)
/// })?;
/// assert_eq!(&heard, b"2 ");
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub struct Reachable<P> {
    make: Option<Box<dyn FnOnce(Connected<P>) -> P>>,
    /// Absent until the connection is made.
    guest: Option<Rc<Guest<P>>>,
}

impl<P: 'static> Reachable<P> {
    /// `make` is called when the connection is made, right before `connection_made`.
    pub fn new(make: impl FnOnce(Connected<P>) -> P + 'static) -> Reachable<P> {
        Reachable { make: Some(Box::new(make)), guest: None }
    }

    /// Makes the protocol, if it was not made yet; for a trait of your own, as `connection_made` of an `impl`.
    pub fn connect(&mut self, transport: &Transport) {
        if let Some(make) = self.make.take() {
            let guest = Guest::new(transport.clone());
            // First, so that a panic in `make` leaves handles that know of an end.
            self.guest = Some(guest.clone());
            guest.arrive(make(Connected::to(&guest)));
        }
    }
}

impl<P> Reachable<P> {
    /// Calls the protocol and then what its handles want of it; `None` before it is made and after its end.
    ///
    /// For a trait of your own, as each method of an `impl` but the first and the last.
    ///
    /// ```
    /// use ropewalk::net::Reachable;
    /// use ropewalk::{Failure, Transport};
    ///
    /// /// A trait of one's own, and how a protocol that reaches itself has it.
    /// trait Ringing {
    ///     fn begin(&mut self, transport: &Transport);
    ///     fn ring(&mut self, transport: &Transport);
    ///     fn end(&mut self, reason: &Failure);
    /// }
    /// impl<P: Ringing + 'static> Ringing for Reachable<P> {
    ///     fn begin(&mut self, transport: &Transport) {
    ///         self.connect(transport);
    ///         self.call(|protocol, transport| protocol.begin(transport));
    ///     }
    ///     fn ring(&mut self, _: &Transport) {
    ///         self.call(|protocol, transport| protocol.ring(transport));
    ///     }
    ///     fn end(&mut self, reason: &Failure) {
    ///         self.lose(|protocol| protocol.end(reason));
    ///     }
    /// }
    /// ```
    pub fn call<R>(&self, call: impl FnOnce(&mut P, &Transport) -> R) -> Option<R> {
        self.guest.as_ref()?.call(call)
    }

    /// Calls the protocol for the last time; for a trait of your own, as `connection_lost` of an `impl`.
    pub fn lose(&mut self, call: impl FnOnce(&mut P)) {
        if let Some(guest) = &self.guest {
            guest.lose(call);
        }
    }
}

impl<P> From<Rc<Guest<P>>> for Reachable<P> {
    fn from(guest: Rc<Guest<P>>) -> Reachable<P> {
        Reachable { make: None, guest: Some(guest) }
    }
}

impl<P> Drop for Reachable<P> {
    fn drop(&mut self) {
        // Also after a panic in connection_lost.
        if let Some(guest) = &self.guest {
            guest.leave();
        }
    }
}

impl<P> fmt::Debug for Reachable<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reachable").field("is_made", &self.guest.is_some()).finish()
    }
}

// Not by `forward_protocol!`: the protocol is taken out for each call. Clippy reads that it is all.
#[deny(clippy::missing_trait_methods)]
impl<P: Protocol + 'static> Protocol for Reachable<P> {
    reach_protocol!();

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.call(|protocol, transport| protocol.data_received(transport, data)).unwrap_or(Ok(()))
    }

    fn reading_resumed(&mut self, _: &Transport) -> Result {
        self.call(|protocol, transport| protocol.reading_resumed(transport)).unwrap_or(Ok(()))
    }
}

/// What a [`Reachable`](crate::net::Reachable) does alike for every kind of protocol inside it: the events that
/// a framing has no part in.
///
/// It stands in the `impl` of a framing's own trait for a `Reachable`; what the framing calls besides goes
/// through [`Reachable::call`](crate::net::Reachable::call).
///
/// ```
/// use ropewalk::net::Reachable;
/// use ropewalk::{Result, Transport, forward_protocol, reach_protocol};
///
/// trait KeyProtocol {
///     fn key_pressed(&mut self, transport: &Transport, key: u8) -> Result;
///     forward_protocol!(defaults);
/// }
///
/// impl<P: KeyProtocol + 'static> KeyProtocol for Reachable<P> {
///     reach_protocol!();
///
///     fn key_pressed(&mut self, _: &Transport, key: u8) -> Result {
///         self.call(|protocol, transport| protocol.key_pressed(transport, key)).unwrap_or(Ok(()))
///     }
/// }
/// ```
#[macro_export]
macro_rules! reach_protocol {
    () => {
        fn connection_made(&mut self, transport: &$crate::Transport) {
            self.connect(transport);
            self.call(|protocol, transport| protocol.connection_made(transport));
        }

        fn connection_lost(&mut self, reason: &$crate::Failure) {
            self.lose(|protocol| protocol.connection_lost(reason));
        }

        fn read_closed(&mut self, _: &$crate::Transport) {
            self.call(|protocol, transport| protocol.read_closed(transport));
        }

        fn write_closed(&mut self, _: &$crate::Transport) {
            self.call(|protocol, transport| protocol.write_closed(transport));
        }

        fn pause_writing(&mut self, _: &$crate::Transport) {
            self.call(|protocol, transport| protocol.pause_writing(transport));
        }

        fn resume_writing(&mut self, _: &$crate::Transport) {
            self.call(|protocol, transport| protocol.resume_writing(transport));
        }

        fn drain(&mut self, _: &$crate::Transport) {
            self.call(|protocol, transport| protocol.drain(transport));
        }

        fn file_descriptor_received(
            &mut self,
            _: &$crate::Transport,
            descriptor: ::std::os::fd::OwnedFd,
        ) {
            self.call(|protocol, transport| {
                protocol.file_descriptor_received(transport, descriptor)
            });
        }
    };
}
