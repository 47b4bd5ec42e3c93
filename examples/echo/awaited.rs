//! The echo in async callbacks. A peer that does not read is not read from either.

use super::lines::EchoLines;
use ropewalk::awaited::{AsyncProtocol, Awaited};
use ropewalk::{Address, Protocol, Result, Transport};

pub(crate) struct Echo;

impl AsyncProtocol for Echo {
    async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

pub(crate) fn echo(_: &Address) -> Awaited<Echo> {
    Awaited::new(Echo)
}

/// As the callbacks do it, with nothing to wait for.
impl AsyncProtocol for EchoLines {
    async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        Protocol::data_received(self, transport, data)
    }

    async fn read_closed(&mut self, transport: &Transport) -> Result {
        Protocol::read_closed(self, transport);
        Ok(())
    }
}

pub(crate) fn echo_lines(_: &Address) -> Awaited<EchoLines> {
    Awaited::new(EchoLines::default())
}
