// One stop: how long it may take, and who was late.

use super::flag::{Flag, Waiting};
use crate::reactor::Left;
use crate::{Failure, Result};
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// One stop, of a service and all below it.
pub(super) struct Stop {
    until: Instant,
    /// It waits for nobody any more.
    now: Rc<Flag>,
    done: Rc<Flag>,
    /// In the order in which that was seen. Borrowed to add and to take.
    late: RefCell<Vec<Late>>,
}

impl Stop {
    pub(super) fn until(until: Instant) -> Rc<Stop> {
        Rc::new(Stop { until, now: Rc::default(), done: Rc::default(), late: RefCell::default() })
    }

    /// How much time it has.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }

    pub(super) fn hurry(&self) {
        self.now.set();
    }

    pub(super) fn note_done(&self) {
        self.done.set();
    }

    pub(super) fn is_done(&self) -> Waiting {
        self.done.wait()
    }

    pub(super) fn is_hurried(&self) -> Waiting {
        self.now.wait()
    }

    pub(super) fn note_late(&self, name: &str, left: Left, limit: Duration) {
        self.late.borrow_mut().push(Late { name: name.to_owned(), limit, left });
    }

    /// How it went.
    pub(super) fn outcome(&self) -> Result {
        let late = self.late.take();
        if late.is_empty() { Ok(()) } else { Err(Failure::from(LateError(late))) }
    }
}

/// Some services did not stop in time, and were cut off.
#[derive(Debug)]
pub struct LateError(Vec<Late>);

/// One that was cut off.
#[derive(Clone, Debug)]
pub struct Late {
    name: String,
    limit: Duration,
    left: Left,
}

impl Late {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it had still.
    pub fn left(&self) -> &Left {
        &self.left
    }
}

impl LateError {
    /// Who was late, in the order in which that was seen.
    pub fn late(&self) -> &[Late] {
        &self.0
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Late { name, limit, left } = self;
        match left.is_empty() {
            true => write!(f, "{name}: its stop (after {limit:?})"),
            false => write!(f, "{name}: {left} (after {limit:?})"),
        }
    }
}

impl fmt::Display for LateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut off: ")?;
        for (i, late) in self.0.iter().enumerate() {
            write!(f, "{}{late}", if i > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl Error for LateError {}
