//! Work that a `Drop` asks for, done one after the other instead of one inside the other.
//!
//! Dropping the last trigger fires a chain, which drops its closures, which may own the last trigger
//! of another chain, and so on; dropping a future cancels a task, which drops the future that *it*
//! waits in. A hundred thousand of those must not need a hundred thousand stack frames. So the first
//! such Drop on a thread does its work at once, and those that it causes wait here until it is done.

use std::cell::RefCell;
use std::collections::VecDeque;

type Work = Box<dyn FnOnce()>;

thread_local! {
    /// Some while work is being done. Borrowed only to push or pop.
    static WAITING: RefCell<Option<VecDeque<Work>>> = const { RefCell::new(None) };
}

/// Does `work` now, or after the work of the Drop that is in progress.
pub(super) fn after_drop(work: impl FnOnce() + 'static) {
    let busy = WAITING.try_with(|waiting| waiting.borrow().is_some());
    match busy {
        Ok(true) => push(Box::new(work)),
        Ok(false) => first(work),
        // The thread is ending: nobody else will come to do it.
        Err(_) => work(),
    }
}

fn first(work: impl FnOnce()) {
    WAITING.with(|waiting| *waiting.borrow_mut() = Some(VecDeque::new()));
    let _closing = Closing;
    work();
    while let Some(work) = pop() {
        work();
    }
}

fn push(work: Work) {
    WAITING.with(|waiting| waiting.borrow_mut().get_or_insert_default().push_back(work));
}

fn pop() -> Option<Work> {
    WAITING.with(|waiting| waiting.borrow_mut().as_mut()?.pop_front())
}

/// Also when the work panics, the next Drop is a first one again.
struct Closing;

impl Drop for Closing {
    fn drop(&mut self) {
        let left = WAITING.with(|waiting| waiting.borrow_mut().take());
        drop(left);
    }
}
