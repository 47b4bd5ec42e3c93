//! What the configurations of both roles have in common: what is built of them, and what that is of.

use crate::failure::Result;
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long a handshake may take, unless it is set.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// What rustls makes of a configuration: made when it is first needed, shared by the clones, and
/// made anew after a change.
pub(super) struct Built<T>(Rc<OnceCell<Arc<T>>>);

impl<T> Built<T> {
    /// What is built already, or what `build` makes now.
    pub(super) fn get(&self, build: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        if let Some(built) = self.0.get() {
            return Ok(built.clone());
        }
        let built = Arc::new(build()?);
        Ok(self.0.get_or_init(|| built).clone())
    }
}

impl<T> Default for Built<T> {
    fn default() -> Built<T> {
        Built(Rc::default())
    }
}

impl<T> Clone for Built<T> {
    fn clone(&self) -> Built<T> {
        Built(self.0.clone())
    }
}

impl<T> fmt::Debug for Built<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "built" } else { "not built yet" })
    }
}

/// The names of protocols, as ALPN has them.
pub(super) fn protocols<P: Into<Vec<u8>>>(names: impl IntoIterator<Item = P>) -> Vec<Vec<u8>> {
    names.into_iter().map(Into::into).collect()
}
