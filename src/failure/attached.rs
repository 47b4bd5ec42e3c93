//! What went wrong after a failure, because of it: told with it, and never instead of it.

use super::Failure;

impl Failure {
    /// Adds what went wrong afterwards because of this failure, as tidying up after it. It stays this
    /// failure; clones have what is attached too. One can be attached: a second hangs on the first.
    ///
    /// ```
    /// use ropewalk::Failure;
    ///
    /// let failure = Failure::from(std::fmt::Error).attach(Failure::msg("and no rollback"));
    /// assert!(failure.is::<std::fmt::Error>());
    /// assert_eq!(failure.attached().unwrap().to_string(), "and no rollback");
    /// ```
    #[must_use]
    pub fn attach(self, later: Failure) -> Failure {
        if let Err(later) = self.0.attached.set(later)
            && let Some(first) = self.attached()
        {
            // The clone shares what it is attached to.
            let _ = first.clone().attach(later);
        }
        self
    }

    /// What [`attach`](Failure::attach) added.
    pub fn attached(&self) -> Option<&Failure> {
        self.0.attached.get()
    }
}
