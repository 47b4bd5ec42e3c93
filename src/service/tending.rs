// What a parent does when one of its services has ended by itself.
//
// One for one, each has a task of its own that waits and starts it again. In the other strategies one task
// starts all from one on: what ends meanwhile further to the front has it begin there anew.

use super::error::{FailedError, Permanent, TooManyRestartsError};
use super::life::{Life, ServiceState};
use super::restart::{RestartType, Strategy};
use crate::{Failure, Result};
use futures_util::future::{Either, select};
use std::rc::Rc;
use std::time::Duration;

/// What is to be done about an end.
enum Next {
    /// It stays ended.
    Retire,
    /// It is started again after a wait.
    Again(Duration),
    /// It ended too often.
    GiveUp,
}

/// Whether to start it again would be of no use.
fn is_settled(child: &Life, outcome: &Result) -> bool {
    child.restart_type() != RestartType::Permanent
        && outcome.as_ref().is_err_and(|failure| failure.is::<Permanent>())
}

impl Life {
    /// 7. A child has ended by itself.
    pub(super) async fn tend(self: &Rc<Self>, child: Rc<Life>, outcome: Result) {
        child.clear_after_end().await;
        if child.state() != ServiceState::Ended {
            // Somebody has started or stopped it meanwhile.
            return;
        }
        match self.next(&child, &outcome) {
            Next::Retire => child.retire(outcome),
            Next::GiveUp => self.give_up(&child, outcome),
            Next::Again(wait) => {
                let strategy = self.restart.borrow().strategy;
                match strategy {
                    Strategy::OneForOne => self.start_again(child, wait).await,
                    _ => self.start_again_from(child, wait).await,
                }
            }
        }
    }

    /// The root of a tree has ended by itself: all of it stops in order.
    pub(super) async fn end_tree(self: &Rc<Self>, outcome: Result) {
        let stop = self.brief_stop();
        self.stop_tree(&stop).await;
        self.tell_late(&stop);
        self.tell_over(outcome);
    }

    /// What an end leaves: those below it stop, and what it began goes.
    async fn clear_after_end(self: &Rc<Self>) {
        if let Ok(_changing) = self.changing.acquire().await {
            self.leave_nothing_if_ended().await;
        }
    }

    fn next(&self, child: &Life, outcome: &Result) -> Next {
        if self.is_leaving() || is_settled(child, outcome) {
            return Next::Retire;
        }
        if !child.restart_type().restarts(outcome.is_err()) {
            return Next::Retire;
        }
        let restart = self.restart.borrow().clone();
        if !self.restarts.borrow_mut().allow(&restart, self.now()) {
            return Next::GiveUp;
        }
        let mut backoff = child.backoff.get();
        let before = backoff.note_end(self.now(), restart.most().1);
        child.backoff.set(backoff);
        let wait = restart.wait(before, self.shared.reactor.random());
        if let Err(cause) = outcome {
            let (name, cause) = (child.name.to_string(), cause.clone());
            Failure::from(FailedError { name, cause, again_in: wait }).report("a service failed");
        }
        Next::Again(wait)
    }

    /// Whether nothing is started any more.
    fn is_leaving(&self) -> bool {
        self.stop_asked.is_set()
            || !matches!(self.state(), ServiceState::Ready | ServiceState::Starting)
    }

    /// It has failed, because this child did too often.
    fn give_up(self: &Rc<Self>, child: &Life, outcome: Result) {
        let (most, period) = self.restart.borrow().most();
        let name = child.name.to_string();
        let cause = outcome.as_ref().err().cloned();
        child.retire(outcome);
        self.restarts.borrow_mut().clear();
        self.ended(Err(TooManyRestartsError { name, most, period, cause }.into()));
    }

    /// Whether the wait is over; not if the child, or this one, is to stop.
    async fn wait_out(&self, child: &Life, wait: Duration) -> bool {
        let stops = select(self.stop_asked.wait(), child.stop_asked.wait());
        matches!(select(self.shared.reactor.sleep(wait), stops).await, Either::Left(_))
            && child.state() == ServiceState::Ended
            && !self.is_leaving()
    }

    async fn start_again(self: &Rc<Self>, child: Rc<Life>, mut wait: Duration) {
        loop {
            if !self.wait_out(&child, wait).await {
                return;
            }
            match self.try_again(&child).await {
                Ok(()) => return,
                Err(outcome) => match outcome {
                    Next::Again(longer) => wait = longer,
                    Next::Retire | Next::GiveUp => return,
                },
            }
        }
    }

    /// Starts it once more; what is to be done if that fails.
    async fn try_again(self: &Rc<Self>, child: &Rc<Life>) -> std::result::Result<(), Next> {
        child.again.set(child.again.get() + 1);
        let Err(failure) = child.start().await else { return Ok(()) };
        if child.stop_asked.is_set() || self.is_leaving() {
            return Err(Next::Retire);
        }
        child.state.set(ServiceState::Ended);
        let outcome = Err(failure);
        let next = self.next(child, &outcome);
        match next {
            Next::GiveUp => self.give_up(child, outcome),
            Next::Retire => child.retire(outcome),
            Next::Again(_) => {}
        }
        Err(next)
    }

    /// The place of a child among its siblings.
    fn place_of(&self, child: &Rc<Life>) -> Option<usize> {
        self.children().iter().position(|other| Rc::ptr_eq(other, child))
    }

    /// From which child on all are started again: this one, or one before it that was to be.
    fn ask_again_from(&self, child: Rc<Life>) {
        let child = match self.restart.borrow().strategy {
            Strategy::OneForAll => self.children().first().cloned().unwrap_or(child),
            _ => child,
        };
        let former = self.again_from.take();
        let places = former.as_ref().map(|former| (self.place_of(former), self.place_of(&child)));
        let first = match (former, places) {
            (Some(former), Some((before, place))) if before <= place => former,
            _ => child,
        };
        self.again_from.set(Some(first));
        self.is_again_asked.set();
    }

    async fn start_again_from(self: &Rc<Self>, child: Rc<Life>, mut wait: Duration) {
        self.ask_again_from(child);
        if self.is_again_under_way.replace(true) {
            return;
        }
        while let Some(first) = self.take_again_from() {
            self.stop_from(&first).await;
            let pause = self.shared.reactor.sleep(wait);
            let sooner = select(self.is_again_asked.wait(), self.stop_asked.wait());
            if let Either::Right(_) = select(pause, sooner).await {
                // Further to the front, or not at all.
                self.ask_again_unless_leaving(first);
            } else if let Some(longer) = self.start_from(&first).await {
                wait = longer;
            }
            if self.is_leaving() {
                break;
            }
        }
        self.is_again_under_way.set(false);
    }

    fn ask_again_unless_leaving(&self, first: Rc<Life>) {
        if !self.is_leaving() {
            self.ask_again_from(first);
        }
    }

    fn take_again_from(&self) -> Option<Rc<Life>> {
        self.is_again_asked.clear();
        self.again_from.take()
    }

    /// Stops, in reverse, those that were started behind it.
    async fn stop_from(self: &Rc<Self>, first: &Rc<Life>) {
        let (stop, limit) = (self.brief_stop(), self.shared.drain.get().service);
        let place = self.place_of(first).unwrap_or_default();
        let is_up =
            |child: &Rc<Life>| child.state() != ServiceState::Stopped && !child.is_retired.get();
        let up: Vec<_> = self.children().into_iter().skip(place).filter(is_up).collect();
        let all: Vec<_> = up.iter().flat_map(|child| child.each()).collect();
        self.drain_all(&all, Duration::ZERO, limit, &stop).await;
        for child in up.into_iter().rev() {
            child.is_due_again.set(true);
            child.stop_tree(&stop).await;
        }
        self.tell_late(&stop);
    }

    /// Starts them in order; a wait if one failed, from which all begin anew.
    async fn start_from(self: &Rc<Self>, first: &Rc<Life>) -> Option<Duration> {
        let place = self.place_of(first).unwrap_or_default();
        for child in self.children().into_iter().skip(place) {
            if !child.is_due_again.get() || self.is_leaving() {
                continue;
            }
            match self.try_again(&child).await {
                Ok(()) => child.is_due_again.set(false),
                Err(Next::Again(wait)) => {
                    self.ask_again_from(child);
                    return Some(wait);
                }
                Err(Next::Retire | Next::GiveUp) => return None,
            }
            if self.is_again_asked.is_set() {
                return None;
            }
        }
        None
    }
}
