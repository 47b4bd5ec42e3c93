//! Threads for work that blocks: as many as there is work for, up to a limit, and none when idle.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

type Work = Box<dyn FnOnce() + Send>;

pub(super) struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    work: VecDeque<Work>,
    threads: usize,
    idle: usize,
}

/// Twisted's own limit.
const MOST_THREADS: usize = 10;
/// A thread that found nothing to do for so long ends.
const PATIENCE: Duration = Duration::from_secs(10);

impl Workers {
    pub(super) fn new() -> Workers {
        Workers { shared: Arc::new(Shared { queue: Mutex::default(), arrived: Condvar::new() }) }
    }

    pub(super) fn give(&self, work: Work) {
        let mut queue = self.shared.lock();
        queue.work.push_back(work);
        if queue.work.len() <= queue.idle || queue.threads >= MOST_THREADS {
            self.shared.arrived.notify_one();
            return;
        }
        queue.threads += 1;
        drop(queue);
        self.shared.start_thread();
    }
}

impl Shared {
    fn start_thread(self: &Arc<Self>) {
        let shared = self.clone();
        let started = thread::Builder::new().name("ropewalk-worker".into()).spawn(move || {
            while let Some(work) = shared.next() {
                // Whoever gave the work sees to its panics; the thread serves the others still.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            }
        });
        if started.is_err() {
            self.do_without_thread();
        }
    }

    /// No thread is to be had: the work is done here if nobody else is there to do it. Slow, but
    /// nothing is lost.
    fn do_without_thread(&self) {
        let mut queue = self.lock();
        queue.threads -= 1;
        if queue.threads > 0 {
            return;
        }
        let work = std::mem::take(&mut queue.work);
        drop(queue);
        work.into_iter().for_each(|work| work());
    }

    fn next(&self) -> Option<Work> {
        let mut queue = self.lock();
        loop {
            if let Some(work) = queue.work.pop_front() {
                return Some(work);
            }
            queue.idle += 1;
            let waited = self.arrived.wait_timeout(queue, PATIENCE);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if timeout.timed_out() && queue.work.is_empty() {
                queue.threads -= 1;
                return None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn everything_given_is_done_by_no_more_threads_than_the_limit() {
        let workers = Workers::new();
        let (sender, receiver) = mpsc::channel();
        for number in 0..1000 {
            let sender = sender.clone();
            workers.give(Box::new(move || sender.send((number, thread::current().id())).unwrap()));
        }
        drop(sender);
        let (mut numbers, threads): (Vec<_>, Vec<_>) = receiver.iter().unzip();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        assert!(threads.iter().collect::<std::collections::HashSet<_>>().len() <= MOST_THREADS);
    }

    #[test]
    fn a_panic_in_the_work_costs_no_thread() {
        let workers = Workers::new();
        let (sender, receiver) = mpsc::channel();
        for _ in 0..MOST_THREADS * 2 {
            workers.give(Box::new(|| std::panic::resume_unwind(Box::new("on purpose"))));
        }
        workers.give(Box::new(move || sender.send(()).unwrap()));
        assert_eq!(receiver.recv(), Ok(()));
    }
}
