//! Chance, from the one door through which it comes.

use super::Reactor;

impl Reactor {
    /// A number between 0 and `u64::MAX`, all of them equally likely.
    ///
    /// Nobody can foresee it, but no key should be made of it. In a simulation it is the next that the
    /// seed draws, so that a run with the same seed has the same numbers: draw the seed of any generator
    /// of your own here.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// use ropewalk::simulation::Simulation;
    ///
    /// let draw = |seed| Simulation::new(seed).host("any").reactor().random();
    /// assert_eq!(draw(7), draw(7));
    /// assert_ne!(draw(7), draw(8));
    /// # }
    /// ```
    #[doc(alias = "entropy")]
    #[doc(alias = "rand")]
    pub fn random(&self) -> u64 {
        self.inner().driver.entropy()
    }

    /// So many bytes, as [`random`](Reactor::random) draws them: a name that is taken by nobody else.
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// let name: [u8; 16] = reactor.random_bytes();
    /// assert_ne!(name, reactor.random_bytes());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "secureRandom")]
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        for piece in bytes.chunks_mut(size_of::<u64>()) {
            piece.copy_from_slice(&self.random().to_le_bytes()[..piece.len()]);
        }
        bytes
    }
}
