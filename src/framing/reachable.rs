// Line and string protocols that reach themselves: `Reachable` is one if what is inside is one.

use super::{LineProtocol, StringProtocol};
use crate::failure::Result;
use crate::net::Reachable;
use crate::reach_protocol;
use crate::transport::Transport;

#[deny(clippy::missing_trait_methods)]
impl<P: LineProtocol + 'static> LineProtocol for Reachable<P> {
    reach_protocol!();

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
    reach_protocol!();

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
