//! Signals of the system: SIGINT and SIGTERM stop a running reactor, and anybody may watch any.
//!
//! # Theory
//! Each watch has a pipe of its own. A signal writes a byte into the pipes of all who watch it, and
//! the loop reads them like any other descriptor, so that what is called is called by the loop and may
//! do anything. A watch that is made before the loop runs hears what came meanwhile.
//!
//! A running loop watches SIGINT and SIGTERM itself: the first stops it in order, the second at once.
//! Whoever watches one of these two takes that over for his loop.
//!
//! While nobody in the process watches a signal, it does what it did before anybody had: a handler
//! cannot be taken back safely, but it can be told to act as if it were not there.
//!
//! # Not here
//! Signals to others: `Process::signal`.

use super::{Descriptor, Loop, Reactor, ReadDescriptor, Signal};
use crate::deferred::{Deferred, IntoDeferred, fail};
use crate::failure::{Failure, Result};
use signal_hook::low_level::{pipe, unregister};
use signal_hook::{SigId, flag};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a loop watches for itself, and what others have taken over.
#[derive(Default)]
pub(super) struct Watched {
    stops: Vec<Descriptor>,
    /// How many watches of others there are of each signal.
    others: BTreeMap<i32, usize>,
}

/// The signals that stop a running loop.
const STOPS: [Signal; 2] = [Signal::Int, Signal::Term];

pub(super) fn watch(inner: &Rc<Loop>) -> Result {
    if !inner.driver.has_signals() {
        return Ok(());
    }
    for signal in STOPS {
        let ear = Ear::new(inner, signal, Role::Stop)?;
        let descriptor = Reactor::from(inner.clone()).add_reader(ear)?;
        inner.signals.borrow_mut().stops.push(descriptor);
    }
    Ok(())
}

pub(super) fn unwatch(inner: &Loop) {
    let stops = std::mem::take(&mut inner.signals.borrow_mut().stops);
    stops.iter().for_each(Descriptor::remove);
}

impl Reactor {
    /// Calls `call` for each signal of a kind that arrives, until the watch is removed or the reactor
    /// shuts down.
    ///
    /// A watch of [`Signal::Int`] or [`Signal::Term`] takes the place of stopping the reactor. Fails
    /// for signals that cannot be caught. A failure that `call` returns is reported.
    ///
    /// ```
    /// use ropewalk::{Reactor, Signal};
    ///
    /// let reactor = Reactor::new()?;
    /// let watch = reactor.on_signal(Signal::Hup, || println!("reading the configuration again"))?;
    /// watch.remove();
    /// assert!(reactor.on_signal(Signal::Kill, || ()).is_err());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn on_signal<F, R>(&self, signal: Signal, mut call: F) -> Result<SignalWatch>
    where
        F: FnMut() -> R + 'static,
        R: IntoDeferred,
    {
        let is_over = Rc::new(Cell::new(false));
        let over = is_over.clone();
        let call = move || {
            if !over.get() {
                super::attempt("panic in a watch of a signal", || drop(call().into_deferred()));
            }
            Ok(())
        };
        let role = Role::Other { call: Box::new(call), lost: None };
        Ok(SignalWatch { descriptor: self.listen(signal, role)?, is_over })
    }

    /// Fires when a signal arrives; fails if the reactor shuts down first.
    ///
    /// Cancelling ends the watch. Otherwise as [`on_signal`](Reactor::on_signal).
    ///
    /// ```
    /// use ropewalk::{Reactor, Signal};
    /// use std::process::Command;
    ///
    /// let reactor = Reactor::new()?;
    /// let signal = reactor.signal(Signal::Usr1);
    /// let us = std::process::id();
    /// Command::new("sh").arg("-c").arg(format!("kill -USR1 {us}")).status()?;
    /// reactor.run_until(signal)?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn signal(&self, signal: Signal) -> Deferred<()> {
        let descriptor = Rc::new(RefCell::new(None));
        let watch = descriptor.clone();
        let (trigger, deferred) = Deferred::with_canceller(move |_| {
            let watch: Option<Descriptor> = watch.take();
            watch.iter().for_each(Descriptor::remove);
        });
        let at_end = trigger.clone();
        let call = move || {
            // Cancelled meanwhile: nobody waits.
            let _ = trigger.callback(());
            Err(Over.into())
        };
        let lost = move |reason: &Failure| {
            // It has fired if this is the end that it asked for itself.
            let _ = at_end.errback(reason.clone());
        };
        let role = Role::Other { call: Box::new(call), lost: Some(Box::new(lost)) };
        match self.listen(signal, role) {
            Ok(listening) => drop(descriptor.replace(Some(listening))),
            Err(failure) => return fail(failure),
        }
        deferred
    }

    fn listen(&self, signal: Signal, role: Role) -> Result<Descriptor> {
        if !self.inner().driver.has_signals() {
            return Err(cannot(signal, "this reactor's driver has no signals"));
        }
        self.add_reader(Ear::new(self.inner(), signal, role)?)
    }
}

/// A signal that is watched; dropping this changes nothing.
#[derive(Debug)]
pub struct SignalWatch {
    descriptor: Descriptor,
    is_over: Rc<Cell<bool>>,
}

impl SignalWatch {
    /// Ends the watch; the last one of a signal gives the signal its former effect back.
    pub fn remove(&self) {
        self.is_over.set(true);
        self.descriptor.remove();
    }
}

/// What listens to one signal for one loop.
struct Ear {
    pipe: UnixStream,
    inner: Rc<Loop>,
    signal: i32,
    role: Role,
    #[expect(dead_code, reason = "held for its Drop")]
    registration: Registration,
}

enum Role {
    Stop,
    Other { call: Box<dyn FnMut() -> Result>, lost: Option<Lost> },
}

type Lost = Box<dyn FnOnce(&Failure)>;

impl Ear {
    fn new(inner: &Rc<Loop>, signal: Signal, role: Role) -> Result<Ear> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let registration = Registration::new(signal, write)?;
        let number = signal.number();
        if let Role::Other { .. } = role {
            *inner.signals.borrow_mut().others.entry(number).or_default() += 1;
        }
        Ok(Ear { pipe: read, inner: inner.clone(), signal: number, role, registration })
    }

    fn heard(&mut self) -> Result {
        match &mut self.role {
            Role::Other { call, .. } => call(),
            Role::Stop => {
                if !self.inner.signals.borrow().others.contains_key(&self.signal) {
                    self.inner.stop_by_signal();
                }
                Ok(())
            }
        }
    }
}

impl ReadDescriptor for Ear {
    fn fileno(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    fn do_read(&mut self) -> Result {
        let mut bytes = [0; 16];
        loop {
            match self.pipe.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => (0..count).try_for_each(|_| self.heard())?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn connection_lost(&mut self, reason: &Failure) {
        if let Role::Other { lost, .. } = &mut self.role
            && let Some(lost) = lost.take()
        {
            lost(reason);
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        if let Role::Stop = self.role {
            return;
        }
        let others = &mut self.inner.signals.borrow_mut().others;
        if let Some(count) = others.get_mut(&self.signal) {
            *count -= 1;
            if *count == 0 {
                others.remove(&self.signal);
            }
        }
    }
}

/// How many watch a signal in this process, and whether it shall do what it would do without us.
struct Effect {
    watches: usize,
    /// Absent if the signal was ignored from the start: so it is while nobody watches.
    is_default: Option<Arc<AtomicBool>>,
}

static EFFECTS: Mutex<BTreeMap<i32, Effect>> = Mutex::new(BTreeMap::new());

fn effects() -> MutexGuard<'static, BTreeMap<i32, Effect>> {
    EFFECTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pipe's share in a signal.
struct Registration {
    id: SigId,
    signal: i32,
}

impl Registration {
    fn new(signal: Signal, pipe: UnixStream) -> Result<Registration> {
        if matches!(signal, Signal::Kill | Signal::Stop) {
            return Err(cannot(signal, "it cannot be caught"));
        }
        let signal = signal.number();
        let mut effects = effects();
        let effect = match effects.entry(signal) {
            std::collections::btree_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::btree_map::Entry::Vacant(first) => first.insert(Effect::new(signal)?),
        };
        let id = pipe::register(signal, pipe)?;
        effect.watches += 1;
        effect.act_as_default(false);
        Ok(Registration { id, signal })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(effect) = effects().get_mut(&self.signal) {
            effect.watches -= 1;
            effect.act_as_default(effect.watches == 0);
        }
        unregister(self.id);
    }
}

impl Effect {
    fn new(signal: i32) -> io::Result<Effect> {
        if is_ignored(signal) {
            return Ok(Effect { watches: 0, is_default: None });
        }
        let is_default = Arc::new(AtomicBool::new(false));
        flag::register_conditional_default(signal, is_default.clone())?;
        Ok(Effect { watches: 0, is_default: Some(is_default) })
    }

    fn act_as_default(&self, yes: bool) {
        if let Some(is_default) = &self.is_default {
            is_default.store(yes, Ordering::SeqCst);
        }
    }
}

/// Whether the process was started with the signal ignored, as `nohup` does; only Linux tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

fn cannot(signal: Signal, why: &str) -> Failure {
    Failure::msg(format!("cannot watch {signal}: {why}"))
}

/// A watch for one signal has had it.
#[derive(Debug)]
struct Over;

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signal has arrived")
    }
}

impl std::error::Error for Over {}
