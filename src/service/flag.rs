// A thing that happens once, and tasks that wait for it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

#[derive(Default)]
pub(super) struct Flag {
    is_set: Cell<bool>,
    next: Cell<u64>,
    /// Borrowed to put one in and to take some out, never while one is called.
    wakers: RefCell<Vec<(u64, Waker)>>,
}

impl Flag {
    pub(super) fn is_set(&self) -> bool {
        self.is_set.get()
    }

    pub(super) fn set(&self) {
        self.is_set.set(true);
        for (_, waker) in self.wakers.take() {
            waker.wake();
        }
    }

    /// Who waits goes on waiting.
    pub(super) fn clear(&self) {
        self.is_set.set(false);
    }

    pub(super) fn wait(self: &Rc<Self>) -> Waiting {
        let number = self.next.replace(self.next.get() + 1);
        Waiting { flag: self.clone(), number }
    }

    fn take(&self, number: u64) -> Option<(u64, Waker)> {
        let mut wakers = self.wakers.borrow_mut();
        let place = wakers.iter().position(|(other, _)| *other == number)?;
        Some(wakers.swap_remove(place))
    }
}

/// Completes when the flag is set.
pub(super) struct Waiting {
    flag: Rc<Flag>,
    number: u64,
}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.flag.is_set() {
            return Poll::Ready(());
        }
        let former = self.flag.take(self.number);
        self.flag.wakers.borrow_mut().push((self.number, context.waker().clone()));
        drop(former);
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.flag.take(self.number));
    }
}
