//! Waiting for the first value of several Deferreds.

use crate::deferred::Deferred;
use crate::deferred::many::{FailureGroup, Manners, Many, Verdict};
use crate::deferred::trigger::OnCancel;
use crate::deferred::walk::Nodes;
use crate::failure::{Failure, Place, Result};
use std::panic::Location;

/// The first value and its index; the other Deferreds are cancelled.
///
/// If all fail, so does the race, with a [`FailureGroup`]. Cancelling the race cancels all of them,
/// which then usually fail all: the group again. Of no Deferreds at all, nobody can win, and the race
/// fails at once (Twisted's never fires).
///
/// ```
/// use ropewalk::{Deferred, race};
///
/// let (_slow, one) = Deferred::with_canceller(|_| println!("too late"));
/// let (fast, two) = Deferred::new();
/// race([one, two]).map(|winner| assert_eq!(winner, (1, "value")));
/// fast.callback("value").unwrap();
/// ```
#[doc(alias = "select")]
#[doc(alias = "select_ok")]
#[track_caller]
pub fn race<T: 'static>(deferreds: impl IntoIterator<Item = Deferred<T>>) -> Deferred<(usize, T)> {
    let made = Location::caller();
    let deferreds: Vec<_> = deferreds.into_iter().collect();
    let nodes = Nodes::of(deferreds.iter().map(Deferred::node));
    let canceller = OnCancel::ForwardOnce(nodes.clone(), made);
    let (trigger, winner) = Deferred::rooted(canceller, made);
    let failures = deferreds.iter().map(|_| None).collect();
    let manners = Manners { cancel_others: true, consume_errors: true };
    Many::new(Winner { failures, made }, trigger, nodes, manners, made).wait_for(deferreds);
    winner
}

/// Keeps the failures until there is a winner, or nobody left.
struct Winner {
    failures: Vec<Option<Failure>>,
    made: Place,
}

impl<T: 'static> Verdict<T> for Winner {
    type Output = (usize, T);

    fn hear(&mut self, index: usize, outcome: Result<T>) -> Option<Result<(usize, T)>> {
        match outcome {
            Ok(value) => Some(Ok((index, value))),
            Err(failure) => {
                self.failures[index] = Some(failure);
                let all = self.failures.iter().all(Option::is_some);
                all.then(|| Verdict::<T>::of_nobody(self))
            }
        }
    }

    fn of_nobody(&mut self) -> Result<(usize, T)> {
        let failures = self.failures.drain(..).flatten().collect();
        Err(Failure::at(self.made, FailureGroup { failures }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deferred::Cancelled;
    use crate::{Trigger, succeed};
    use futures_util::FutureExt;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn the_losers_are_cancelled() {
        let cancelled = Rc::new(Cell::new(false));
        let flag = cancelled.clone();
        let (_trigger, loser) = Deferred::with_canceller(move |_: &Trigger<u8>| flag.set(true));
        let winner = race([loser, succeed(7)]);
        assert_eq!(winner.now_or_never().unwrap().unwrap(), (1, 7));
        assert!(cancelled.get());
    }

    #[test]
    fn what_the_losers_fail_with_is_nobodys() {
        let reports = Rc::new(Cell::new(0));
        let count = reports.clone();
        crate::on_report(move |_| count.set(count.get() + 1));
        let (_trigger, loser) = Deferred::<u8>::new();
        let winner = race([loser, succeed(7), crate::fail(Failure::msg("late"))]);
        assert_eq!(winner.now_or_never().unwrap().unwrap(), (1, 7));
        assert_eq!(reports.get(), 0);
    }

    #[test]
    fn a_group_tells_the_groups_in_it() {
        let no = |text: &str| crate::fail::<u8>(Failure::msg(text));
        let pair = || race([no("one"), no("two")]).map(|(_, n)| n);
        let empty = race([]).map(|(_, n): (usize, u8)| n);
        let failure = race([pair(), empty, no("three")]).now_or_never().unwrap().unwrap_err();
        let text = "all failed: all failed: one; two; nobody raced; three";
        assert_eq!(failure.to_string(), text);
    }

    #[test]
    fn nobody_wins_an_empty_race() {
        let failure = race::<u8>([]).now_or_never().unwrap().unwrap_err();
        assert!(failure.check::<FailureGroup>().unwrap().failures().is_empty());
    }

    #[test]
    fn a_cancelled_race_fails_with_the_failures_of_all() {
        let ends = [(); 2].map(|()| Deferred::<u8>::new());
        let (_triggers, deferreds): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        let lost = race(deferreds);
        lost.cancel();
        let failure = lost.now_or_never().unwrap().unwrap_err();
        let failures = failure.check::<FailureGroup>().unwrap().failures();
        assert!(failures.len() == 2 && failures.iter().all(|failure| failure.is::<Cancelled>()));
    }
}
