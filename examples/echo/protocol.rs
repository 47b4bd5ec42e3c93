//! The echo in callbacks. A peer that does not read is not read from either.

use ropewalk::{Protocol, Result, Transport};

pub(crate) struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn pause_writing(&mut self, transport: &Transport) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &Transport) {
        transport.resume_reading();
    }
}
