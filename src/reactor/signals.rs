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
//! What a signal did before is looked up in `/proc/self/status`, before the first of our handlers:
//!
//! * **Ignored**, as `nohup` and `sh -c 'program &'` start a program: it stays so, and no watch hears of it.
//! * **Caught** by a handler of the application's: that is called as well, and alone while nobody watches.
//! * **Default**: while nobody in the process watches, the default happens. A handler cannot be taken back
//!   safely, but it can be told to act as if it were not there.
//!
//! # Not here
//! Signals to others: `Process::signal`.

use super::{Descriptor, Loop, Reactor, ReadDescriptor, Signal};
use crate::deferred::{Deferred, IntoDeferred, fail};
use crate::failure::{Failure, Result};
use signal_hook::low_level::{pipe, unregister};
use signal_hook::{SigId, flag};
use std::cell::{Cell, RefCell};
use std::collections::btree_map::{BTreeMap, Entry};
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
        if ear.registration.is_ignored() {
            continue;
        }
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
    /// A signal that the process was started to ignore, as by `nohup`, stays ignored: the watch is made, and
    /// never called ([`SignalWatch::is_ignored`]). A handler that the application installed before is
    /// called as well.
    ///
    /// ```
    /// use ropewalk::reactor::Signal;
    /// use ropewalk::Reactor;
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
                super::run_reporting_panic("panic in a watch of a signal", || {
                    drop(call().into_deferred())
                });
            }
            Ok(())
        };
        let role = Role::Other { call: Box::new(call), lost: None };
        let descriptor = self.watch_role(signal, role)?;
        Ok(SignalWatch { descriptor, is_over, signal: signal.number() })
    }

    /// Fires when a signal arrives; fails if the reactor shuts down first.
    ///
    /// Cancelling ends the watch. Otherwise as [`on_signal`](Reactor::on_signal).
    ///
    /// ```
    /// use ropewalk::reactor::Signal;
    /// use ropewalk::Reactor;
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
    #[doc(alias = "ctrl_c")]
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
        match self.watch_role(signal, role) {
            Ok(listening) => drop(descriptor.replace(Some(listening))),
            Err(failure) => return fail(failure),
        }
        deferred
    }

    fn watch_role(&self, signal: Signal, role: Role) -> Result<Descriptor> {
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
    signal: i32,
}

impl SignalWatch {
    /// Ends the watch; the last one of a signal gives the signal its former effect back.
    pub fn remove(&self) {
        self.is_over.set(true);
        self.descriptor.remove();
    }

    /// Whether the signal was ignored when it was first watched, and so stays ignored.
    ///
    /// ```
    /// use ropewalk::reactor::Signal;
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// let watch = reactor.on_signal(Signal::Hup, || println!("reading the configuration again"))?;
    /// if watch.is_ignored() {
    ///     println!("started with nohup: SIGHUP does nothing");
    /// }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn is_ignored(&self) -> bool {
        effects().get(&self.signal).is_some_and(|effect| effect.former == Former::Ignored)
    }
}

/// What listens to one signal for one loop.
struct Ear {
    pipe: UnixStream,
    inner: Rc<Loop>,
    signal: i32,
    role: Role,
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

/// How many watch a signal in this process, and what it did before anybody did.
struct Effect {
    watches: usize,
    former: Former,
    /// While this is true, the handler does what the system would do without it.
    acts_as_default: Arc<AtomicBool>,
}

/// What a signal did before our first handler.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Former {
    Default,
    /// And is still: there is no handler of ours.
    Ignored,
    /// A handler of the application's, which ours calls.
    Caught,
}

static EFFECTS: Mutex<BTreeMap<i32, Effect>> = Mutex::new(BTreeMap::new());

fn effects() -> MutexGuard<'static, BTreeMap<i32, Effect>> {
    EFFECTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pipe's share in a signal.
struct Registration {
    signal: i32,
    share: Share,
}

enum Share {
    Heard(SigId),
    /// The pipe's other end, where nothing is ever written: a pipe without one is at its end.
    Ignored(#[expect(dead_code, reason = "held open")] UnixStream),
}

impl Registration {
    fn new(signal: Signal, pipe: UnixStream) -> Result<Registration> {
        if matches!(signal, Signal::Kill | Signal::Stop) {
            return Err(cannot(signal, "it cannot be caught"));
        }
        let signal = signal.number();
        let mut effects = effects();
        let effect = match effects.entry(signal) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(first) => first.insert(Effect::new(signal)?),
        };
        if effect.former == Former::Ignored {
            return Ok(Registration { signal, share: Share::Ignored(pipe) });
        }
        let id = pipe::register(signal, pipe)?;
        effect.watches += 1;
        effect.settle();
        Ok(Registration { signal, share: Share::Heard(id) })
    }

    fn is_ignored(&self) -> bool {
        matches!(self.share, Share::Ignored(_))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Share::Heard(id) = self.share else { return };
        if let Some(effect) = effects().get_mut(&self.signal) {
            effect.watches -= 1;
            effect.settle();
        }
        unregister(id);
    }
}

impl Effect {
    fn new(signal: i32) -> io::Result<Effect> {
        let effect =
            Effect { watches: 0, former: Former::of(signal), acts_as_default: Arc::default() };
        if effect.former == Former::Default {
            flag::register_conditional_default(signal, effect.acts_as_default.clone())?;
        }
        Ok(effect)
    }

    fn settle(&self) {
        self.acts_as_default.store(self.watches == 0, Ordering::SeqCst);
    }
}

impl Former {
    /// What the system says that a signal does; where it does not, the default is assumed.
    fn of(signal: i32) -> Former {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let is_in = |name: &str| {
            let mask = status.lines().find_map(|line| line.strip_prefix(name));
            let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
        };
        // That SIGPIPE is ignored is the work of Rust's runtime, not of whoever started the program.
        if is_in("SigIgn:") && signal != Signal::Pipe.number() {
            return Former::Ignored;
        }
        if is_in("SigCgt:") { Former::Caught } else { Former::Default }
    }
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
