//! What every client keeps: which poems were asked for, and how far each has come.
//!
//! A client tells its recital four things about a task: `started`, `piece`, `finished` or `failed`.
//! How that reads on the terminal is the business of the [`Voice`].

use std::cell::{Cell, RefCell};
use std::fmt;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ropewalk::{Failure, Reactor, Result};

use crate::voice::{Voice, say};

/// A server that goes on and on does not recite a poem: 16 MiB.
const LONGEST: usize = 16 * 1024 * 1024;
/// The exit status of a program that Ctrl-C ended, as shells count it.
pub(crate) const INTERRUPTED: u8 = 130;

pub(crate) struct Recital {
    addresses: Vec<String>,
    started: Instant,
    /// Borrowed only inside methods of this file; a voice calls nobody back.
    voice: RefCell<Box<dyn Voice>>,
    /// One for each address; `None` while the poem is on its way.
    endings: RefCell<Vec<Option<Ending>>>,
    /// The tasks under way end without an ending.
    is_interrupted: Cell<bool>,
}

/// How a task ended: with a poem of so many bytes after so long, or without one.
pub(crate) type Ending = Result<(usize, Duration), Failed>;

/// The reason was printed when it happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed;

/// One poem from one address; tasks are counted from 1 when shown.
#[derive(Clone, Copy)]
pub(crate) struct Task(pub(crate) usize);

impl fmt::Display for Task {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Task {}", self.0 + 1)
    }
}

impl Recital {
    pub(crate) fn new(addresses: Vec<String>, voice: Box<dyn Voice>) -> Recital {
        Recital {
            endings: RefCell::new(vec![None; addresses.len()]),
            addresses,
            started: Instant::now(),
            voice: RefCell::new(voice),
            is_interrupted: Cell::new(false),
        }
    }

    /// Ctrl-C stops the reactor, and with it all connections: that is no failure of any task.
    pub(crate) fn stops_with(self: &Rc<Recital>, reactor: &Reactor) {
        let recital = self.clone();
        reactor.on_shutdown(move || recital.is_interrupted.set(!recital.is_over()));
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = Task> + use<> {
        (0..self.addresses.len()).map(Task)
    }

    pub(crate) fn address(&self, task: Task) -> &str {
        &self.addresses[task.0]
    }

    pub(crate) fn started(&self, task: Task) {
        self.voice.borrow_mut().started(task, self.address(task));
    }

    /// Adds a piece to a poem; fails if that has become too long.
    pub(crate) fn piece(&self, task: Task, poem: &mut Vec<u8>, bytes: &[u8]) -> Result {
        if poem.len() + bytes.len() > LONGEST {
            let address = self.address(task);
            return Err(Failure::msg(format!("{address} sent more than {LONGEST} bytes")));
        }
        poem.extend_from_slice(bytes);
        self.voice.borrow_mut().piece(task, self.address(task), bytes);
        Ok(())
    }

    /// `took` is what the task itself needed, from its own start.
    pub(crate) fn finished(&self, task: Task, poem: &[u8], took: Duration) {
        self.voice.borrow_mut().finished(task, self.address(task), poem.len(), took);
        self.end(task, Ok((poem.len(), took)));
    }

    pub(crate) fn failed(&self, task: Task, reason: &Failure) {
        if self.is_interrupted.get() {
            return;
        }
        eprintln!("poetry: {task}: {reason}");
        self.end(task, Err(Failed));
    }

    /// Since the first task could start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.endings.borrow().iter().all(Option::is_some)
    }

    /// How long each poem took; `None` unless all of them came.
    pub(crate) fn times(&self) -> Option<Vec<Duration>> {
        let endings = self.endings.borrow();
        endings.iter().map(|ending| Some((*ending)?.ok()?.1)).collect()
    }

    /// The last lines, and the exit status of the program.
    pub(crate) fn close(&self) -> ExitCode {
        if !self.is_over() {
            return INTERRUPTED.into();
        }
        let endings = self.endings.borrow();
        let poems = self.tasks().zip(endings.iter().flatten());
        let poems: Vec<_> =
            poems.filter_map(|(task, ending)| Some((task, (*ending).ok()?.0))).collect();
        for (task, bytes) in &poems {
            self.voice.borrow_mut().closed(*task, *bytes);
        }
        say(format_args!("Got {} poems in {}", poems.len(), Clock(self.elapsed())));
        if poems.len() < endings.len() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn end(&self, task: Task, ending: Ending) {
        self.endings.borrow_mut()[task.0] = Some(ending);
    }
}

/// A duration as hours, minutes, seconds and microseconds: `0:00:10.126361`.
pub(crate) struct Clock(pub(crate) Duration);

impl fmt::Display for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(out, "{hours}:{minutes:02}:{:02}.{:06}", seconds % 60, self.0.subsec_micros())
    }
}
