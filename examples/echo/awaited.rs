//! The echo in async callbacks. A peer that does not read is not read from either.

use ropewalk::awaited::{AsyncProtocol, Awaited};
use ropewalk::{Address, Result, Transport};

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
