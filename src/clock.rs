//! Time and timers: what a reactor, a test clock and a simulated host have in common.
