//! Handing values from those who have them to those who wait for them.

use super::Waiters;
use crate::deferred::{Deferred, fail, succeed};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::rc::Rc;

/// A line of values, or of those who wait for one.
///
/// ```
/// use ropewalk::DeferredQueue;
///
/// let queue = DeferredQueue::new();
/// queue.get().map(|word| println!("got {word}")); // waits
/// queue.put("a value")?; // prints
/// # Ok::<(), ropewalk::QueueOverflow<&str>>(())
/// ```
#[doc(alias = "mpsc")]
#[doc(alias = "channel")]
pub struct DeferredQueue<T: 'static>(Rc<Line<T>>);

struct Line<T: 'static> {
    /// Empty while anybody waits. Borrowed to push or pop.
    values: RefCell<VecDeque<T>>,
    getters: Rc<Waiters<T>>,
    size: Cell<Option<usize>>,
    backlog: Cell<Option<usize>>,
}

impl<T: 'static> DeferredQueue<T> {
    /// A queue without limits.
    ///
    /// ```
    /// assert!(ropewalk::DeferredQueue::<u8>::new().is_empty());
    /// ```
    pub fn new() -> DeferredQueue<T> {
        let (values, getters) = (RefCell::default(), Waiters::new());
        let (size, backlog) = (Cell::new(None), Cell::new(None));
        DeferredQueue(Rc::new(Line { values, getters, size, backlog }))
    }

    /// Keeps at most so many values; of size 0, a value needs somebody who waits for it.
    ///
    /// ```
    /// let queue = ropewalk::DeferredQueue::new().with_size(1);
    /// queue.put(1).unwrap();
    /// assert_eq!(queue.put(2).unwrap_err().0, 2); // handed back
    /// ```
    pub fn with_size(self, size: usize) -> DeferredQueue<T> {
        self.0.size.set(Some(size));
        self
    }

    /// Lets at most so many wait.
    ///
    /// ```
    /// use futures_util::FutureExt;
    /// use ropewalk::{DeferredQueue, QueueUnderflow};
    ///
    /// let queue = DeferredQueue::<u32>::new().with_backlog(1);
    /// let _waits = queue.get();
    /// assert!(queue.get().now_or_never().unwrap().unwrap_err().is::<QueueUnderflow>());
    /// ```
    pub fn with_backlog(self, backlog: usize) -> DeferredQueue<T> {
        self.0.backlog.set(Some(backlog));
        self
    }

    /// Gives the value to who waits longest, before this returns, or keeps it.
    ///
    /// ```
    /// let queue = ropewalk::DeferredQueue::new();
    /// queue.put("first").unwrap();
    /// queue.get().map(|word| assert_eq!(word, "first"));
    /// ```
    pub fn put(&self, value: T) -> Result<(), QueueOverflow<T>> {
        if let Some(getter) = self.0.getters.next() {
            // It has not fired: cancelling it would have taken it out of the line.
            let _ = getter.callback(value);
            return Ok(());
        }
        let mut values = self.0.values.borrow_mut();
        if self.0.size.get().is_some_and(|size| values.len() >= size) {
            return Err(QueueOverflow(value));
        }
        values.push_back(value);
        Ok(())
    }

    /// Fires with the oldest value, or with the next to come; cancelling leaves the line.
    ///
    /// Fails with [`QueueUnderflow`] if too many wait already.
    ///
    /// ```
    /// let queue = ropewalk::DeferredQueue::<u32>::new();
    /// queue.get().map(|n| assert_eq!(n, 7));
    /// queue.put(7).unwrap();
    /// ```
    #[track_caller]
    pub fn get(&self) -> Deferred<T> {
        let oldest = self.0.values.borrow_mut().pop_front();
        match oldest {
            Some(value) => succeed(value),
            None if self.0.backlog.get().is_some_and(|backlog| self.waiting() >= backlog) => {
                fail(QueueUnderflow)
            }
            None => self.0.getters.wait(),
        }
    }

    /// How many values there are.
    ///
    /// ```
    /// let queue = ropewalk::DeferredQueue::new();
    /// queue.put(1).unwrap();
    /// assert_eq!(queue.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.0.values.borrow().len()
    }

    /// Whether the next who asks has to wait.
    ///
    /// ```
    /// assert!(ropewalk::DeferredQueue::<u8>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait for a value.
    ///
    /// ```
    /// let queue = ropewalk::DeferredQueue::<u8>::new();
    /// let _d = queue.get();
    /// assert_eq!(queue.waiting(), 1);
    /// ```
    pub fn waiting(&self) -> usize {
        self.0.getters.len()
    }
}

impl<T> Clone for DeferredQueue<T> {
    fn clone(&self) -> DeferredQueue<T> {
        DeferredQueue(self.0.clone())
    }
}

impl<T: 'static> Default for DeferredQueue<T> {
    fn default() -> DeferredQueue<T> {
        DeferredQueue::new()
    }
}

impl<T> fmt::Debug for DeferredQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.0.values.borrow().len();
        f.debug_struct("DeferredQueue").field("len", &len).finish_non_exhaustive()
    }
}

/// A queue has no room for this value.
///
/// ```
/// use ropewalk::{DeferredQueue, QueueOverflow};
///
/// assert_eq!(DeferredQueue::new().with_size(0).put(7), Err(QueueOverflow(7)));
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
        f.write_str("the queue is full")
    }
}

impl<T> Error for QueueOverflow<T> {}

/// Too many wait for a value of this queue already.
///
/// ```
/// let failure = ropewalk::Failure::from(ropewalk::QueueUnderflow);
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
    use crate::{Cancelled, NeverFired};
    use futures_util::FutureExt;

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
}
