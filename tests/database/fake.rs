//! A database without one: it notes what is asked of it, and fails as it is told.

use ropewalk::database::{Database, Interrupt};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FakeError {
    Plain(&'static str),
    Broken,
    Busy,
}

impl fmt::Display for FakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for FakeError {}

/// Clones are the same database.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<State>);

/// Says that a step has begun, and hears that it may go on.
type Gate = (Sender<()>, Receiver<()>);

#[derive(Default)]
struct State {
    notes: Mutex<Vec<String>>,
    opened: Mutex<u32>,
    failing: Mutex<HashMap<&'static str, Vec<FakeError>>>,
    /// A step that waits: it says so, and goes on when it is told.
    gates: Mutex<HashMap<&'static str, Gate>>,
    panics_in: Mutex<Option<&'static str>>,
}

pub(crate) struct FakeConnection {
    pub(crate) number: u32,
    pub(crate) is_interrupted: Arc<AtomicBool>,
    database: Fake,
}

impl Drop for FakeConnection {
    fn drop(&mut self) {
        self.database.note(format!("drop {}", self.number));
    }
}

impl Fake {
    pub(crate) fn note(&self, what: String) {
        self.0.notes.lock().unwrap().push(what);
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.0.notes.lock().unwrap().clone()
    }

    #[track_caller]
    pub(crate) fn expect(&self, expected: &[&str]) {
        assert_eq!(self.notes(), expected);
    }

    /// The next call of `step` fails with it; several in order.
    pub(crate) fn fail(&self, step: &'static str, error: FakeError) {
        self.0.failing.lock().unwrap().entry(step).or_default().push(error);
    }

    pub(crate) fn panic_in(&self, step: &'static str) {
        *self.0.panics_in.lock().unwrap() = Some(step);
    }

    /// Holds the next call of `step`: the first end hears that it has begun, the second lets it go on.
    pub(crate) fn hold(&self, step: &'static str) -> (Receiver<()>, Sender<()>) {
        let ((begun, has_begun), (go_on, may_go_on)) = (channel(), channel());
        self.0.gates.lock().unwrap().insert(step, (begun, may_go_on));
        (has_begun, go_on)
    }

    fn step(&self, step: &'static str, number: u32) -> Result<(), FakeError> {
        self.note(format!("{step} {number}"));
        let gate = self.0.gates.lock().unwrap().remove(step);
        if let Some((begun, may_go_on)) = gate {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
        }
        if self.0.panics_in.lock().unwrap().take_if(|it| *it == step).is_some() {
            panic!("in {step}");
        }
        let mut failing = self.0.failing.lock().unwrap();
        match failing.get_mut(step) {
            Some(errors) if !errors.is_empty() => Err(errors.remove(0)),
            _ => Ok(()),
        }
    }
}

impl Database for Fake {
    type Connection = FakeConnection;
    type Row<'r> = ();
    type Error = FakeError;

    fn connect(&self) -> Result<FakeConnection, FakeError> {
        let number = {
            let mut opened = self.0.opened.lock().unwrap();
            *opened += 1;
            *opened
        };
        self.step("connect", number)?;
        Ok(FakeConnection { number, is_interrupted: Arc::default(), database: self.clone() })
    }

    fn begin(&self, connection: &mut FakeConnection) -> Result<(), FakeError> {
        self.step("begin", connection.number)
    }

    fn commit(&self, connection: &mut FakeConnection) -> Result<(), FakeError> {
        self.step("commit", connection.number)
    }

    fn rollback(&self, connection: &mut FakeConnection) -> Result<(), FakeError> {
        connection.is_interrupted.store(false, Ordering::SeqCst);
        self.step("rollback", connection.number)
    }

    fn is_broken(&self, error: &FakeError) -> bool {
        *error == FakeError::Broken
    }

    fn is_serialization_failure(&self, error: &FakeError) -> bool {
        *error == FakeError::Busy
    }

    fn check(&self, connection: &mut FakeConnection) -> Result<(), FakeError> {
        self.step("check", connection.number)
    }

    fn interrupt(&self, connection: &FakeConnection) -> Interrupt {
        let (database, flag) = (self.clone(), connection.is_interrupted.clone());
        let number = connection.number;
        Arc::new(move || {
            database.note(format!("interrupt {number}"));
            flag.store(true, Ordering::SeqCst);
        })
    }

    fn name(&self) -> Cow<'_, str> {
        "a fake".into()
    }
}
