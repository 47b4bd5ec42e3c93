// How services stop: readiness off, connections drained, then each in reverse, then what is late cut off.

use super::late::Stop;
use super::life::{Life, ServiceState};
use crate::Result;
use futures_util::future::{Either, select};
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

/// What nobody can end is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(1);

impl Life {
    /// 3 and 4, of this service and all below it. A second call while one is under way waits for nobody.
    pub(super) async fn stop(self: &Rc<Self>) -> Result {
        let former = self.stop_under_way.borrow().clone();
        if let Some(stop) = former {
            stop.hurry();
            stop.is_done().await;
            return Ok(());
        }
        let drain = self.shared.drain.get();
        let stop = Stop::until(self.now() + drain.total);
        self.note_stop(Some(stop.clone()));
        let lives = self.each();
        lives.iter().for_each(|life| life.stop_asked.set());
        self.drain_all(&lives, drain.lame_duck, drain.connections, &stop).await;
        self.stop_tree(&stop).await;
        self.note_stop(None);
        stop.note_done();
        let outcome = stop.outcome();
        self.tell_over(Ok(()));
        outcome
    }

    fn note_stop(&self, stop: Option<Rc<Stop>>) {
        let former = self.stop_under_way.replace(stop);
        drop(former);
    }

    /// Has those of them that are up say that they are not ready, and then finish what is under way.
    pub(super) async fn drain_all(
        self: &Rc<Self>,
        lives: &[Rc<Life>],
        lame_duck: Duration,
        limit: Duration,
        stop: &Rc<Stop>,
    ) {
        let is_up = |life: &&Rc<Life>| life.state() == ServiceState::Ready;
        let up: Vec<_> = lives.iter().filter(is_up).cloned().collect();
        up.iter().for_each(|life| life.state.set(ServiceState::Draining));
        // A stop after another one has nobody to wait for.
        if !(lame_duck.is_zero() || up.is_empty()) {
            self.wait_for(pending(), lame_duck, stop).await;
        }
        up.iter().for_each(|life| life.owner().drain());
        self.await_served(&up, limit, stop).await;
    }

    async fn await_served(self: &Rc<Self>, lives: &[Rc<Life>], limit: Duration, stop: &Rc<Stop>) {
        let deadline = self.now() + limit;
        for life in lives {
            let owner = life.owner();
            let left = deadline.saturating_duration_since(self.now());
            let is_served = self.wait_for(owner.served(), left, stop).await;
            if !is_served && !owner.left_serving().is_empty() {
                stop.note_late(&life.name, owner.left_serving(), limit);
                owner.abort_served();
            }
        }
    }

    /// Whether it came before the limit, and before somebody was impatient.
    async fn wait_for(&self, what: impl Future<Output = ()>, limit: Duration, stop: &Stop) -> bool {
        let left = stop.left(self.now());
        let late = select(self.shared.reactor.sleep(limit.min(left)), stop.is_hurried());
        matches!(select(pin!(what), late).await, Either::Left(_))
    }

    /// The children in reverse, each awaited before the next, and then the service itself.
    pub(super) fn stop_tree(self: &Rc<Self>, stop: &Rc<Stop>) -> Pin<Box<dyn Future<Output = ()>>> {
        let (life, stop) = (self.clone(), stop.clone());
        Box::pin(async move {
            life.stop_asked.set();
            // Whoever starts it sees that, and gives way.
            let Ok(_changing) = life.changing.acquire().await else { return };
            while let Some(child) = life.last_running() {
                child.stop_tree(&stop).await;
            }
            life.stop_itself(&stop).await;
        })
    }

    fn last_running(&self) -> Option<Rc<Life>> {
        let is_running = |child: &Rc<Life>| child.state() != ServiceState::Stopped;
        self.children().into_iter().rev().find(is_running)
    }

    async fn stop_itself(self: &Rc<Self>, stop: &Rc<Stop>) {
        match self.state.replace(ServiceState::Stopping) {
            ServiceState::Stopped => return self.state.set(ServiceState::Stopped),
            ServiceState::Privileged | ServiceState::Ended => {}
            _ => self.have_it_stop(stop).await,
        }
        self.clear().await;
        self.state.set(ServiceState::Stopped);
    }

    async fn have_it_stop(self: &Rc<Self>, stop: &Rc<Stop>) {
        self.stopping.set();
        let limit = self.shared.drain.get().service;
        let deadline = self.now() + limit;
        let stopped = self.call(|service, up| service.stop_service(up));
        let ended = async {
            if let Err(failure) = stopped.await {
                failure.report("a service failed to stop");
            }
        };
        let owner = self.owner();
        let left = || deadline.saturating_duration_since(self.now());
        let is_in_time = self.wait_for(ended, limit, stop).await
            && self.wait_for(owner.emptied(), left(), stop).await;
        if !is_in_time {
            stop.note_late(&self.name, owner.left(), limit);
        }
    }

    /// A start has failed: those below it that were started stop, and nothing is left behind.
    pub(super) async fn roll_back(self: &Rc<Self>) {
        let stop = self.brief_stop();
        while let Some(child) = self.last_running() {
            child.stop_tree(&stop).await;
        }
        self.tell_late(&stop);
        self.clear().await;
    }

    /// What it began before it ended by itself goes, and those below it stop. Its lock is held.
    pub(super) async fn leave_nothing_if_ended(self: &Rc<Self>) {
        if self.state() == ServiceState::Ended {
            self.stopping.set();
            self.roll_back().await;
        }
    }

    /// One that nobody asked for: who is late is reported.
    pub(super) fn brief_stop(&self) -> Rc<Stop> {
        Stop::until(self.now() + self.shared.drain.get().total)
    }

    pub(super) fn tell_late(&self, stop: &Stop) {
        if let Err(failure) = stop.outcome() {
            failure.report("a service did not stop in time");
        }
    }

    /// Leaves nothing behind.
    pub(super) async fn clear(&self) {
        let owner = self.owner();
        // It fires unless its reactor ends.
        let _ = owner.abort().await;
        select(owner.emptied(), self.shared.reactor.sleep(PATIENCE)).await;
    }
}
