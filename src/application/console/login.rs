// Who may use the console.
//
// # Invariants
// * An address has at most `FAILURES` times kept, and there are at most `ADDRESSES` of them: when that is
//   not enough, nobody new is let in until some are over.

use crate::Address;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// So many wrong passwords of one address
const FAILURES: usize = 10;
/// within so long, and it is refused.
const WITHIN: Duration = Duration::from_secs(60);
/// Of so many addresses that is kept.
const ADDRESSES: usize = 1000;

#[derive(Default)]
pub(super) struct Logins {
    password: Option<String>,
    /// When each address failed. Borrowed to look and to change.
    failed: RefCell<BTreeMap<String, Vec<Instant>>>,
}

impl Logins {
    pub(super) fn set_password(&mut self, password: String) {
        self.password = Some(password);
    }

    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether this address may try.
    pub(super) fn may_try(&self, peer: &Address, now: Instant) -> bool {
        let mut failed = self.failed.borrow_mut();
        failed.retain(|_, times| {
            times.retain(|time| now.saturating_duration_since(*time) < WITHIN);
            !times.is_empty()
        });
        match failed.get(&name(peer)) {
            Some(times) => times.len() < FAILURES,
            None => failed.len() < ADDRESSES,
        }
    }

    /// Whether that is the password; a wrong one is kept against the address.
    pub(super) fn try_password(&self, peer: &Address, given: &str, now: Instant) -> bool {
        let Some(password) = &self.password else { return true };
        let is_right = is_same(password.as_bytes(), given.as_bytes());
        if !is_right {
            self.failed.borrow_mut().entry(name(peer)).or_default().push(now);
        }
        is_right
    }
}

/// Without its port: that is another one each time.
fn name(peer: &Address) -> String {
    peer.ip().map_or_else(|| "local".to_owned(), |ip| ip.to_canonical().to_string())
}

/// Takes as long wherever they differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differs = a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b));
    std::hint::black_box(differs) == 0 && a.len() == b.len()
}
