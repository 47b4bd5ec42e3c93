//! One turn of the loop, in the order that the room's documentation promises.

use super::{CURRENT, Loop, Reactor, ReactorGone};
use crate::driver::{Key, Ready};
use crate::failure::{ReportScope, Result};
use std::rc::Rc;
use std::time::Duration;

impl Reactor {
    /// Makes one turn, which waits for at most `limit` (without limit if `None`) when nothing is ready.
    ///
    /// For programs that have a loop of their own. Fails if the loop is running already.
    ///
    /// ```
    /// use ropewalk::Reactor;
    /// use std::time::Duration;
    ///
    /// let reactor = Reactor::new()?;
    /// let task = reactor.spawn(async { Ok(println!("in the first turn")) });
    /// reactor.turn(Some(Duration::ZERO))?; // between two frames of a game, say
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "iterate")]
    #[track_caller]
    pub fn turn(&self, limit: Option<Duration>) -> Result {
        let _entered = self.inner().enter()?;
        self.inner().turn(limit, &mut || ())?;
        self.inner().unexpected_report()
    }
}

impl Loop {
    /// `main` polls the future of `run_until`, when it is the tasks' turn and it was woken.
    pub(super) fn turn(self: &Rc<Self>, limit: Option<Duration>, main: &mut dyn FnMut()) -> Result {
        self.wait(limit)?;
        self.serve_turn(main);
        if self.is_doomed() { Err(ReactorGone.into()) } else { Ok(()) }
    }

    /// All of a turn but the wait.
    #[inline]
    pub(super) fn serve_turn(self: &Rc<Self>, main: &mut dyn FnMut()) {
        let reactor = Reactor::from(self.clone());
        self.counting.turns.add(1);
        self.timers.has_waited();
        if self.observed.is_on() {
            self.observed.note_turn(self.timers.now());
        }
        self.sources.serve();
        self.run_due_timers();
        self.run_remote_calls(&reactor);
        // Woken by its stream's bytes, it is called without the queue, as any task.
        self.poll_main(main);
        if self.tasks.are_ready() {
            self.tasks.poll_batch(|| {
                self.poll_main(main);
                self.pull_cork();
            });
        }
        self.sources.flush();
    }

    #[inline]
    fn poll_main(&self, main: &mut dyn FnMut()) {
        if self.tasks.take_call_of_main() {
            main();
            self.pull_cork();
        }
    }

    /// What is ready is told instead of waited for.
    #[inline]
    pub(super) fn hear(&self, tell: impl FnOnce(&mut Vec<Ready>)) {
        let mut ready = self.sources.take_ready();
        tell(&mut ready);
        self.sources.give_ready(ready);
    }

    /// A task was polled: what it wrote to a stream goes out.
    #[inline]
    pub(super) fn pull_cork(&self) {
        let owner = self.cork.owner();
        if owner != Key::NONE && !self.sources.flush_one(owner) {
            self.cork.release();
        }
    }

    fn wait(&self, limit: Option<Duration>) -> Result {
        let mut ready = self.sources.take_ready();
        let mut timeout = self.timeout(limit);
        let may_sleep = timeout != Some(Duration::ZERO);
        if may_sleep && !self.remote.mailbox.fall_asleep() {
            timeout = Some(Duration::ZERO);
        }
        if self.observed.is_on() {
            self.observed.note_idle();
        }
        let outcome = self.driver.wait(timeout, &mut ready);
        self.remote.mailbox.wake_up();
        self.sources.give_ready(ready);
        Ok(outcome?)
    }

    /// Whether there is something to do at once, events and timers aside.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.is_busy() || self.remote.mailbox.has_messages()
    }

    #[inline]
    fn is_busy(&self) -> bool {
        self.tasks.are_ready() || self.sources.are_ready()
    }

    /// How long the turn may wait: not at all if there is anything to do.
    fn timeout(&self, limit: Option<Duration>) -> Option<Duration> {
        if self.is_busy() {
            return Some(Duration::ZERO);
        }
        let until_timer = self.timers.until_next();
        match (limit, until_timer) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// While it lives, its loop is this thread's current one; it puts the former one back.
pub(super) struct Entered {
    former: Option<Rc<Loop>>,
    #[expect(dead_code, reason = "held for its Drop")]
    reports: Option<ReportScope>,
}

impl Entered {
    pub(super) fn new(inner: &Rc<Loop>) -> Entered {
        let reports = inner.listen_for_reports();
        inner.counting.enter();
        Entered { former: CURRENT.replace(Some(inner.clone())), reports }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let ended = CURRENT.replace(self.former.take());
        if let Some(ended) = ended {
            ended.left();
        }
    }
}
