// Events of the log as they come, for a client that follows it.

use crate::application::log::{LogFormat, Observation, observe};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// So many lines wait for a client that reads slowly; then the oldest are lost, and counted.
const WAITING: usize = 1000;

#[derive(Default)]
struct Queue {
    /// Borrowed to push one and to take all.
    lines: RefCell<VecDeque<String>>,
    lost: Cell<u64>,
    waker: Cell<Option<Waker>>,
}

pub(super) struct Following {
    queue: Rc<Queue>,
    _observation: Observation,
}

impl Following {
    pub(super) fn new(format: LogFormat) -> Following {
        let queue = Rc::<Queue>::default();
        let pushed = queue.clone();
        let observation = observe(move |event| pushed.push(format.line(event)));
        Following { queue, _observation: observation }
    }

    /// Waits for lines, and takes all that there are.
    pub(super) async fn next(&self) -> String {
        poll_fn(|context| {
            let lines: String = self.queue.lines.take().into_iter().collect();
            match (lines.is_empty(), self.queue.lost.take()) {
                (true, _) => {
                    let former = self.queue.waker.replace(Some(context.waker().clone()));
                    drop(former);
                    Poll::Pending
                }
                (false, 0) => Poll::Ready(lines),
                (false, lost) => Poll::Ready(format!("{lost} lines were lost\n{lines}")),
            }
        })
        .await
    }
}

impl Queue {
    fn push(&self, line: String) {
        let mut lines = self.lines.borrow_mut();
        if lines.len() == WAITING {
            lines.pop_front();
            self.lost.set(self.lost.get() + 1);
        }
        lines.push_back(line);
        drop(lines);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
