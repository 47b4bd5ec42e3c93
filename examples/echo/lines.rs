//! The echo in callbacks, line by line. No line is endless.

use ropewalk::{Protocol, Result, Transport};
use std::io::BufRead;

/// Who sends a longer one is cut off.
const LONGEST: usize = 64 * 1024;

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
            if self.unfinished.len() + line.len() > LONGEST {
                transport.abort_connection();
                return Ok(());
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

    fn pause_writing(&mut self, transport: &Transport) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &Transport) {
        transport.resume_reading();
    }
}
