//! What most connections never need, in a box that most never have.

use crate::address::Address;
use crate::clock::DelayedCall;
use crate::deferred::Trigger;
use crate::failure::{Failure, Result};
use crate::net::connection::Connection;
use crate::net::connection::outbound::ProducerSlot;
use crate::net::connection::refusals::Refusals;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Extras {
    /// Whom a layer says that the peer is.
    pub(super) peer: Option<Address>,
    /// This end's address, once the connection is lost or has a layer of the user's.
    pub(super) host: Option<Address>,
    pub(super) drained: Vec<Trigger<()>>,
    pub(super) close_timeout: Option<Duration>,
    /// Runs while the connection is being lost and the peer does not take what was written, or is
    /// heard out.
    pub(super) close_timer: Option<DelayedCall>,
    /// So many bytes of a peer that is heard out, before the close or after a failed write, may still
    /// come.
    pub(super) peer_bytes_left: usize,
    /// The system took nothing of a file that it was to move, and no room was told since.
    pub(super) refuses_file: bool,
    /// The system was short of memory, and is to be asked again.
    pub(super) is_short: bool,
    /// When it will be.
    pub(super) retry: Option<DelayedCall>,
    pub(super) producer: Option<Box<ProducerSlot>>,
    /// With layers: what the system said below them.
    pub(super) refusals: Option<Rc<Refusals>>,
    /// The layer's, while it is under way.
    pub(super) handshake: Option<Box<Handshake>>,
    /// What came for a stream, and was not taken yet.
    pub(super) descriptors: VecDeque<OwnedFd>,
    /// Called when the connection is lost, after the face.
    pub(super) on_lost: Option<OnLost>,
}

type OnLost = Box<dyn FnOnce(&Failure)>;

/// So many descriptors wait for a stream to take them.
const DESCRIPTORS_KEPT: usize = 256;
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// A handshake under way.
pub(super) struct Handshake {
    pub(super) done: Done,
    pub(super) timer: DelayedCall,
}

type Done = Box<dyn FnOnce(&Rc<Connection>, Result)>;

impl Extras {
    pub(super) fn keep_descriptor(&mut self, descriptor: OwnedFd) {
        // Beyond that the peer is not meant well: what comes is closed.
        if self.descriptors.len() < DESCRIPTORS_KEPT {
            self.descriptors.push_back(descriptor);
        }
    }
}
