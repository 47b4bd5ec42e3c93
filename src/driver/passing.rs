//! What a layer passes on to the stream below as it is: most of its calls.

/// Methods of a [`ByteStream`](super::ByteStream) that do nothing but call the same of a field.
///
/// They are named one by one, also those that a stream need not have: what a layer leaves out is seen
/// where it is left out.
macro_rules! pass_on {
    ($below:ident: $($call:ident),+) => {
        $($crate::driver::pass_on! { @$call $below })+
    };
    (@register $below:ident) => {
        fn register(&mut self, key: $crate::driver::Key) -> std::io::Result<()> {
            self.$below.register(key)
        }
    };
    (@read $below:ident) => {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.$below.read(buffer)
        }
    };
    (@write $below:ident) => {
        fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
            self.$below.write(data)
        }
    };
    (@write_vectored $below:ident) => {
        fn write_vectored(&mut self, slices: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
            self.$below.write_vectored(slices)
        }
    };
    (@set_abort $below:ident) => {
        fn set_abort(&mut self) {
            self.$below.set_abort();
        }
    };
    (@is_at_end $below:ident) => {
        fn is_at_end(&mut self) -> std::io::Result<bool> {
            self.$below.is_at_end()
        }
    };
    (@peer $below:ident) => {
        fn peer(&self) -> std::io::Result<$crate::address::Address> {
            self.$below.peer()
        }
    };
    (@host $below:ident) => {
        fn host(&self) -> std::io::Result<$crate::address::Address> {
            self.$below.host()
        }
    };
    (@set_nodelay $below:ident) => {
        fn set_nodelay(&mut self, on: bool) -> std::io::Result<()> {
            self.$below.set_nodelay(on)
        }
    };
    (@set_keepalive $below:ident) => {
        fn set_keepalive(&mut self, idle: Option<std::time::Duration>) -> std::io::Result<()> {
            self.$below.set_keepalive(idle)
        }
    };
    (@is_standard $below:ident) => {
        fn is_standard(&self) -> bool {
            self.$below.is_standard()
        }
    };
    (@is_plain $below:ident) => {
        fn is_plain(&self) -> bool {
            self.$below.is_plain()
        }
    };
    (@has_pending $below:ident) => {
        fn has_pending(&mut self) -> bool {
            self.$below.has_pending()
        }
    };
    (@must_linger $below:ident) => {
        fn must_linger(&mut self, may_be_unread: bool) -> bool {
            self.$below.must_linger(may_be_unread)
        }
    };
    (@descriptors $below:ident) => {
        fn send_descriptor(&mut self, descriptor: std::os::fd::OwnedFd) -> std::io::Result<()> {
            self.$below.send_descriptor(descriptor)
        }

        fn take_descriptor(&mut self) -> Option<std::os::fd::OwnedFd> {
            self.$below.take_descriptor()
        }
    };
    // What is left has no arguments, and succeeds or fails: shutdown_write, finish_connecting, flush.
    (@$call:ident $below:ident) => {
        fn $call(&mut self) -> std::io::Result<()> {
            self.$below.$call()
        }
    };
}
pub(crate) use pass_on;
