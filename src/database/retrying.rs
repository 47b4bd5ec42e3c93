//! An interaction that others were in the way of, once more.

use super::call::has;
use super::contract::Database;
use super::shared::{Accepted, Shared};
use super::transaction::Transaction;
use crate::{Deferred, Failure, Result};
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The first wait is about this, each further one twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Tries at most so often; `accepted` has the pool wait for the whole, also between two attempts.
#[track_caller]
pub(super) fn run<D, T, F>(
    shared: &Rc<Shared<D>>,
    accepted: Accepted<D>,
    attempts: usize,
    place: &'static Location<'static>,
    interaction: F,
) -> Deferred<T>
where
    D: Database,
    T: Send + 'static,
    F: FnMut(&mut Transaction<'_, D>) -> Result<T> + Send + 'static,
{
    let (reactor, database) = (shared.reactor.clone(), shared.database.clone());
    // One attempt has it at a time: the lock is there to move it from thread to thread and back.
    let interaction = Arc::new(Mutex::new(interaction));
    let may_succeed = move |failure: &Failure| {
        has::<D>(failure, |error| database.is_serialization_failure(error))
    };
    shared.reactor.spawn(async move {
        let mut attempt = 1;
        loop {
            let attempted = interaction.clone();
            let call = accepted.clone().call(true, place, move |transaction| {
                (attempted.lock().unwrap_or_else(PoisonError::into_inner))(transaction)
            });
            match call.await {
                Err(failure) if attempt < attempts && may_succeed(&failure) => {}
                result => return result,
            }
            reactor.sleep(wait_after(attempt, reactor.random())).await;
            attempt += 1;
        }
    })
}

/// Half of what the attempt's number asks for, and of the other half a share by chance: those who were in
/// each other's way shall not meet again.
fn wait_after(attempt: usize, chance: u64) -> Duration {
    let doubled = u32::try_from(attempt - 1).ok().and_then(|n| 2_u32.checked_pow(n));
    let wait = FIRST_WAIT.saturating_mul(doubled.unwrap_or(u32::MAX)).min(LONGEST_WAIT);
    wait / 2 + (wait / 2).mul_f64(chance as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_second_and_differ_by_chance() {
        let longest = [1, 2, 3, 7, 8, 40, usize::MAX].map(|n| wait_after(n, u64::MAX).as_millis());
        assert_eq!(longest, [10, 20, 40, 640, 1000, 1000, 1000]);
        assert_eq!(wait_after(1, 0).as_millis(), 5);
    }
}
