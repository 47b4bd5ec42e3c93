//! A layer of the user's: every call to it may be the site.

use super::cast::here;
use super::table::Method;
use ropewalk::driver::{ByteStream, Layer, Socket};
use ropewalk::{Address, Transport, forward_byte_stream};
use std::io;
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
    forward_byte_stream!(self.below: all except read, write, shutdown_write, host, as_socket, as_layer);

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.enter(Method::Read);
        self.below.read(buffer)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.enter(Method::Write);
        self.below.write(data)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.enter(Method::ShutdownWrite);
        self.below.shutdown_write()
    }

    fn host(&self) -> io::Result<Address> {
        self.enter(Method::Host);
        self.below.host()
    }

    fn as_socket(&mut self) -> Option<&mut dyn Socket> {
        self.enter(Method::AsSocket);
        Some(self)
    }

    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        self.enter(Method::AsLayer);
        Some(self)
    }
}

impl Socket for Layered {
    forward_byte_stream!(self.below: socket except set_abort, is_at_end, set_nodelay, set_keepalive, send_descriptor, take_descriptor);

    fn set_abort(&mut self) {
        self.enter(Method::SetAbort);
        self.below.set_abort();
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        self.enter(Method::IsAtEnd);
        self.below.is_at_end()
    }

    fn set_nodelay(&mut self, on: bool) -> io::Result<()> {
        self.enter(Method::SetNodelay);
        self.below.set_nodelay(on)
    }

    fn set_keepalive(&mut self, idle: Option<std::time::Duration>) -> io::Result<()> {
        self.enter(Method::SetKeepalive);
        self.below.set_keepalive(idle)
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

impl Layer for Layered {
    forward_byte_stream!(self.below: layer except has_pending, flush, close_notify, must_linger);

    fn has_pending(&mut self) -> bool {
        self.enter(Method::HasPending);
        self.below.has_pending()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.enter(Method::Flush);
        self.below.flush()
    }

    fn close_notify(&mut self) -> io::Result<()> {
        self.enter(Method::CloseNotify);
        self.below.close_notify()
    }

    fn must_linger(&mut self, may_be_unread: bool) -> bool {
        self.enter(Method::MustLinger);
        self.below.must_linger(may_be_unread)
    }
}

impl Drop for Layered {
    fn drop(&mut self) {
        self.enter(Method::Drop);
    }
}
