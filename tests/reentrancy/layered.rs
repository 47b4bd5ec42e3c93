//! A layer of the user's: every call to it may be the site.

use super::cast::here;
use super::table::Method;
use ropewalk::driver::{ByteStream, Key};
use ropewalk::{Address, Transport};
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

pub(crate) struct Layered {
    below: Box<dyn ByteStream>,
    site: Method,
}

impl Layered {
    pub(crate) fn put_on(transport: &Transport, site: Method) {
        let wrap = move |below| -> Box<dyn ByteStream> {
            let layer = Layered { below, site };
            layer.enter(Method::Wrap);
            Box::new(layer)
        };
        transport.replace_stream(wrap).expect("nothing was written yet");
    }

    fn enter(&self, method: Method) {
        if self.site == method {
            here();
        }
    }
}

impl ByteStream for Layered {
    fn register(&mut self, key: Key) -> io::Result<()> {
        self.below.register(key)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.enter(Method::Read);
        self.below.read(buffer)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.enter(Method::Write);
        self.below.write(data)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.below.write_vectored(slices)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.enter(Method::ShutdownWrite);
        self.below.shutdown_write()
    }

    fn set_abort(&mut self) {
        self.enter(Method::SetAbort);
        self.below.set_abort();
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        self.enter(Method::IsAtEnd);
        self.below.is_at_end()
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        self.below.finish_connecting()
    }

    fn peer(&self) -> io::Result<Address> {
        self.below.peer()
    }

    fn host(&self) -> io::Result<Address> {
        self.enter(Method::Host);
        self.below.host()
    }

    fn set_nodelay(&mut self, on: bool) -> io::Result<()> {
        self.enter(Method::SetNodelay);
        self.below.set_nodelay(on)
    }

    fn set_keepalive(&mut self, idle: Option<std::time::Duration>) -> io::Result<()> {
        self.enter(Method::SetKeepalive);
        self.below.set_keepalive(idle)
    }

    fn is_plain(&self) -> bool {
        self.enter(Method::IsPlain);
        false
    }

    fn has_pending(&mut self) -> bool {
        self.enter(Method::HoldsMore);
        self.below.has_pending()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.enter(Method::Flush);
        self.below.flush()
    }

    fn close_notify(&mut self) -> io::Result<()> {
        self.enter(Method::TakeLeave);
        self.below.close_notify()
    }

    fn must_linger(&mut self, may_be_unread: bool) -> bool {
        self.enter(Method::MustHearOut);
        self.below.must_linger(may_be_unread)
    }

    fn send_descriptor(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        self.enter(Method::SendDescriptor);
        self.below.send_descriptor(descriptor)
    }

    fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.enter(Method::TakeDescriptor);
        self.below.take_descriptor()
    }
}

impl Drop for Layered {
    fn drop(&mut self) {
        self.enter(Method::Drop);
    }
}
