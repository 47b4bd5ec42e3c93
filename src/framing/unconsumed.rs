//! What came and was not delivered: the unfinished last piece, and whole ones while reading is paused.
//!
//! # Invariants
//! * What came before TLS is not delivered after its start: somebody on the way may have written it, to
//!   be taken for the peer's.

use super::broken;
use crate::failure::Result;
use crate::net::connection::layer::in_the_clear;
use crate::transport::Transport;

#[derive(Debug, Default)]
pub(super) struct Unconsumed {
    /// Without memory of its own when nothing is kept.
    bytes: Vec<u8>,
    /// The transport's layers when they came.
    layers: u8,
    /// The peer's half has ended, and the protocol was not told.
    has_ended: bool,
}

impl Unconsumed {
    /// Offers what is kept and `data` after it to `step`, again and again while the connection wants
    /// bytes. `step` says how many it used up; 0 waits for more of them.
    pub(super) fn deliver(
        &mut self,
        transport: &Transport,
        data: &[u8],
        step: impl FnMut(&[u8]) -> Result<usize>,
    ) -> Result {
        let layers = transport.layers();
        if self.bytes.is_empty() {
            self.layers = layers;
            let used = offer(transport, data, step)?;
            self.bytes = data[used..].to_vec();
            return Ok(());
        }
        if self.layers != layers {
            return Err(broken(transport, in_the_clear(self.bytes.len())));
        }
        self.bytes.extend_from_slice(data);
        let mut bytes = std::mem::take(&mut self.bytes);
        let used = offer(transport, &bytes, step)?;
        if used < bytes.len() {
            bytes.drain(..used);
            self.bytes = bytes;
        }
        Ok(())
    }

    pub(super) fn note_end(&mut self) {
        self.has_ended = true;
    }

    /// Whether the peer's end is the next thing to tell; true once.
    pub(super) fn may_tell_end(&mut self, transport: &Transport) -> bool {
        // While bytes are wanted, all that is kept is a piece that will stay unfinished.
        let may = self.has_ended && (transport.is_reading() || self.bytes.is_empty());
        self.has_ended &= !may;
        may
    }
}

fn offer(
    transport: &Transport,
    data: &[u8],
    mut step: impl FnMut(&[u8]) -> Result<usize>,
) -> Result<usize> {
    let mut used = 0;
    let layers = transport.layers();
    while used < data.len() && transport.is_reading() {
        match step(&data[used..])? {
            0 => break,
            count => used += count,
        }
        if used < data.len() && transport.layers() != layers {
            return Err(broken(transport, in_the_clear(data.len() - used)));
        }
    }
    Ok(used)
}
