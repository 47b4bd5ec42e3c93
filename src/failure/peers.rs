//! Faults of peers: counted, told to whom it concerns, and no report.
//!
//! # Theory
//! Whoever is reachable is scanned, and a line for each scan hides the one that matters. So what ends a
//! connection is told apart: what the peer did is counted here, everything else is reported.
//!
//! # Not here
//! Which failures are a peer's: who knows the connection decides, in `net/connection/faults.rs`.

use super::report::print;
use super::{NO_PLACE, Report, catch_panic, is_of_an_end};
#[cfg(doc)]
use crate::Failure;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

type Hook = Rc<dyn Fn(&Report<'_>)>;

thread_local! {
    /// Borrowed only to clone or replace the hook.
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Hears, on this thread and from now on, of every connection that ended by a fault of its peer.
///
/// That is one whose handshake, `data_received` or handler failed with an error that says that the
/// connection was lost ([`ConnectionLost`](crate::transport::ConnectionLost), also as the `io::Error` of a stream),
/// that the peer broke the rules of TLS or of a framing, or that was marked with [`Failure::of_peer`]; an
/// unexpected end of file is one too if the peer had ended its half. Without a hook these are counted
/// and no more.
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::simulation::Simulation;
/// use ropewalk::{Address, Failure, Protocol, Result, Transport};
/// use std::{cell::Cell, rc::Rc};
///
/// struct Deaf;
/// impl Protocol for Deaf {
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Err(Failure::msg("nobody was to speak").of_peer())
///     }
/// }
/// let told = Rc::new(Cell::new(0));
/// let count = told.clone();
/// ropewalk::on_peer_fault(move |report| {
///     assert_eq!(report.failure().to_string(), "nobody was to speak");
///     assert!(report.peer().is_some());
///     count.set(count.get() + 1);
/// });
/// let simulation = Simulation::new(1);
/// simulation.host("server").reactor().listen("0.0.0.0:80", |_: &Address| Deaf)?;
/// let opening = simulation.host("client").reactor().open("server:80");
/// simulation.run_until(async move { Ok(opening.await?.transport().write(b"hello")) })?;
/// simulation.run_until_idle()?;
/// assert_eq!((told.get(), ropewalk::peer_faults()), (1, 1));
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub fn on_peer_fault(hook: impl Fn(&Report<'_>) + 'static) {
    let former = HOOK.replace(Some(Rc::new(hook)));
    drop(former);
}

/// How many connections of this thread ended by a fault of their peer; see [`on_peer_fault`].
pub fn peer_faults() -> u64 {
    COUNT.get()
}

pub(crate) fn tell_peer_fault(report: &Report<'_>) {
    if is_of_an_end(report.failure()) {
        return;
    }
    // A thread that is ending counts no more.
    let _ = COUNT.try_with(|count| count.set(count.get().saturating_add(1)));
    let Some(hook) = HOOK.try_with(|hook| hook.borrow().clone()).ok().flatten() else { return };
    if let Err(failure) = catch_panic(NO_PLACE, || hook(report)) {
        print(&format!("peer fault hook: {failure}; it was told: {report}"));
    }
}
