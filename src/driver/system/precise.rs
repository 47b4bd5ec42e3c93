//! Waiting in nanoseconds on Linux, on the epoll descriptor that mio made.
//!
//! mio waits in milliseconds, rounded up. Kernels before 5.11 lack the call, and some sandboxes forbid
//! it: mio waits there.

use super::{NUDGED, end_of, is_shortage};
use crate::driver::{Key, Readiness, Ready};
use mio::Registry;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventFlags};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

pub(super) struct Precise {
    /// Borrowed for one wait.
    events: RefCell<Vec<Event>>,
    is_missing: Cell<bool>,
}

/// Above this, a millisecond more is below what anyone can feel, and mio does.
const COARSE: Duration = Duration::from_millis(100);

impl Precise {
    pub(super) fn new(events_per_wait: usize) -> Precise {
        let events = RefCell::new(Vec::with_capacity(events_per_wait));
        Precise { events, is_missing: Cell::new(false) }
    }

    /// Whether rounding `timeout` up to a millisecond would be felt.
    pub(super) fn serves(&self, timeout: Duration) -> bool {
        !timeout.is_zero() && timeout < COARSE && !self.is_missing.get()
    }

    pub(super) fn wait(
        &self,
        registry: &Registry,
        timeout: Duration,
        ready: &mut Vec<Ready>,
    ) -> io::Result<()> {
        let mut events = self.events.borrow_mut();
        events.clear();
        // `serves` lets only short timeouts pass: the conversion cannot fail.
        let timeout = Timespec::try_from(timeout).unwrap_or_default();
        let space = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(registry, space, Some(&timeout)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) if is_shortage(error) => return Err(error.into()),
            // Whatever a sandbox calls it: the next wait takes the other way, and if the fault is not
            // this call's it fails as well. This one was merely too short.
            Err(_) => self.is_missing.set(true),
        }
        let named = events.iter().map(translate).filter(|ready| ready.key.to_token() != NUDGED.0);
        named.for_each(|event| ready.push(event));
        Ok(())
    }
}

fn translate(event: &Event) -> Ready {
    // By copy: the fields of the kernel's own struct are not aligned.
    let Event { flags, data } = *event;
    let has = |wanted: EventFlags| flags.intersects(wanted);
    let is_read_closed = has(EventFlags::RDHUP | EventFlags::HUP);
    let readiness = Readiness::READABLE
        .when(has(EventFlags::IN | EventFlags::PRI))
        .and(Readiness::WRITABLE.when(has(EventFlags::OUT)))
        .and(Readiness::URGENT.when(has(EventFlags::PRI)))
        .and(end_of(is_read_closed, has(EventFlags::ERR | EventFlags::HUP)));
    Ready { key: Key::from_token(data.u64() as usize), readiness }
}
