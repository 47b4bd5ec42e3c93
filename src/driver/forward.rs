// What a stream over another does as the one below does: most of its calls.
//
// The first block chooses, the second has each method once. A name behind `except` is compared with each
// method's by the arm that has both: macros cannot compare names, they can only match one that is written.

/// Methods of a stream that do nothing but call the same of the stream below, in a field.
///
/// * `forward_byte_stream!(self.below: all)` stands in an `impl` of
///   [`ByteStream`](crate::driver::ByteStream), `self.below: socket` in one of
///   [`Socket`](crate::driver::Socket), `self.below: layer` in one of [`Layer`](crate::driver::Layer).
/// * The field is a `Box<dyn ByteStream>`; `self.parts.0` is one too.
/// * `except` names the methods that the stream has itself. A name that is none of the trait's is told.
///
/// `send_file` is refused and not forwarded: bytes that the stream below moves would pass this one by.
/// `as_socket` and `as_layer` go below like the others: a stream that holds no bytes back is as a socket
/// and as a layer what it is over. One that does answers `as_layer` with itself.
///
/// ```
/// use ropewalk::driver::{ByteStream, Layer};
/// use ropewalk::forward_byte_stream;
/// use std::io;
///
/// /// Counts the bytes that come.
/// struct Counted {
///     below: Box<dyn ByteStream>,
///     count: usize,
/// }
///
/// impl ByteStream for Counted {
///     forward_byte_stream!(self.below: all except read);
///
///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         let count = self.below.read(buffer)?;
///         self.count += count;
///         Ok(count)
///     }
/// }
/// ```
#[macro_export]
macro_rules! forward_byte_stream {
    ($self:ident . $($field:tt).+ : all $(except $($except:ident),+ $(,)?)?) => {
        $($($crate::forward_byte_stream!(@known_all $except);)+)?
        $crate::forward_byte_stream!(@each [$($($except)+)?] [$self.$($field).+]
            register read write write_vectored send_file shutdown_write peer host as_socket as_layer);
    };
    ($self:ident . $($field:tt).+ : socket $(except $($except:ident),+ $(,)?)?) => {
        $($($crate::forward_byte_stream!(@known_socket $except);)+)?
        $crate::forward_byte_stream!(@each [$($($except)+)?] [$self.$($field).+]
            finish_connecting is_at_end has_unread set_abort set_nodelay set_keepalive is_standard
            has_written_all send_descriptor take_descriptor);
    };
    ($self:ident . $($field:tt).+ : layer $(except $($except:ident),+ $(,)?)?) => {
        $($($crate::forward_byte_stream!(@known_layer $except);)+)?
        $crate::forward_byte_stream!(@each [$($($except)+)?] [$self.$($field).+]
            handshake has_pending flush close_notify must_linger as_any);
    };
    (@known_all $(register)? $(read)? $(write)? $(write_vectored)? $(send_file)? $(shutdown_write)? $(peer)? $(host)? $(as_socket)? $(as_layer)?) => {};
    (@known_all $other:ident) => {
        compile_error!(concat!("`ByteStream` has no method `", stringify!($other), "`"));
    };
    (@known_socket $(finish_connecting)? $(is_at_end)? $(has_unread)? $(set_abort)? $(set_nodelay)? $(set_keepalive)? $(is_standard)? $(has_written_all)? $(send_descriptor)? $(take_descriptor)?) => {};
    (@known_socket $other:ident) => {
        compile_error!(concat!("`Socket` has no method `", stringify!($other), "`"));
    };
    (@known_layer $(handshake)? $(has_pending)? $(flush)? $(close_notify)? $(must_linger)? $(as_any)?) => {};
    (@known_layer $other:ident) => {
        compile_error!(concat!("`Layer` has no method `", stringify!($other), "`"));
    };
    (@each $except:tt $place:tt $($name:ident)+) => {
        $($crate::forward_byte_stream!(@$name $except $place);)+
    };
    (@register [register $($rest:ident)*] $place:tt) => {};
    (@register [] [$self:ident $($field:tt)+]) => {
        fn register(&mut $self, key: $crate::driver::Key) -> ::std::io::Result<()> {
            $crate::driver::ByteStream::register(&mut *$self $($field)+, key)
        }
    };
    (@read [read $($rest:ident)*] $place:tt) => {};
    (@read [] [$self:ident $($field:tt)+]) => {
        fn read(&mut $self, buffer: &mut [u8]) -> ::std::io::Result<usize> {
            $crate::driver::ByteStream::read(&mut *$self $($field)+, buffer)
        }
    };
    (@write [write $($rest:ident)*] $place:tt) => {};
    (@write [] [$self:ident $($field:tt)+]) => {
        fn write(&mut $self, data: &[u8]) -> ::std::io::Result<usize> {
            $crate::driver::ByteStream::write(&mut *$self $($field)+, data)
        }
    };
    (@write_vectored [write_vectored $($rest:ident)*] $place:tt) => {};
    (@write_vectored [] [$self:ident $($field:tt)+]) => {
        fn write_vectored(&mut $self, slices: &[::std::io::IoSlice<'_>]) -> ::std::io::Result<usize> {
            $crate::driver::ByteStream::write_vectored(&mut *$self $($field)+, slices)
        }
    };
    (@send_file [send_file $($rest:ident)*] $place:tt) => {};
    (@send_file [] [$self:ident $($field:tt)+]) => {
        // Not forwarded: the stream below would send what this one has not seen.
        fn send_file(
            &mut $self,
            _: ::std::os::fd::BorrowedFd<'_>,
            _: &mut u64,
            _: usize,
        ) -> ::std::io::Result<usize> {
            ::std::result::Result::Err(::std::io::ErrorKind::Unsupported.into())
        }
    };
    (@shutdown_write [shutdown_write $($rest:ident)*] $place:tt) => {};
    (@shutdown_write [] [$self:ident $($field:tt)+]) => {
        fn shutdown_write(&mut $self) -> ::std::io::Result<()> {
            $crate::driver::ByteStream::shutdown_write(&mut *$self $($field)+)
        }
    };
    (@peer [peer $($rest:ident)*] $place:tt) => {};
    (@peer [] [$self:ident $($field:tt)+]) => {
        fn peer(&$self) -> ::std::io::Result<$crate::Address> {
            $crate::driver::ByteStream::peer(&*$self $($field)+)
        }
    };
    (@host [host $($rest:ident)*] $place:tt) => {};
    (@host [] [$self:ident $($field:tt)+]) => {
        fn host(&$self) -> ::std::io::Result<$crate::Address> {
            $crate::driver::ByteStream::host(&*$self $($field)+)
        }
    };
    (@as_socket [as_socket $($rest:ident)*] $place:tt) => {};
    (@as_socket [] [$self:ident $($field:tt)+]) => {
        fn as_socket(&mut $self) -> ::std::option::Option<&mut dyn $crate::driver::Socket> {
            $crate::driver::ByteStream::as_socket(&mut *$self $($field)+)
        }
    };
    (@as_layer [as_layer $($rest:ident)*] $place:tt) => {};
    (@as_layer [] [$self:ident $($field:tt)+]) => {
        fn as_layer(&mut $self) -> ::std::option::Option<&mut dyn $crate::driver::Layer> {
            $crate::driver::ByteStream::as_layer(&mut *$self $($field)+)
        }
    };
    (@finish_connecting [finish_connecting $($rest:ident)*] $place:tt) => {};
    (@finish_connecting [] [$self:ident $($field:tt)+]) => {
        fn finish_connecting(&mut $self) -> ::std::io::Result<()> {
            <dyn $crate::driver::ByteStream>::finish_connecting(&mut *$self $($field)+)
        }
    };
    (@is_at_end [is_at_end $($rest:ident)*] $place:tt) => {};
    (@is_at_end [] [$self:ident $($field:tt)+]) => {
        fn is_at_end(&mut $self) -> ::std::io::Result<bool> {
            <dyn $crate::driver::ByteStream>::is_at_end(&mut *$self $($field)+)
        }
    };
    (@has_unread [has_unread $($rest:ident)*] $place:tt) => {};
    (@has_unread [] [$self:ident $($field:tt)+]) => {
        fn has_unread(&mut $self) -> bool {
            <dyn $crate::driver::ByteStream>::has_unread(&mut *$self $($field)+)
        }
    };
    (@set_abort [set_abort $($rest:ident)*] $place:tt) => {};
    (@set_abort [] [$self:ident $($field:tt)+]) => {
        fn set_abort(&mut $self) {
            <dyn $crate::driver::ByteStream>::set_abort(&mut *$self $($field)+)
        }
    };
    (@set_nodelay [set_nodelay $($rest:ident)*] $place:tt) => {};
    (@set_nodelay [] [$self:ident $($field:tt)+]) => {
        fn set_nodelay(&mut $self, on: bool) -> ::std::io::Result<()> {
            <dyn $crate::driver::ByteStream>::set_nodelay(&mut *$self $($field)+, on)
        }
    };
    (@set_keepalive [set_keepalive $($rest:ident)*] $place:tt) => {};
    (@set_keepalive [] [$self:ident $($field:tt)+]) => {
        fn set_keepalive(&mut $self, idle: ::std::option::Option<::std::time::Duration>) -> ::std::io::Result<()> {
            <dyn $crate::driver::ByteStream>::set_keepalive(&mut *$self $($field)+, idle)
        }
    };
    (@is_standard [is_standard $($rest:ident)*] $place:tt) => {};
    (@is_standard [] [$self:ident $($field:tt)+]) => {
        fn is_standard(&mut $self) -> bool {
            <dyn $crate::driver::ByteStream>::is_standard(&mut *$self $($field)+)
        }
    };
    (@has_written_all [has_written_all $($rest:ident)*] $place:tt) => {};
    (@has_written_all [] [$self:ident $($field:tt)+]) => {
        fn has_written_all(&mut $self) -> bool {
            <dyn $crate::driver::ByteStream>::has_written_all(&mut *$self $($field)+)
        }
    };
    (@send_descriptor [send_descriptor $($rest:ident)*] $place:tt) => {};
    (@send_descriptor [] [$self:ident $($field:tt)+]) => {
        fn send_descriptor(&mut $self, descriptor: ::std::os::fd::OwnedFd) -> ::std::io::Result<()> {
            <dyn $crate::driver::ByteStream>::send_descriptor(&mut *$self $($field)+, descriptor)
        }
    };
    (@take_descriptor [take_descriptor $($rest:ident)*] $place:tt) => {};
    (@take_descriptor [] [$self:ident $($field:tt)+]) => {
        fn take_descriptor(&mut $self) -> ::std::option::Option<::std::os::fd::OwnedFd> {
            <dyn $crate::driver::ByteStream>::take_descriptor(&mut *$self $($field)+)
        }
    };
    (@handshake [handshake $($rest:ident)*] $place:tt) => {};
    (@handshake [] [$self:ident $($field:tt)+]) => {
        fn handshake(&mut $self) -> ::std::io::Result<()> {
            <dyn $crate::driver::ByteStream>::handshake(&mut *$self $($field)+)
        }
    };
    (@has_pending [has_pending $($rest:ident)*] $place:tt) => {};
    (@has_pending [] [$self:ident $($field:tt)+]) => {
        fn has_pending(&mut $self) -> bool {
            <dyn $crate::driver::ByteStream>::has_pending(&mut *$self $($field)+)
        }
    };
    (@flush [flush $($rest:ident)*] $place:tt) => {};
    (@flush [] [$self:ident $($field:tt)+]) => {
        fn flush(&mut $self) -> ::std::io::Result<()> {
            <dyn $crate::driver::ByteStream>::flush(&mut *$self $($field)+)
        }
    };
    (@close_notify [close_notify $($rest:ident)*] $place:tt) => {};
    (@close_notify [] [$self:ident $($field:tt)+]) => {
        fn close_notify(&mut $self) -> ::std::io::Result<()> {
            <dyn $crate::driver::ByteStream>::close_notify(&mut *$self $($field)+)
        }
    };
    (@must_linger [must_linger $($rest:ident)*] $place:tt) => {};
    (@must_linger [] [$self:ident $($field:tt)+]) => {
        fn must_linger(&mut $self, may_be_unread: bool) -> bool {
            <dyn $crate::driver::ByteStream>::must_linger(&mut *$self $($field)+, may_be_unread)
        }
    };
    (@as_any [as_any $($rest:ident)*] $place:tt) => {};
    (@as_any [] [$self:ident $($field:tt)+]) => {
        fn as_any(&mut $self) -> ::std::option::Option<&dyn ::std::any::Any> {
            <dyn $crate::driver::ByteStream>::as_any(&mut *$self $($field)+)
        }
    };
    (@$name:ident [$other:ident $($rest:ident)*] $place:tt) => {
        $crate::forward_byte_stream!(@$name [$($rest)*] $place);
    };
}
