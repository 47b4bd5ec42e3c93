// Line and string protocols that reach themselves: `Reachable` is one if what is inside is one.

use super::{LineProtocol, StringProtocol};
use crate::failure::{Failure, Result};
use crate::net::Reachable;
use crate::transport::Transport;
use std::os::fd::OwnedFd;

/// The events beside the pieces, which both kinds of protocols have.
macro_rules! other_calls {
    () => {
        fn connection_made(&mut self, transport: &Transport) {
            self.connect(transport);
            self.call(|protocol, transport| protocol.connection_made(transport));
        }

        fn connection_lost(&mut self, reason: &Failure) {
            self.lose(|protocol| protocol.connection_lost(reason));
        }

        fn read_closed(&mut self, _: &Transport) {
            self.call(|protocol, transport| protocol.read_closed(transport));
        }

        fn write_closed(&mut self, _: &Transport) {
            self.call(|protocol, transport| protocol.write_closed(transport));
        }

        fn pause_writing(&mut self, _: &Transport) {
            self.call(|protocol, transport| protocol.pause_writing(transport));
        }

        fn resume_writing(&mut self, _: &Transport) {
            self.call(|protocol, transport| protocol.resume_writing(transport));
        }

        fn file_descriptor_received(&mut self, _: &Transport, descriptor: OwnedFd) {
            self.call(|protocol, transport| {
                protocol.file_descriptor_received(transport, descriptor)
            });
        }
    };
}

#[deny(clippy::missing_trait_methods)]
impl<P: LineProtocol + 'static> LineProtocol for Reachable<P> {
    other_calls!();

    fn line_received(&mut self, _: &Transport, line: &[u8]) -> Result {
        self.call(|protocol, transport| protocol.line_received(transport, line)).unwrap_or(Ok(()))
    }

    fn is_raw(&self) -> bool {
        self.call(|protocol, _| protocol.is_raw()).unwrap_or(false)
    }

    fn raw_data_received(&mut self, _: &Transport, data: &[u8]) -> Result<usize> {
        let received = self.call(|protocol, transport| protocol.raw_data_received(transport, data));
        received.unwrap_or(Ok(data.len()))
    }

    fn line_length_exceeded(&mut self, _: &Transport, start: &[u8], limit: usize) -> Result {
        let told =
            self.call(|protocol, transport| protocol.line_length_exceeded(transport, start, limit));
        told.unwrap_or(Ok(()))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<P: StringProtocol + 'static> StringProtocol for Reachable<P> {
    other_calls!();

    fn string_received(&mut self, _: &Transport, string: &[u8]) -> Result {
        let received = self.call(|protocol, transport| protocol.string_received(transport, string));
        received.unwrap_or(Ok(()))
    }

    fn length_limit_exceeded(&mut self, _: &Transport, length: usize) -> Result {
        let told =
            self.call(|protocol, transport| protocol.length_limit_exceeded(transport, length));
        told.unwrap_or(Ok(()))
    }
}
