//! What the configurations of both roles have in common: what is built of them, and what that is of.

use super::directory::Files;
use crate::failure::{Result, report};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// When the files are looked at again; never if there are none.
    look_again: Option<Instant>,
}

/// So many times as long as a look at the files took nobody looks again: a server of many
/// certificates, called by many, spends a twentieth of its time on looking.
const LOOKS: u32 = 20;

impl<T> Built<T> {
    /// What is built already, or what `build` makes now.
    pub(super) fn get(&self, build: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        match self.former() {
            Some(built) => Ok(built),
            None => self.make(Files::new(), None, build),
        }
    }

    /// As [`get`](Built::get), of the files that `look` finds. Once it was built, files that are no
    /// good change nothing: that is reported, and looked at again after their next change.
    pub(super) fn get_for(
        &self,
        look: impl FnOnce() -> Files,
        build: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let now = Instant::now();
        if let Some(made) = &*self.0.borrow()
            && made.look_again.is_some_and(|then| now < then)
        {
            return Ok(made.result.clone());
        }
        let files = look();
        let look_again = Some(now + now.elapsed() * LOOKS);
        if let Some(made) = &mut *self.0.borrow_mut()
            && made.of == files
        {
            made.look_again = look_again;
            return Ok(made.result.clone());
        }
        self.make(files, look_again, build)
    }

    fn make(
        &self,
        of: Files,
        look_again: Option<Instant>,
        build: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let (result, bad) = match (build(), self.former()) {
            (Ok(built), _) => (Arc::new(built), None),
            (Err(failure), Some(former)) => (former, Some(failure)),
            (Err(failure), None) => return Err(failure),
        };
        self.0.replace(Some(Made { of, result: result.clone(), look_again }));
        if let Some(failure) = bad {
            report("TLS goes on with the former certificates", &failure);
        }
        Ok(result)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn what_was_built_of_no_files_is_built_once() {
        let built = Built::default();
        assert_eq!(*built.get(|| Ok(1)).unwrap(), 1);
        assert_eq!(*built.clone().get(|| Ok(2)).unwrap(), 1);
    }

    #[test]
    fn files_are_looked_at_again_after_a_while_and_bad_ones_change_nothing() {
        let files = |length| vec![("a.pem".into(), None, length)];
        let built: Built<u32> = Built::default();
        assert!(built.get_for(|| files(1), || Err(Failure::msg("bad"))).is_err());
        assert_eq!(*built.get_for(|| files(1), || Ok(1)).unwrap(), 1);
        let wait = |built: &Built<u32>| {
            if let Some(made) = &mut *built.0.borrow_mut() {
                made.look_again = Some(Instant::now());
            }
        };
        wait(&built);
        assert_eq!(*built.get_for(|| files(1), || Ok(2)).unwrap(), 1, "nothing has changed");
        wait(&built);
        assert_eq!(*built.get_for(|| files(2), || Ok(2)).unwrap(), 2);
        let later = Instant::now() + Duration::from_secs(3600);
        built.0.borrow_mut().as_mut().unwrap().look_again = Some(later);
        assert_eq!(*built.get_for(|| unreachable!("it is too early"), || Ok(3)).unwrap(), 2);
    }
}
