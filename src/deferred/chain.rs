//! The waiting end: a value that will come, and the steps that are added to it.

use crate::deferred::IntoDeferred;
use crate::deferred::downstream::{Continuation, Input, Source, finish};
use crate::deferred::link::attach;
use crate::deferred::state::{State, run, taken};
use crate::deferred::trigger::{OnCancel, Trigger};
use crate::deferred::walk::{Cancel, cancel, drive};
use crate::failure::{Failure, Place, Result};
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::rc::Rc;

/// A value of type `T`, or a failure, that is here already or will come.
///
/// Each step consumes the Deferred and gives the next one; a step may return a plain `Result` or a
/// Deferred, which is waited for. A Deferred is a future as well. What dropping one means, and how the
/// two worlds meet, is told in [the guide](crate::guide::deferreds_and_futures).
///
/// ```
/// use ropewalk::Deferred;
/// use std::num::ParseIntError;
///
/// let (trigger, d) = Deferred::<String>::new();
/// d.add_callback(|text| Ok(text.trim().parse::<u32>()?))
///     .add_errback(|failure| {
///         failure.trap::<ParseIntError>()?;
///         Ok(0)
///     })
///     .add_callback(|n| Ok(println!("{n}")));
/// trigger.callback(" 42 ".into()).unwrap();
/// ```
#[doc(alias = "JoinHandle")]
#[doc(alias = "Promise")]
pub struct Deferred<T> {
    /// Dropped by the Drop of the Deferred, which then has nothing to do after its last call.
    pub(super) state: ManuallyDrop<State<T>>,
    /// Where the chain began, for the report of a failure that nobody handled.
    pub(super) made: Place,
}

impl<T: 'static> Deferred<T> {
    /// Makes the two ends of a value that will come.
    ///
    /// ```
    /// let (trigger, d) = ropewalk::Deferred::new();
    /// d.map(|n: i32| assert_eq!(n, 3));
    /// trigger.callback(3).unwrap();
    /// ```
    #[doc(alias = "oneshot")]
    #[track_caller]
    #[allow(clippy::new_ret_no_self)] // A Deferred without its Trigger would be of no use.
    #[inline]
    pub fn new() -> (Trigger<T>, Deferred<T>) {
        let made = Location::caller();
        let (trigger, source) = Trigger::rooted(made);
        (trigger, Deferred::of(source, made))
    }

    /// As [`new`](Deferred::new), with code that stops the work when somebody cancels.
    ///
    /// The canceller runs at most once and only while nothing was fired. It may fire the trigger with
    /// what there is; if it does not, the Deferred fails with [`Cancelled`](crate::deferred::Cancelled). It is
    /// given the trigger, and should not own a clone of it: the chain would wait for itself.
    ///
    /// ```
    /// use ropewalk::{Deferred, Trigger};
    ///
    /// let (_trigger, d) = Deferred::with_canceller(|trigger: &Trigger<&str>| {
    ///     trigger.callback("half of it").unwrap();
    /// });
    /// d.cancel();
    /// d.map(|text| assert_eq!(text, "half of it"));
    /// ```
    #[track_caller]
    pub fn with_canceller(
        canceller: impl FnOnce(&Trigger<T>) + 'static,
    ) -> (Trigger<T>, Deferred<T>) {
        Deferred::rooted(OnCancel::Tell(Box::new(canceller)), Location::caller())
    }

    /// Makes the two ends, with whatever hears of a cancellation.
    pub(super) fn rooted(on_cancel: OnCancel<T>, made: Place) -> (Trigger<T>, Deferred<T>) {
        let (trigger, source) = Trigger::rooted(made);
        trigger.on_cancel(on_cancel);
        (trigger, Deferred::of(source, made))
    }

    /// Adds a step for a value; a failure passes it by.
    ///
    /// ```
    /// use ropewalk::{fail, succeed};
    ///
    /// succeed("7").add_callback(|s| Ok(s.parse::<u32>()?)).map(|n| assert_eq!(n, 7));
    /// succeed(7).add_callback(|n| succeed(n + 1)).map(|n| assert_eq!(n, 8)); // a Deferred is waited for
    /// succeed(7).add_callback(|n| println!("{n}")); // nothing at all is fine too
    /// ```
    #[doc(alias = "addCallback")]
    #[doc(alias = "then")]
    #[track_caller]
    pub fn add_callback<R: IntoDeferred>(
        self,
        callback: impl FnOnce(T) -> R + 'static,
    ) -> Deferred<R::Output>
    where
        R::Output: 'static,
    {
        self.step(Location::caller(), |result| match result {
            Ok(value) => callback(value).into_deferred().into_state(),
            Err(failure) => State::Fired(Err(failure)),
        })
    }

    /// Adds a step for a failure; a value passes it by.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, fail};
    ///
    /// let d: Deferred<u32> = fail(Failure::msg("no number"));
    /// d.add_errback(|_failure| Ok(0)).map(|n| assert_eq!(n, 0));
    /// ```
    #[doc(alias = "addErrback")]
    #[doc(alias = "catch")]
    #[track_caller]
    pub fn add_errback<R: IntoDeferred<Output = T>>(
        self,
        errback: impl FnOnce(Failure) -> R + 'static,
    ) -> Deferred<T> {
        self.step(Location::caller(), |result| match result {
            Ok(value) => State::Fired(Ok(value)),
            Err(failure) => errback(failure).into_deferred().into_state(),
        })
    }

    /// Adds a step for a value and one for a failure; the errback does not hear of its own callback's
    /// failure.
    ///
    /// ```
    /// use ropewalk::{Failure, succeed};
    ///
    /// let d = succeed(7).add_callbacks(
    ///     |n| if n > 0 { Ok(n) } else { Err(Failure::msg("not above zero")) },
    ///     |_earlier_failure| Ok(0),
    /// );
    /// d.map(|n| assert_eq!(n, 7));
    /// ```
    #[doc(alias = "addCallbacks")]
    #[track_caller]
    pub fn add_callbacks<R, S>(
        self,
        callback: impl FnOnce(T) -> R + 'static,
        errback: impl FnOnce(Failure) -> S + 'static,
    ) -> Deferred<R::Output>
    where
        R: IntoDeferred,
        S: IntoDeferred<Output = R::Output>,
        R::Output: 'static,
    {
        self.step(Location::caller(), |result| match result {
            Ok(value) => callback(value).into_deferred().into_state(),
            Err(failure) => errback(failure).into_deferred().into_state(),
        })
    }

    /// Adds a step for whatever comes.
    ///
    /// ```
    /// use ropewalk::succeed;
    ///
    /// succeed(7).add_both(|result| println!("finished, and well: {}", result.is_ok()));
    /// ```
    #[doc(alias = "addBoth")]
    #[doc(alias = "finally")]
    #[track_caller]
    pub fn add_both<R: IntoDeferred>(
        self,
        both: impl FnOnce(Result<T>) -> R + 'static,
    ) -> Deferred<R::Output>
    where
        R::Output: 'static,
    {
        self.step(Location::caller(), |result| both(result).into_deferred().into_state())
    }

    /// Adds a step that turns a value into another and cannot fail.
    ///
    /// ```
    /// ropewalk::succeed("seven").map(str::len).map(|n| assert_eq!(n, 5));
    /// ```
    #[track_caller]
    pub fn map<U: 'static>(self, convert: impl FnOnce(T) -> U + 'static) -> Deferred<U> {
        self.step(Location::caller(), |result| State::Fired(result.map(convert)))
    }

    /// Asks that the value should come no more.
    ///
    /// What the chain waits for at this moment is cancelled: the canceller of the Deferred at its
    /// head, or of the one that a step returned. The failure ([`Cancelled`](crate::deferred::Cancelled), or what
    /// the canceller fires) then runs down the chain like any other. Nothing happens if the value is
    /// here, or if called from inside the step that is running.
    ///
    /// ```
    /// use ropewalk::deferred::Cancelled;
    /// use ropewalk::Deferred;
    ///
    /// let (_trigger, d) = Deferred::<()>::new();
    /// d.cancel();
    /// d.add_errback(|failure| assert!(failure.is::<Cancelled>()));
    /// ```
    #[doc(alias = "AbortHandle")]
    #[doc(alias = "CancellationToken")]
    #[doc(alias = "abort")]
    #[track_caller]
    pub fn cancel(&self) {
        if let State::Pending(source) | State::Awaited(source) = &*self.state {
            cancel(source.clone(), Location::caller());
        }
    }

    /// What will come from `source`, whose tail is open.
    #[inline]
    pub(crate) fn of(source: Rc<dyn Source<T>>, made: Place) -> Deferred<T> {
        Deferred::in_state(State::Pending(source), made)
    }

    /// What a cancellation of this Deferred walks up from, also when steps were added since.
    ///
    /// None if it has fired.
    pub(super) fn node(&self) -> Option<Rc<dyn Cancel>> {
        match &*self.state {
            State::Pending(source) | State::Awaited(source) if !source.tail().is_settled() => {
                Some(source.clone())
            }
            _fired => None,
        }
    }

    /// Has `sink` hear of the outcome, now if it is here.
    pub(super) fn hand_to(self, sink: Rc<dyn Input<T>>) {
        let made = self.made;
        let outcome = match self.into_state() {
            State::Fired(outcome) => outcome,
            State::Pending(source) | State::Awaited(source) => match source.tail().ask() {
                Some(outcome) => {
                    finish(source);
                    outcome
                }
                None => return source.tail().put(Continuation::Input(sink)),
            },
            State::Taken => Err(taken(made)),
        };
        sink.accept(outcome, 0).into_iter().for_each(drive);
    }

    /// Adds a step: runs it now if the result is here.
    #[inline]
    pub(super) fn step<U: 'static>(
        self,
        place: Place,
        step: impl FnOnce(Result<T>) -> State<U> + 'static,
    ) -> Deferred<U> {
        let made = self.made;
        let state = match self.into_state() {
            State::Fired(input) => run(input, step, place),
            State::Pending(source) | State::Awaited(source) => attach(source, step, place),
            State::Taken => State::Fired(Err(taken(place))),
        };
        Deferred::in_state(state, made)
    }
}

impl<T> Deferred<T> {
    /// 3. Moves the state out, for what comes after this Deferred.
    #[inline]
    pub(super) fn into_state(mut self) -> State<T> {
        let state = self.take_state();
        // Nothing is in it any more: the code that would drop it costs a tenth of adding a step.
        std::mem::forget(self);
        state
    }

    /// The result if it is here, or else the Deferred again.
    #[inline]
    pub(crate) fn into_result(self) -> Result<Result<T>, Deferred<T>> {
        let made = self.made;
        match self.into_state() {
            State::Fired(result) => Ok(result),
            state => Err(Deferred::in_state(state, made)),
        }
    }

    #[inline]
    pub(super) fn take_state(&mut self) -> State<T> {
        std::mem::replace(&mut self.state, State::Taken)
    }

    #[inline]
    fn in_state(state: State<T>, made: Place) -> Deferred<T> {
        Deferred { state: ManuallyDrop::new(state), made }
    }

    #[inline]
    pub(super) fn fired(result: Result<T>, made: Place) -> Deferred<T> {
        Deferred::in_state(State::Fired(result), made)
    }
}
