//! The echo in callbacks.

use std::io::BufRead;

use ropewalk::{Protocol, Result, Transport};

pub(crate) struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct EchoLines {
    /// The start of a line whose end has not come yet.
    unfinished: Vec<u8>,
}

impl Protocol for EchoLines {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let mut rest = data;
        while !rest.is_empty() {
            let (all, length) = (rest, rest.skip_until(b'\n')?);
            let line = &all[..length];
            if self.unfinished.is_empty() && line.ends_with(b"\n") {
                transport.write(line);
                continue;
            }
            self.unfinished.extend_from_slice(line);
            if line.ends_with(b"\n") {
                transport.write(&self.unfinished);
                self.unfinished.clear();
            }
        }
        Ok(())
    }

    fn read_closed(&mut self, transport: &Transport) {
        transport.write(&self.unfinished);
        transport.lose_connection();
    }
}
