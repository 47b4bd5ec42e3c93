//! Readiness that no driver knows of: that of streams and listeners of a program's own.

use super::Reactor;
use crate::driver::{Key, Readiness};

impl Reactor {
    /// Says that what was registered with this key has become ready, as a driver's `wait` does.
    ///
    /// For a [`ByteStream`](crate::driver::ByteStream) or a [`Listener`](crate::driver::Listener) of your own
    /// that has no descriptor the system could watch: it keeps the key that it is registered with, and whoever
    /// has bytes, room or a connection for it says so, at once when it is registered if there is something
    /// already. It is looked at in the next turn. A key that is gone is nobody's, and nothing happens; from
    /// other threads this is for [`Remote::call_from_thread`](crate::Remote::call_from_thread).
    ///
    /// [The guide](crate::guide#joints) has a transport that is written with it.
    ///
    /// ```
    /// use ropewalk::Reactor;
    /// use ropewalk::driver::{Key, Readiness};
    ///
    /// fn has_bytes(reactor: &Reactor, key: Key) {
    ///     reactor.notify_ready(key, Readiness::READABLE);
    /// }
    /// # has_bytes(&Reactor::new()?, Key::from_token(7));
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn notify_ready(&self, key: Key, readiness: Readiness) {
        if let Some(source) = self.inner().sources.look(key) {
            source.notify(readiness);
        }
    }
}
