//! Threads for work that blocks: as many as there is work for, up to a limit, and none when idle.
//!
//! A piece of work wakes an idle thread, or starts one while there are fewer than the most allowed.
//! An idle thread ends after a while, unless no more than the fewest are left. When the pool is
//! dropped its threads do what was given and then end; nobody waits for them.

use crate::driver::PoolSize;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

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
    size: PoolSize,
    /// The pool was dropped.
    is_closed: bool,
}

impl Workers {
    pub(super) fn new() -> Workers {
        Workers { shared: Arc::new(Shared { queue: Mutex::default(), arrived: Condvar::new() }) }
    }

    pub(super) fn give(&self, work: Work) {
        let mut queue = self.shared.lock();
        queue.work.push_back(work);
        if queue.work.len() <= queue.idle || queue.threads >= queue.most() {
            self.shared.arrived.notify_one();
            return;
        }
        queue.threads += 1;
        drop(queue);
        self.shared.start_thread();
    }

    /// The threads end when what was given is done.
    pub(super) fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.arrived.notify_all();
    }

    /// Takes effect as threads look for their next work; missing ones are started now.
    pub(super) fn resize(&self, size: PoolSize) {
        let mut queue = self.shared.lock();
        queue.size = size;
        let waiting = queue.work.len().saturating_sub(queue.idle);
        let missing = waiting.min(queue.most().saturating_sub(queue.threads));
        queue.threads += missing;
        drop(queue);
        self.shared.arrived.notify_all();
        (0..missing).for_each(|_| self.shared.start_thread());
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn most(&self) -> usize {
        // Without a single thread the work would lie here forever.
        self.size.most.max(1)
    }

    /// Whether a thread that found nothing to do should end.
    fn is_overstaffed(&self, was_patient: bool) -> bool {
        let spare = was_patient && self.threads > self.size.fewest;
        self.work.is_empty() && (self.is_closed || spare)
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

    /// The next piece of work for the calling thread; none: the thread shall end.
    fn next(&self) -> Option<Work> {
        let mut queue = self.lock();
        let mut was_patient = false;
        loop {
            if queue.threads > queue.most() || queue.is_overstaffed(was_patient) {
                queue.threads -= 1;
                return None;
            }
            if let Some(work) = queue.work.pop_front() {
                return Some(work);
            }
            queue.idle += 1;
            let patience = queue.size.idle;
            let waited = self.arrived.wait_timeout(queue, patience);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            was_patient = timeout.timed_out();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::{Barrier, mpsc};
    use std::time::Duration;

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
        let most = PoolSize::default().most;
        assert!(threads.iter().collect::<HashSet<_>>().len() <= most);
    }

    #[test]
    fn a_panic_in_the_work_costs_no_thread() {
        let workers = Workers::new();
        let (sender, receiver) = mpsc::channel();
        for _ in 0..PoolSize::default().most * 2 {
            workers.give(Box::new(|| std::panic::resume_unwind(Box::new("on purpose"))));
        }
        workers.give(Box::new(move || sender.send(()).unwrap()));
        assert_eq!(receiver.recv(), Ok(()));
    }

    #[test]
    fn a_larger_pool_serves_at_once_what_had_to_wait() {
        let workers = Workers::new();
        workers.resize(PoolSize { most: 1, ..PoolSize::default() });
        // Each of the three can only go on when all of them run at the same time.
        let (together, (sender, receiver)) = (Arc::new(Barrier::new(3)), mpsc::channel());
        for _ in 0..3 {
            let (together, sender) = (together.clone(), sender.clone());
            workers.give(Box::new(move || {
                together.wait();
                sender.send(()).unwrap();
            }));
        }
        workers.resize(PoolSize { most: 3, ..PoolSize::default() });
        assert_eq!(receiver.iter().take(3).count(), 3);
    }

    #[test]
    fn idle_threads_end_when_the_pool_goes() {
        let workers = Workers::new();
        workers.resize(PoolSize { idle: Duration::from_secs(3600), ..PoolSize::default() });
        let (sender, receiver) = mpsc::channel();
        workers.give(Box::new(move || sender.send(()).unwrap()));
        assert_eq!(receiver.recv(), Ok(()));
        let shared = Arc::downgrade(&workers.shared);
        drop(workers);
        while shared.strong_count() > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn what_was_given_is_done_though_the_pool_is_gone() {
        let workers = Workers::new();
        workers.resize(PoolSize { most: 1, ..PoolSize::default() });
        let (sender, receiver) = mpsc::channel();
        for number in 0..100 {
            let sender = sender.clone();
            workers.give(Box::new(move || sender.send(number).unwrap()));
        }
        drop((workers, sender));
        assert_eq!(receiver.iter().count(), 100);
    }
}
