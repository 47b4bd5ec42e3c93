// What a protocol around another leaves to it.
//
// The first block chooses, the second has each method once. A name behind `except` is compared with each
// method's by the arm that has both: macros cannot compare names, they can only match one that is written.

/// Methods of a [`Protocol`](crate::Protocol) that do nothing but call the same of another, in a field.
///
/// * `forward_protocol!(self.inner: all)` stands in an `impl` of `Protocol`; `self.parts.0` and `*self` are
///   such fields too. What is called need not be a `Protocol`: methods of these names are enough.
/// * `except` names the methods that the wrapper has itself. A name that is none of the trait's is told.
/// * `forward_protocol!(defaults)` stands in a trait of a framing's own, for what its pieces mean: the events
///   that a framing has no part in, with `Protocol`'s defaults. `data_received` and `reading_resumed` are
///   the framing's and not among them.
///
/// A method that `Protocol` gets one day is forwarded by every wrapper that is written like this.
///
/// ```
/// use ropewalk::{Protocol, Result, Transport, forward_protocol};
///
/// /// Counts the bytes that another protocol receives.
/// struct Counted<P> {
///     inner: P,
///     count: usize,
/// }
///
/// impl<P: Protocol> Protocol for Counted<P> {
///     forward_protocol!(self.inner: all except data_received);
///
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         self.count += data.len();
///         self.inner.data_received(transport, data)
///     }
/// }
/// ```
#[macro_export]
macro_rules! forward_protocol {
    (defaults) => {
        $crate::forward_protocol!(@defaults);
    };
    (* $self:ident : all $(except $($except:ident),+ $(,)?)?) => {
        $($($crate::forward_protocol!(@known $except);)+)?
        $crate::forward_protocol!(@each [$($($except)+)?] [$self (**$self)] connection_made data_received reading_resumed connection_lost read_closed
            write_closed pause_writing resume_writing drain file_descriptor_received);
    };
    ($self:ident . $($field:tt).+ : all $(except $($except:ident),+ $(,)?)?) => {
        $($($crate::forward_protocol!(@known $except);)+)?
        $crate::forward_protocol!(@each [$($($except)+)?] [$self $self.$($field).+] connection_made data_received reading_resumed connection_lost read_closed
            write_closed pause_writing resume_writing drain file_descriptor_received);
    };
    (@known $(connection_made)? $(data_received)? $(reading_resumed)? $(connection_lost)? $(read_closed)? $(write_closed)? $(pause_writing)? $(resume_writing)? $(drain)? $(file_descriptor_received)?) => {};
    (@known $other:ident) => {
        compile_error!(concat!("`Protocol` has no method `", stringify!($other), "`"));
    };
    (@each $except:tt $place:tt $($name:ident)+) => {
        $($crate::forward_protocol!(@$name $except $place);)+
    };
    (@connection_made [connection_made $($rest:ident)*] $place:tt) => {};
    (@connection_made [] [$self:ident $($place:tt)+]) => {
        fn connection_made(&mut $self, transport: &$crate::Transport) {
            $($place)+.connection_made(transport);
        }
    };
    (@data_received [data_received $($rest:ident)*] $place:tt) => {};
    (@data_received [] [$self:ident $($place:tt)+]) => {
        fn data_received(&mut $self, transport: &$crate::Transport, data: &[u8]) -> $crate::Result {
            $($place)+.data_received(transport, data)
        }
    };
    (@reading_resumed [reading_resumed $($rest:ident)*] $place:tt) => {};
    (@reading_resumed [] [$self:ident $($place:tt)+]) => {
        fn reading_resumed(&mut $self, transport: &$crate::Transport) -> $crate::Result {
            $($place)+.reading_resumed(transport)
        }
    };
    (@connection_lost [connection_lost $($rest:ident)*] $place:tt) => {};
    (@connection_lost [] [$self:ident $($place:tt)+]) => {
        fn connection_lost(&mut $self, reason: &$crate::Failure) {
            $($place)+.connection_lost(reason);
        }
    };
    (@read_closed [read_closed $($rest:ident)*] $place:tt) => {};
    (@read_closed [] [$self:ident $($place:tt)+]) => {
        fn read_closed(&mut $self, transport: &$crate::Transport) {
            $($place)+.read_closed(transport);
        }
    };
    (@write_closed [write_closed $($rest:ident)*] $place:tt) => {};
    (@write_closed [] [$self:ident $($place:tt)+]) => {
        fn write_closed(&mut $self, transport: &$crate::Transport) {
            $($place)+.write_closed(transport);
        }
    };
    (@pause_writing [pause_writing $($rest:ident)*] $place:tt) => {};
    (@pause_writing [] [$self:ident $($place:tt)+]) => {
        fn pause_writing(&mut $self, transport: &$crate::Transport) {
            $($place)+.pause_writing(transport);
        }
    };
    (@resume_writing [resume_writing $($rest:ident)*] $place:tt) => {};
    (@resume_writing [] [$self:ident $($place:tt)+]) => {
        fn resume_writing(&mut $self, transport: &$crate::Transport) {
            $($place)+.resume_writing(transport);
        }
    };
    (@drain [drain $($rest:ident)*] $place:tt) => {};
    (@drain [] [$self:ident $($place:tt)+]) => {
        fn drain(&mut $self, transport: &$crate::Transport) {
            $($place)+.drain(transport);
        }
    };
    (@file_descriptor_received [file_descriptor_received $($rest:ident)*] $place:tt) => {};
    (@file_descriptor_received [] [$self:ident $($place:tt)+]) => {
        fn file_descriptor_received(&mut $self, transport: &$crate::Transport, descriptor: ::std::os::fd::OwnedFd) {
            $($place)+.file_descriptor_received(transport, descriptor);
        }
    };
    (@$name:ident [$other:ident $($rest:ident)*] $place:tt) => {
        $crate::forward_protocol!(@$name [$($rest)*] $place);
    };
    (@defaults) => {
        /// The connection is there.
        fn connection_made(&mut self, transport: &$crate::Transport) {
            let _ = transport;
        }

        /// The connection has ended; see `Protocol` for the reasons.
        fn connection_lost(&mut self, reason: &$crate::Failure) {
            let _ = reason;
        }

        /// The peer will send nothing more. The default ends the connection, after what was written.
        fn read_closed(&mut self, transport: &$crate::Transport) {
            transport.lose_connection();
        }

        /// Nothing more can be written: `lose_write_connection` was called, and its time has come.
        fn write_closed(&mut self, transport: &$crate::Transport) {
            let _ = transport;
        }

        /// Better write no more for now: more than 64 KiB wait for the peer to take them.
        fn pause_writing(&mut self, transport: &$crate::Transport) {
            let _ = transport;
        }

        /// Go on writing: the peer has taken all but 16 KiB.
        fn resume_writing(&mut self, transport: &$crate::Transport) {
            let _ = transport;
        }

        /// The server stops: finish what is under way, and then end the connection. The default does
        /// nothing.
        fn drain(&mut self, transport: &$crate::Transport) {
            let _ = transport;
        }

        /// A descriptor came through a Unix socket. The default closes it.
        fn file_descriptor_received(
            &mut self,
            transport: &$crate::Transport,
            descriptor: ::std::os::fd::OwnedFd,
        ) {
            let _ = (transport, descriptor);
        }
    };
}
