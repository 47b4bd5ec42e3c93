// The body of a request on its way to whoever reads it.
//
// # Invariants
// * Bytes reach the receiver in the order in which they came: it gets none directly while some are kept.
// * The receiver is out of its place while it is called.

use crate::failure::{Failure, Result};
use crate::http::headers::Headers;
use std::mem;
use std::task::Waker;

/// Who a body is pushed to.
pub(crate) trait Receive {
    fn data_received(&mut self, data: &[u8]) -> Result;
    fn finished(&mut self, trailers: &Headers);
    fn lost(&mut self, reason: &Failure);
}

#[derive(Default)]
pub(crate) struct Incoming {
    /// What came and was not read.
    pub(crate) kept: Vec<u8>,
    /// Absent while it is called, once it was told the end, and if the body is pulled.
    pub(crate) receiver: Option<Box<dyn Receive>>,
    /// The receiver wants nothing for now.
    pub(crate) is_paused: bool,
    /// Somebody asked for it.
    pub(crate) is_touched: bool,
    pub(crate) state: State,
    pub(crate) trailers: Option<Headers>,
    waker: Option<Waker>,
}

#[derive(Clone, Default)]
pub(crate) enum State {
    #[default]
    Coming,
    Whole,
    Failed(Failure),
}

impl Incoming {
    /// Gives back the former one, to be dropped where nothing is borrowed.
    pub(crate) fn set_waker(&mut self, waker: Waker) -> Option<Waker> {
        self.waker.replace(waker)
    }

    pub(crate) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }

    pub(crate) fn is_coming(&self) -> bool {
        matches!(self.state, State::Coming)
    }

    /// Exchanges what is kept with an empty buffer.
    pub(crate) fn take_kept(&mut self, empty: Vec<u8>) -> Vec<u8> {
        mem::replace(&mut self.kept, empty)
    }
}
