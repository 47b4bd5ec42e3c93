//! What is used again instead of made anew: the last few that came back.

// # Theory
// What a program makes and ends without end (a node of a chain, a buffer, the place of a task) costs more
// to allocate and to set up than to use. A `Recycler` keeps those that came back, up to a limit, and
// knows nothing of them: whoever gives one has emptied it, whoever takes one sets it up.
//
// The one that came back last lies on top, where to take it is to look at one word: most programs need
// one at a time.
//
// # Where
// Nodes of chains (`deferred/node.rs`), buffers (`buffer.rs`), slots of tasks (`reactor/tasks.rs`); each
// with the figure that it saves.

use std::cell::{Cell, RefCell};

pub(crate) struct Recycler<T> {
    /// Empty only if nothing came back since it was taken; `below` may hold some all the same.
    top: Cell<Option<T>>,
    /// Borrowed for one push or pop.
    below: RefCell<Vec<T>>,
    /// So many are kept below the top.
    depth: usize,
}

impl<T> Recycler<T> {
    pub(crate) const fn new(depth: usize) -> Recycler<T> {
        Recycler { top: Cell::new(None), below: RefCell::new(Vec::new()), depth }
    }

    /// The one that came back last, if there is one.
    #[inline]
    pub(crate) fn take(&self) -> Option<T> {
        self.top.take().or_else(|| self.pop())
    }

    /// Keeps it for the next who takes; gives back one that there is no room for.
    #[inline]
    pub(crate) fn give(&self, used: T) -> Option<T> {
        self.top.replace(Some(used)).and_then(|former| self.push(former))
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        let top = self.top.take();
        let count = usize::from(top.is_some()) + self.below.borrow().len();
        self.top.set(top);
        count
    }

    #[inline(never)]
    fn pop(&self) -> Option<T> {
        self.below.borrow_mut().pop()
    }

    #[inline(never)]
    fn push(&self, used: T) -> Option<T> {
        let mut below = self.below.borrow_mut();
        if below.len() == self.depth {
            return Some(used);
        }
        below.push(used);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Recycler;

    #[test]
    fn what_came_back_last_is_taken_first() {
        let recycler = Recycler::new(8);
        assert_eq!(recycler.take(), None);
        for n in 0..3 {
            assert_eq!(recycler.give(n), None);
        }
        assert_eq!(recycler.len(), 3);
        assert_eq!(std::iter::from_fn(|| recycler.take()).collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(recycler.len(), 0);
    }

    #[test]
    fn what_there_is_no_room_for_is_given_back() {
        let recycler = Recycler::new(2);
        let refused: Vec<_> = (0..5).filter_map(|n| recycler.give(n)).collect();
        assert_eq!((refused.len(), recycler.len()), (2, 3));
        assert_eq!(recycler.take(), Some(4), "the newest is kept");
    }
}
