//! What the configurations of both roles have in common: what is built of them, and what that is of.

use super::directory::Files;
use crate::failure::{Result, report};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long a handshake may take, unless it is set.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// What rustls makes of a configuration: made when it is first needed, shared by the clones, and
/// made anew after a change of the configuration or of the files that it names.
///
/// Borrowed to look and to replace.
pub(super) struct Built<T>(Rc<RefCell<Option<Made<T>>>>);

struct Made<T> {
    of: Files,
    result: Arc<T>,
}

impl<T> Built<T> {
    /// What is built already, or what `build` makes now.
    pub(super) fn get(&self, build: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        self.get_for(Files::new(), build)
    }

    /// As [`get`](Built::get), of these files. Once it was built, files that are no good change
    /// nothing: that is reported, and looked at again after their next change.
    pub(super) fn get_for(
        &self,
        files: Files,
        build: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        if let Some(made) = &*self.0.borrow()
            && made.of == files
        {
            return Ok(made.result.clone());
        }
        let (built, bad) = match (build(), self.former()) {
            (Ok(built), _) => (Arc::new(built), None),
            (Err(failure), Some(former)) => (former, Some(failure)),
            (Err(failure), None) => return Err(failure),
        };
        self.0.replace(Some(Made { of: files, result: built.clone() }));
        if let Some(failure) = bad {
            report("TLS goes on with the former certificates", &failure);
        }
        Ok(built)
    }

    fn former(&self) -> Option<Arc<T>> {
        self.0.borrow().as_ref().map(|made| made.result.clone())
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
        f.write_str(if self.former().is_some() { "built" } else { "not built yet" })
    }
}

/// The names of protocols, as ALPN has them.
pub(super) fn protocols<P: Into<Vec<u8>>>(names: impl IntoIterator<Item = P>) -> Vec<Vec<u8>> {
    names.into_iter().map(Into::into).collect()
}
