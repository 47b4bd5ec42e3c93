//! The bytes that a handler works on, in memory that the next one's may use.

use std::cell::Cell;
use std::mem;
use std::ops::Deref;
use std::rc::Rc;

/// What the handler that was done last had its bytes in; one for each reactor.
#[derive(Default)]
pub(crate) struct Spare(Cell<Vec<u8>>);

/// A copy of what arrived. Its memory goes back when the handler is done.
pub(crate) struct Lent {
    bytes: Vec<u8>,
    spare: Rc<Spare>,
}

impl Lent {
    #[inline]
    pub(super) fn new(spare: &Rc<Spare>, data: &[u8]) -> Lent {
        // An allocation and its end for each event are 130 instructions.
        let mut bytes = spare.0.take();
        bytes.extend_from_slice(data);
        Lent { bytes, spare: spare.clone() }
    }
}

impl Deref for Lent {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    #[inline]
    fn drop(&mut self) {
        self.bytes.clear();
        drop(self.spare.0.replace(mem::take(&mut self.bytes)));
    }
}
