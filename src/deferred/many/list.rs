//! Waiting for all Deferreds of a list.

use crate::deferred::Deferred;
use crate::deferred::many::{FirstError, Manners, Many, Verdict};
use crate::deferred::trigger::OnCancel;
use crate::deferred::walk::Nodes;
use crate::failure::{Failure, Place, Result};
use std::panic::Location;

/// Several Deferreds that are waited for together, and when the waiting ends.
///
/// Cancelling what it gives cancels each of them; their outcomes decide what becomes of it.
///
/// ```
/// use futures_util::FutureExt;
/// use ropewalk::deferred::DeferredList;
/// use ropewalk::{Failure, fail, succeed};
///
/// let results = DeferredList::new([succeed(1), fail(Failure::msg("no two"))]).results();
/// let results = results.now_or_never().unwrap().unwrap();
/// assert_eq!(*results[0].as_ref().unwrap(), 1);
/// assert_eq!(results[1].as_ref().unwrap_err().to_string(), "no two");
/// ```
#[doc(alias = "JoinSet")]
#[doc(alias = "join_all")]
#[derive(Debug)]
#[must_use = "say what to wait for: results(), gather(), fire_on_one_callback()"]
pub struct DeferredList<T> {
    deferreds: Vec<Deferred<T>>,
    fire_on_one_errback: bool,
    manners: Manners,
    made: Place,
}

impl<T: 'static> DeferredList<T> {
    /// Takes the Deferreds.
    ///
    /// ```
    /// use ropewalk::deferred::DeferredList;
    /// use ropewalk::succeed;
    ///
    /// DeferredList::new([succeed(1), succeed(2)]).results().map(|r| assert_eq!(r.len(), 2));
    /// ```
    #[track_caller]
    pub fn new(deferreds: impl IntoIterator<Item = Deferred<T>>) -> DeferredList<T> {
        let deferreds = deferreds.into_iter().collect();
        let made = Location::caller();
        DeferredList { deferreds, fire_on_one_errback: false, manners: Manners::default(), made }
    }

    /// Ends the waiting at the first failure, with [`FirstError`].
    ///
    /// ```
    /// use ropewalk::deferred::{DeferredList, FirstError};
    /// use ropewalk::{Deferred, Failure};
    ///
    /// let (trigger, one) = Deferred::<()>::new();
    /// let (_pending, two) = Deferred::<()>::new();
    /// let all = DeferredList::new([one, two]).fire_on_one_errback().results();
    /// trigger.errback(Failure::msg("no")).unwrap();
    /// all.add_errback(|failure| {
    ///     assert_eq!(failure.trap::<FirstError>()?.index(), 0);
    ///     Ok(vec![])
    /// });
    /// ```
    #[doc(alias = "fireOnOneErrback")]
    pub fn fire_on_one_errback(mut self) -> DeferredList<T> {
        self.fire_on_one_errback = true;
        self
    }

    /// Drops failures that come after the waiting has ended, instead of reporting them.
    ///
    /// ```
    /// use ropewalk::deferred::DeferredList;
    /// use ropewalk::{Failure, fail, succeed};
    ///
    /// let list = [succeed(1), fail(Failure::msg("nobody will miss it"))];
    /// DeferredList::new(list).consume_errors().fire_on_one_callback().add_callback(|_| ());
    /// ```
    #[doc(alias = "consumeErrors")]
    pub fn consume_errors(mut self) -> DeferredList<T> {
        self.manners.consume_errors = true;
        self
    }

    /// Cancels those that have not come when the waiting ends early. Twisted leaves them running.
    ///
    /// That they fail with [`Cancelled`](crate::deferred::Cancelled) then is not reported.
    ///
    /// ```
    /// use ropewalk::deferred::DeferredList;
    /// use ropewalk::{Deferred, Failure, fail};
    ///
    /// let (_trigger, work) = Deferred::<()>::with_canceller(|_| println!("no longer wanted"));
    /// let all = [work, fail(Failure::msg("no"))];
    /// DeferredList::new(all).cancel_others().gather().add_errback(|_| Ok(vec![]));
    /// ```
    pub fn cancel_others(mut self) -> DeferredList<T> {
        self.manners.cancel_others = true;
        self
    }

    /// Waits for all and gives their results in order.
    ///
    /// ```
    /// use ropewalk::deferred::DeferredList;
    /// use ropewalk::succeed;
    ///
    /// let list = DeferredList::new([succeed(1), succeed(2)]).results();
    /// list.map(|results| assert!(results.iter().all(|result| result.is_ok())));
    /// ```
    pub fn results(self) -> Deferred<Vec<Result<T>>> {
        let results = Results::new(&self);
        self.wait(results)
    }

    /// Waits for all and gives their values in order; the first failure ends it with [`FirstError`].
    ///
    /// ```
    /// use ropewalk::deferred::DeferredList;
    /// use ropewalk::succeed;
    ///
    /// DeferredList::new([succeed(1), succeed(2)]).gather().map(|n| assert_eq!(n, [1, 2]));
    /// ```
    pub fn gather(self) -> Deferred<Vec<T>> {
        let results = self.fire_on_one_errback().results();
        results.add_callback(|results| results.into_iter().collect::<Result<Vec<T>>>())
    }

    /// Ends the waiting at the first value; if there is none, gives all the failures.
    ///
    /// Of no Deferreds at all, it gives no failures at once (Twisted's never fires).
    ///
    /// ```
    /// use ropewalk::deferred::{DeferredList, OneOrAll};
    /// use ropewalk::{Deferred, succeed};
    ///
    /// let (_trigger, pending) = Deferred::new();
    /// let one = DeferredList::new([pending, succeed("two")]).fire_on_one_callback();
    /// one.map(|one| assert!(matches!(one, OneOrAll::One(1, "two"))));
    /// ```
    #[doc(alias = "fireOnOneCallback")]
    pub fn fire_on_one_callback(self) -> Deferred<OneOrAll<T>> {
        let results = Results::new(&self);
        self.wait(First(results))
    }

    fn wait<V: Verdict<T> + 'static>(self, verdict: V) -> Deferred<V::Output> {
        let (made, nodes) = (self.made, Nodes::of(self.deferreds.iter().map(Deferred::node)));
        let forward = OnCancel::Forward(nodes.clone(), made);
        let (trigger, all) = Deferred::rooted(forward, made);
        Many::new(verdict, trigger, nodes, self.manners, made).wait_for(self.deferreds);
        all
    }
}

/// Waits for all values, in order; the first failure ends it with [`FirstError`].
///
/// The others run on, and their failures are reported; [`DeferredList::gather`] can be told to cancel
/// them, or to drop their failures.
///
/// ```
/// use ropewalk::{gather_results, succeed};
///
/// gather_results((1..4).map(succeed)).map(|values| assert_eq!(values, [1, 2, 3]));
/// ```
#[doc(alias = "JoinAll")]
#[doc(alias = "try_join")]
#[doc(alias = "join")]
#[doc(alias = "try_join_all")]
#[doc(alias = "gatherResults")]
#[track_caller]
pub fn gather_results<T: 'static>(
    deferreds: impl IntoIterator<Item = Deferred<T>>,
) -> Deferred<Vec<T>> {
    DeferredList::new(deferreds).gather()
}

/// What [`DeferredList::fire_on_one_callback`] gives.
///
/// ```
/// use ropewalk::deferred::{DeferredList, OneOrAll};
/// use ropewalk::{Failure, fail};
///
/// let one = DeferredList::new([fail::<u32>(Failure::msg("no"))]).fire_on_one_callback();
/// one.map(|one| assert!(matches!(one, OneOrAll::AllFailed(failures) if failures.len() == 1)));
/// ```
#[derive(Debug)]
pub enum OneOrAll<T> {
    /// The first value, and the place in the list of the Deferred that gave it.
    One(usize, T),
    /// There was none; these are the failures in order.
    AllFailed(Vec<Failure>),
}

/// Keeps the results until all are there.
struct Results<T> {
    came: Vec<Option<Result<T>>>,
    /// How many of `came` are None.
    missing: usize,
    fire_on_one_errback: bool,
}

impl<T> Results<T> {
    fn new(list: &DeferredList<T>) -> Results<T> {
        let missing = list.deferreds.len();
        let came = (0..missing).map(|_| None).collect();
        Results { came, missing, fire_on_one_errback: list.fire_on_one_errback }
    }
}

impl<T: 'static> Verdict<T> for Results<T> {
    type Output = Vec<Result<T>>;

    fn hear(&mut self, index: usize, outcome: Result<T>) -> Option<Result<Self::Output>> {
        match outcome {
            Err(failure) if self.fire_on_one_errback => Some(Err(first_error(index, failure))),
            outcome => {
                self.came[index] = Some(outcome);
                self.missing -= 1;
                (self.missing == 0).then(|| self.of_nobody())
            }
        }
    }

    fn of_nobody(&mut self) -> Result<Self::Output> {
        Ok(self.came.drain(..).flatten().collect())
    }
}

/// Waits for one value only.
struct First<T>(Results<T>);

impl<T: 'static> Verdict<T> for First<T> {
    type Output = OneOrAll<T>;

    fn hear(&mut self, index: usize, outcome: Result<T>) -> Option<Result<Self::Output>> {
        match outcome {
            Ok(value) => Some(Ok(OneOrAll::One(index, value))),
            failed => self.0.hear(index, failed).map(|results| results.map(all_failed)),
        }
    }

    fn of_nobody(&mut self) -> Result<Self::Output> {
        Ok(OneOrAll::AllFailed(Vec::new()))
    }
}

fn all_failed<T>(results: Vec<Result<T>>) -> OneOrAll<T> {
    OneOrAll::AllFailed(results.into_iter().filter_map(Result::err).collect())
}

/// It arose where the one failure arose.
fn first_error(index: usize, failure: Failure) -> Failure {
    Failure::at(failure.location(), FirstError { index, failure })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deferred::Cancelled;
    use crate::{Trigger, fail, on_report, succeed};
    use futures_util::FutureExt;
    use std::cell::RefCell;
    use std::rc::Rc;

    fn reports() -> Rc<RefCell<Vec<String>>> {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let sink = heard.clone();
        on_report(move |report| sink.borrow_mut().push(report.failure().to_string()));
        heard
    }

    fn no<T>() -> Deferred<T> {
        fail(Failure::msg("no"))
    }

    #[test]
    fn results_come_in_the_order_of_the_list() {
        let (one, two) = (Deferred::new(), Deferred::new());
        let all = DeferredList::new([one.1, two.1]).results();
        two.0.callback(2).unwrap();
        one.0.callback(1).unwrap();
        let results = all.now_or_never().unwrap().unwrap();
        assert_eq!(results.into_iter().flatten().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn an_empty_list_fires_at_once_in_every_way() {
        let list = || DeferredList::<u8>::new([]);
        assert!(list().results().now_or_never().unwrap().unwrap().is_empty());
        assert!(list().gather().now_or_never().unwrap().unwrap().is_empty());
        let one = list().fire_on_one_callback().now_or_never().unwrap().unwrap();
        assert!(matches!(one, OneOrAll::AllFailed(failures) if failures.is_empty()));
    }

    #[test]
    fn a_failure_after_the_end_is_reported_unless_errors_are_consumed() {
        let reports = reports();
        let list = || DeferredList::new([succeed(1), no()]);
        drop(list().consume_errors().fire_on_one_callback());
        assert!(reports.borrow().is_empty());
        drop(list().fire_on_one_callback());
        assert_eq!(*reports.borrow(), ["no"]);
    }

    #[test]
    fn where_no_value_comes_all_failures_do_in_the_order_of_the_list() {
        let (trigger, pending) = Deferred::<u8>::new();
        let mut one = DeferredList::new([pending, no()]).consume_errors().fire_on_one_callback();
        assert!((&mut one).now_or_never().is_none(), "a value may come yet");
        trigger.errback(Failure::msg("late")).unwrap();
        let OneOrAll::AllFailed(failures) = one.now_or_never().unwrap().unwrap() else {
            panic!("there is no value");
        };
        assert_eq!(failures.iter().map(Failure::to_string).collect::<Vec<_>>(), ["late", "no"]);
    }

    #[test]
    fn the_first_failure_says_which_and_where() {
        let failure = gather_results([succeed(1), no()]).now_or_never().unwrap().unwrap_err();
        let first = failure.check::<FirstError>().unwrap();
        assert_eq!(first.index(), 1);
        assert_eq!(failure.location(), first.failure().location());
    }

    #[test]
    fn the_others_are_cancelled_only_if_asked() {
        let cancelled = Rc::new(RefCell::new(0));
        let pending = || {
            let count = cancelled.clone();
            let canceller = move |_: &Trigger<u8>| *count.borrow_mut() += 1;
            Deferred::with_canceller(canceller)
        };
        let (one, two, reports) = (pending(), pending(), reports());
        drop(DeferredList::new([one.1, no()]).gather().add_errback(|_| Ok(vec![])));
        assert_eq!(*cancelled.borrow(), 0);
        let list = DeferredList::new([two.1, no()]).cancel_others();
        drop(list.gather().add_errback(|_| Ok(vec![])));
        assert_eq!((*cancelled.borrow(), reports.borrow().len()), (1, 0));
    }

    #[test]
    fn cancelling_the_list_lets_its_members_decide() {
        let (_trigger, stubborn) = Deferred::<u8>::new();
        let (inner_trigger, inner) = Deferred::<u8>::new();
        let all = DeferredList::new([stubborn.add_errback(move |_| inner)]).results();
        all.cancel();
        let mut all = all;
        assert!((&mut all).now_or_never().is_none());
        inner_trigger.callback(7).unwrap();
        assert_eq!(*all.now_or_never().unwrap().unwrap()[0].as_ref().unwrap(), 7);
    }

    #[test]
    fn cancelling_a_gathering_is_the_failure_of_its_first_member() {
        let (_trigger, d) = Deferred::<u8>::new();
        let all = gather_results([d]);
        all.cancel();
        let failure = all.now_or_never().unwrap().unwrap_err();
        assert!(failure.check::<FirstError>().unwrap().failure().is::<Cancelled>());
    }
}
