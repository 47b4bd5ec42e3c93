//! The memory of the bytes that a handler works on, for the next one's.

use std::cell::Cell;

/// What the handler that was done last had its bytes in; one for each reactor.
#[derive(Default)]
pub(super) struct Spare(Cell<Vec<u8>>);

/// More is not kept: it is what a read brings at most.
const MOST: usize = 64 * 1024;

impl Spare {
    /// A copy of what arrived: the handler may keep it longer than the reactor its buffer.
    #[inline]
    pub(super) fn copy(&self, data: &[u8]) -> Vec<u8> {
        // An allocation and its end for each event are 130 instructions.
        let mut bytes = self.0.take();
        bytes.extend_from_slice(data);
        bytes
    }

    /// The handler is done.
    #[inline]
    pub(super) fn give(&self, mut bytes: Vec<u8>) {
        if (1..=MOST).contains(&bytes.capacity()) {
            bytes.clear();
            drop(self.0.replace(bytes));
        }
    }
}
