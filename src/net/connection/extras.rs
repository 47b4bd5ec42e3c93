//! What most connections never need, in a box that most never have.

use crate::address::Address;
use crate::clock::DelayedCall;
use crate::deferred::Trigger;
use crate::failure::Failure;
use crate::net::connection::Connection;
use crate::net::connection::layer::Handshake;
use crate::net::connection::producing::Place;
use crate::net::connection::refusals::Refusals;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Extras {
    /// Whom a layer says that the peer is.
    peer: Option<Address>,
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
    /// The peer took something since the timer was set.
    pub(super) is_taking: bool,
    /// The system took nothing of a file that it was to move, and no room was told since.
    pub(super) refuses_file: bool,
    /// The system was short of memory, and is to be asked again.
    pub(super) is_short: bool,
    /// When it will be.
    pub(super) retry: Option<DelayedCall>,
    pub(super) producer: Option<Box<Place>>,
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
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

impl Extras {
    pub(super) fn keep_descriptor(&mut self, descriptor: OwnedFd) {
        // Beyond that the peer is not meant well: what comes is closed.
        if self.descriptors.len() < DESCRIPTORS_KEPT {
            self.descriptors.push_back(descriptor);
        }
    }
}

impl Connection {
    pub(super) fn with_extras<R>(&self, change: impl FnOnce(&mut Extras) -> R) -> R {
        self.has_work.set(true);
        change(self.extras.borrow_mut().get_or_insert_default())
    }

    pub(super) fn has_extras(&self) -> bool {
        self.extras.borrow().is_some()
    }

    pub(crate) fn set_on_lost(&self, call: impl FnOnce(&Failure) + 'static) {
        let former = self.with_extras(|extras| extras.on_lost.replace(Box::new(call)));
        drop(former);
    }

    /// The peer's address, as a layer under this connection knows it.
    pub(crate) fn true_peer(&self) -> Address {
        let told = self.extras.borrow().as_ref().and_then(|extras| extras.peer.clone());
        told.unwrap_or_else(|| self.peer.clone())
    }

    /// This end's address; also after the end, if somebody was left then who might ask.
    pub(super) fn known_host(&self) -> Option<Address> {
        let kept = || self.extras.borrow().as_ref().and_then(|extras| extras.host.clone());
        self.with_stream(|stream| stream.host()).ok().or_else(kept)
    }

    /// Has the stream say who the peer is, now that its layer knows.
    pub(crate) fn ask_for_peer(&self) {
        let peer = self.with_stream(|stream| stream.peer()).ok();
        let former = self.with_extras(|extras| std::mem::replace(&mut extras.peer, peer));
        drop(former);
    }

    pub(super) fn close_timeout(&self) -> Duration {
        self.with_extras(|extras| extras.close_timeout.unwrap_or(CLOSE_TIMEOUT))
    }
}
