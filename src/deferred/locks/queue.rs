//! Handing values from those who have them to those who wait for them.

use super::Waiters;
use crate::deferred::trampoline::after_drop;
use crate::deferred::{Deferred, fail, succeed};
use crate::failure::{Failure, plain_error};
use futures_core::{FusedStream, Stream};
use futures_util::FutureExt;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A line of values, or of those who wait for one.
///
/// Each clone is the same queue. It is a [`Stream`] of its values as well, which ends when the queue was
/// closed and is empty.
///
/// ```
/// use futures_util::{FutureExt, StreamExt};
/// use ropewalk::deferred::DeferredQueue;
///
/// let queue = DeferredQueue::new();
/// queue.get().map(|word| println!("got {word}")); // waits
/// queue.put("a value")?; // prints
/// queue.put("another")?;
/// queue.close();
/// assert_eq!(queue.collect::<Vec<_>>().now_or_never().unwrap(), ["another"]);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "Sender")]
#[doc(alias = "Receiver")]
#[doc(alias = "unbounded_channel")]
#[doc(alias = "Notify")]
#[doc(alias = "mpsc")]
#[doc(alias = "channel")]
pub struct DeferredQueue<T: 'static> {
    line: Rc<Line<T>>,
    /// What this clone waits for as a stream.
    next: Option<Deferred<T>>,
}

struct Line<T: 'static> {
    /// Borrowed for one change; nothing is fired or dropped meanwhile.
    store: RefCell<Store<T>>,
    getters: Rc<Waiters<T>>,
}

struct Store<T> {
    /// Empty while anybody waits.
    values: VecDeque<T>,
    /// So many values are kept at most.
    size: Option<usize>,
    /// So many may wait at most.
    backlog: Option<usize>,
    is_closed: bool,
}

impl<T: 'static> DeferredQueue<T> {
    /// A queue without limits.
    ///
    /// ```
    /// assert!(ropewalk::deferred::DeferredQueue::<u8>::new().is_empty());
    /// ```
    pub fn new() -> DeferredQueue<T> {
        let store = Store { values: VecDeque::new(), size: None, backlog: None, is_closed: false };
        DeferredQueue::of(Rc::new(Line { store: RefCell::new(store), getters: Waiters::new() }))
    }

    fn of(line: Rc<Line<T>>) -> DeferredQueue<T> {
        DeferredQueue { line, next: None }
    }

    /// Keeps at most so many values; of size 0, a value needs somebody who waits for it.
    ///
    /// ```
    /// let queue = ropewalk::deferred::DeferredQueue::new().with_size(1);
    /// queue.put(1).unwrap();
    /// assert_eq!(queue.put(2).unwrap_err().0, 2); // handed back
    /// ```
    pub fn with_size(self, size: usize) -> DeferredQueue<T> {
        self.line.store.borrow_mut().size = Some(size);
        self
    }

    /// Lets at most so many wait.
    ///
    /// ```
    /// use futures_util::FutureExt;
    /// use ropewalk::deferred::{DeferredQueue, QueueUnderflow};
    ///
    /// let queue = DeferredQueue::<u32>::new().with_backlog(1);
    /// let _waits = queue.get();
    /// assert!(queue.get().now_or_never().unwrap().unwrap_err().is::<QueueUnderflow>());
    /// ```
    pub fn with_backlog(self, backlog: usize) -> DeferredQueue<T> {
        self.line.store.borrow_mut().backlog = Some(backlog);
        self
    }

    /// Gives the value to who waits longest, before this returns, or keeps it.
    ///
    /// Hands it back if there is no room, or if the queue was closed.
    ///
    /// ```
    /// let queue = ropewalk::deferred::DeferredQueue::new();
    /// queue.put("first").unwrap();
    /// queue.get().map(|word| assert_eq!(word, "first"));
    /// ```
    pub fn put(&self, value: T) -> Result<(), QueueOverflow<T>> {
        if let Some(getter) = self.line.getters.next() {
            // It has not fired: cancelling it would have taken it out of the line.
            let _ = getter.callback(value);
            return Ok(());
        }
        let mut store = self.line.store.borrow_mut();
        if store.is_closed || store.size.is_some_and(|size| store.values.len() >= size) {
            return Err(QueueOverflow(value));
        }
        store.values.push_back(value);
        Ok(())
    }

    /// Fires with the oldest value, or with the next to come; cancelling leaves the line.
    ///
    /// Fails with [`QueueUnderflow`] if too many wait already, and with [`QueueClosed`] if the queue was
    /// closed and is empty.
    ///
    /// ```
    /// let queue = ropewalk::deferred::DeferredQueue::<u32>::new();
    /// queue.get().map(|n| assert_eq!(n, 7));
    /// queue.put(7).unwrap();
    /// ```
    #[track_caller]
    pub fn get(&self) -> Deferred<T> {
        match self.try_get() {
            Some(value) => succeed(value),
            None if self.is_closed() => fail(QueueClosed),
            None if self.has_full_backlog() => fail(QueueUnderflow),
            None => self.line.getters.wait(),
        }
    }

    fn has_full_backlog(&self) -> bool {
        let backlog = self.line.store.borrow().backlog;
        backlog.is_some_and(|backlog| self.waiting() >= backlog)
    }

    /// The oldest value, if there is one.
    ///
    /// ```
    /// let queue = ropewalk::deferred::DeferredQueue::new();
    /// assert_eq!(queue.try_get(), None);
    /// queue.put(7)?;
    /// assert_eq!(queue.try_get(), Some(7));
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "try_recv")]
    pub fn try_get(&self) -> Option<T> {
        self.line.store.borrow_mut().values.pop_front()
    }

    /// Takes no more values; those that are there can be got.
    ///
    /// Whoever waits is told before this returns: with [`QueueClosed`], or as a stream by its end.
    ///
    /// ```
    /// use ropewalk::deferred::{DeferredQueue, QueueClosed};
    ///
    /// let queue = DeferredQueue::<u32>::new();
    /// queue.get().add_errback(|failure| {
    ///     failure.trap::<QueueClosed>()?;
    ///     Ok(0)
    /// });
    /// queue.close();
    /// assert_eq!(queue.put(7).unwrap_err().0, 7); // handed back
    /// ```
    pub fn close(&self) {
        self.line.store.borrow_mut().is_closed = true;
        while let Some(getter) = self.line.getters.next() {
            // It has not fired: cancelling it would have taken it out of the line.
            let _ = getter.errback(QueueClosed);
        }
    }

    /// Whether it was closed.
    ///
    /// ```
    /// assert!(!ropewalk::deferred::DeferredQueue::<u8>::new().is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.line.store.borrow().is_closed
    }

    /// How many values there are.
    ///
    /// ```
    /// let queue = ropewalk::deferred::DeferredQueue::new();
    /// queue.put(1).unwrap();
    /// assert_eq!(queue.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.line.store.borrow().values.len()
    }

    /// Whether there is no value: who asks next waits, or fails if the queue was closed.
    ///
    /// ```
    /// assert!(ropewalk::deferred::DeferredQueue::<u8>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait for a value.
    ///
    /// ```
    /// let queue = ropewalk::deferred::DeferredQueue::<u8>::new();
    /// let _d = queue.get();
    /// assert_eq!(queue.waiting(), 1);
    /// ```
    pub fn waiting(&self) -> usize {
        self.line.getters.len()
    }
}

impl<T> Clone for DeferredQueue<T> {
    fn clone(&self) -> DeferredQueue<T> {
        DeferredQueue::of(self.line.clone())
    }
}

/// The values, until the queue was closed and is empty. How many may wait does not concern a stream.
impl<T: 'static> Stream for DeferredQueue<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.next.is_none() {
            if let Some(value) = self.try_get() {
                return Poll::Ready(Some(value));
            }
            if self.is_closed() {
                return Poll::Ready(None);
            }
        }
        let this = &mut *self;
        let next = this.next.get_or_insert_with(|| this.line.getters.wait());
        let value = ready!(next.poll_unpin(context));
        this.next = None;
        // It fails only by being closed.
        Poll::Ready(value.ok())
    }
}

impl<T: 'static> FusedStream for DeferredQueue<T> {
    fn is_terminated(&self) -> bool {
        self.next.is_none() && self.is_closed() && self.is_empty()
    }
}

/// A value that came for the stream, and that nobody asked for any more, is the next one's.
impl<T> Drop for DeferredQueue<T> {
    fn drop(&mut self) {
        let Some(Ok(value)) = self.next.take().and_then(FutureExt::now_or_never) else { return };
        match self.line.getters.next() {
            // Not from inside this drop, if it is caused by another. It has not fired: cancelling it would
            // have taken it out of the line.
            Some(getter) => after_drop(move || {
                let _ = getter.callback(value);
            }),
            None => self.line.store.borrow_mut().values.push_front(value),
        }
    }
}

impl<T: 'static> Default for DeferredQueue<T> {
    fn default() -> DeferredQueue<T> {
        DeferredQueue::new()
    }
}

impl<T> fmt::Debug for DeferredQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.line.store.borrow().values.len();
        f.debug_struct("DeferredQueue").field("len", &len).finish_non_exhaustive()
    }
}

/// A queue has no room for this value, or was closed.
///
/// Any value will do for `?`, also one that may not go to other threads, as a failure may: the failure
/// is a [`QueueFull`], without the value.
///
/// ```
/// use ropewalk::deferred::{DeferredQueue, QueueFull, QueueOverflow};
/// use ropewalk::Result;
/// use std::rc::Rc;
///
/// assert_eq!(DeferredQueue::new().with_size(0).put(7), Err(QueueOverflow(7)));
/// fn put(queue: &DeferredQueue<Rc<u32>>) -> Result {
///     Ok(queue.put(Rc::new(7))?)
/// }
/// assert!(put(&DeferredQueue::new().with_size(0)).unwrap_err().is::<QueueFull>());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueOverflow<T>(
    /// The value that was to be put.
    pub T,
);

impl<T> fmt::Debug for QueueOverflow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueOverflow(..)")
    }
}

impl<T> fmt::Display for QueueOverflow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&QueueFull, f)
    }
}

// Not an error itself: a failure could be made of it only where the value is Send.
impl<T> From<QueueOverflow<T>> for Failure {
    #[track_caller]
    fn from(_overflow: QueueOverflow<T>) -> Failure {
        QueueFull.into()
    }
}

impl<T> From<QueueOverflow<T>> for Box<dyn Error> {
    fn from(_overflow: QueueOverflow<T>) -> Self {
        QueueFull.into()
    }
}

impl<T> From<QueueOverflow<T>> for Box<dyn Error + Send + Sync> {
    fn from(_overflow: QueueOverflow<T>) -> Self {
        QueueFull.into()
    }
}

plain_error! {
    /// What a [`QueueOverflow`] is as a failure.
    ///
    /// ```
    /// use ropewalk::deferred::{QueueFull, QueueOverflow};
    /// use ropewalk::Failure;
    ///
    /// assert!(Failure::from(QueueOverflow("a value")).is::<QueueFull>());
    /// ```
    QueueFull, "the queue is full, or closed"
}

plain_error! {
    /// A queue was closed, and has no more values.
    ///
    /// ```
    /// use futures_util::FutureExt;
    /// use ropewalk::deferred::{DeferredQueue, QueueClosed};
    ///
    /// let queue = DeferredQueue::<u32>::new();
    /// queue.close();
    /// assert!(queue.get().now_or_never().unwrap().unwrap_err().is::<QueueClosed>());
    /// ```
    QueueClosed, "the queue is closed"
}

/// Too many wait for a value of this queue already.
///
/// ```
/// let failure = ropewalk::Failure::from(ropewalk::deferred::QueueUnderflow);
/// assert_eq!(failure.to_string(), "too many wait for the queue");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueUnderflow;

impl fmt::Display for QueueUnderflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many wait for the queue")
    }
}

impl Error for QueueUnderflow {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;
    use crate::deferred::{Cancelled, NeverFired};
    use futures_util::StreamExt;

    #[test]
    fn values_and_getters_meet_in_order() {
        let queue = DeferredQueue::new();
        let (one, two) = (queue.get(), queue.get());
        (1..=4).for_each(|n| queue.put(n).unwrap());
        assert_eq!(one.now_or_never().unwrap().unwrap(), 1);
        assert_eq!(two.now_or_never().unwrap().unwrap(), 2);
        assert_eq!(queue.get().now_or_never().unwrap().unwrap(), 3);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_stream_has_ended_only_when_it_is_closed_and_nothing_is_on_its_way() {
        use futures_util::stream::FusedStream;
        let mut queue = DeferredQueue::new();
        assert!(!queue.is_terminated());
        // It asks, and is answered before it looks again.
        assert!(queue.next().now_or_never().is_none());
        queue.put(1).unwrap();
        queue.close();
        assert!(!queue.is_terminated(), "a value is on its way");
        assert_eq!(queue.next().now_or_never(), Some(Some(1)));
        assert!(queue.is_terminated());

        let mut queue = DeferredQueue::new();
        queue.put(2).unwrap();
        queue.close();
        assert!(!queue.is_terminated(), "a value is left");
        assert_eq!(queue.next().now_or_never(), Some(Some(2)));
        assert!(queue.is_terminated());
    }

    #[test]
    fn a_full_queue_hands_the_value_back() {
        let queue = DeferredQueue::new().with_size(1);
        queue.put(1).unwrap();
        assert_eq!(queue.put(2), Err(QueueOverflow(2)));
    }

    #[test]
    fn size_zero_needs_a_getter() {
        let queue = DeferredQueue::new().with_size(0);
        assert_eq!(queue.put(1), Err(QueueOverflow(1)));
        let getter = queue.get();
        queue.put(2).unwrap();
        assert_eq!(getter.now_or_never().unwrap().unwrap(), 2);
    }

    #[test]
    fn too_many_getters_underflow() {
        let queue = DeferredQueue::<u8>::new().with_backlog(1);
        let _waits = queue.get();
        assert!(queue.get().now_or_never().unwrap().unwrap_err().is::<QueueUnderflow>());
    }

    #[test]
    fn a_cancelled_getter_takes_no_value() {
        let queue = DeferredQueue::new();
        let (one, two) = (queue.get(), queue.get());
        one.cancel();
        queue.put(1).unwrap();
        assert!(one.now_or_never().unwrap().unwrap_err().is::<Cancelled>());
        assert_eq!(two.now_or_never().unwrap().unwrap(), 1);
    }

    #[test]
    fn a_get_that_was_served_at_once_cannot_be_cancelled() {
        let queue = DeferredQueue::new();
        queue.put(1).unwrap();
        let served = queue.get();
        served.cancel();
        assert_eq!(served.now_or_never().unwrap().unwrap(), 1);
    }

    #[test]
    fn getters_of_a_queue_that_is_gone_fail() {
        let queue = DeferredQueue::<u8>::new();
        let getter = queue.get();
        drop(queue);
        assert!(getter.now_or_never().unwrap().unwrap_err().is::<NeverFired>());
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_then_says_so() {
        let queue = DeferredQueue::new();
        (1..=2).for_each(|n| queue.put(n).unwrap());
        queue.close();
        assert_eq!(queue.put(3), Err(QueueOverflow(3)));
        assert_eq!(queue.get().now_or_never().unwrap().unwrap(), 1);
        assert_eq!((queue.try_get(), queue.try_get()), (Some(2), None));
        assert!(queue.get().now_or_never().unwrap().unwrap_err().is::<QueueClosed>());
        queue.close(); // again is as good as once
    }

    #[test]
    fn closing_tells_all_who_wait_in_order_also_one_that_asks_again() {
        let (queue, told) = (DeferredQueue::<u8>::new(), Rc::new(RefCell::new(vec![])));
        for n in 1..=3 {
            let (log, again) = (told.clone(), queue.clone());
            queue.get().add_errback(move |failure| {
                assert!(failure.is::<QueueClosed>());
                log.borrow_mut().push(n);
                again.get().add_errback(|again| {
                    again.trap::<QueueClosed>()?;
                    Ok(0)
                })
            });
        }
        queue.close();
        assert_eq!((told.take(), queue.waiting()), (vec![1, 2, 3], 0));
    }

    #[test]
    fn a_stream_of_a_queue_waits_for_each_value_and_ends_when_it_is_closed() {
        let mut queue = DeferredQueue::new().with_backlog(0);
        let source = queue.clone();
        source.put(1).unwrap();
        assert_eq!(queue.next().now_or_never(), Some(Some(1)));
        assert_eq!(queue.next().now_or_never(), None);
        source.put(2).unwrap();
        source.put(3).unwrap();
        assert!(!queue.is_terminated());
        assert_eq!(queue.next().now_or_never(), Some(Some(2)));
        source.close();
        assert_eq!(queue.next().now_or_never(), Some(Some(3)));
        assert_eq!(queue.next().now_or_never(), Some(None));
        assert!(queue.is_terminated());
    }

    #[test]
    fn a_stream_that_waits_ends_when_the_queue_is_closed() {
        let mut queue = DeferredQueue::<u8>::new();
        assert_eq!(queue.next().now_or_never(), None);
        queue.clone().close();
        assert_eq!(queue.next().now_or_never(), Some(None));
    }

    #[test]
    fn what_came_for_a_stream_that_is_dropped_is_the_next_ones() {
        let queue = DeferredQueue::new();
        let wait = || {
            let mut stream = queue.clone();
            assert_eq!(stream.next().now_or_never(), None);
            stream
        };
        let (one, two) = (wait(), wait());
        (1..=3).for_each(|n| queue.put(n).unwrap());
        drop(two);
        drop(one);
        assert_eq!([(); 3].map(|()| queue.try_get()), [Some(1), Some(2), Some(3)]);
        let (gone, waiting) = (wait(), queue.get());
        queue.put(7).unwrap();
        drop(gone);
        assert_eq!(waiting.now_or_never().unwrap().unwrap(), 7);
        drop(wait());
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn the_question_mark_takes_values_that_may_not_leave_their_thread() {
        fn put(queue: &DeferredQueue<Rc<u8>>) -> Result {
            Ok(queue.put(Rc::new(7))?)
        }
        fn boxed(queue: &DeferredQueue<Rc<u8>>) -> Result<(), Box<dyn Error + Send + Sync>> {
            Ok(queue.put(Rc::new(7))?)
        }
        fn local(queue: &DeferredQueue<Rc<u8>>) -> Result<(), Box<dyn Error>> {
            Ok(queue.put(Rc::new(7))?)
        }
        fn fire(trigger: &crate::Trigger<Rc<u8>>) -> Result {
            Ok(trigger.callback(Rc::new(7))?)
        }
        let full = DeferredQueue::new().with_size(0);
        assert!(put(&full).unwrap_err().is::<QueueFull>());
        assert!(boxed(&full).unwrap_err().is::<QueueFull>());
        assert!(local(&full).unwrap_err().is::<QueueFull>());
        let (trigger, _deferred) = Deferred::new();
        assert!(fire(&trigger).is_ok());
        assert!(fire(&trigger).unwrap_err().is::<crate::deferred::AlreadyCalled>());
    }
}
