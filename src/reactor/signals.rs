//! SIGINT and SIGTERM stop a running reactor in order, a second one at once.
//!
//! While the loop runs, each signal writes a byte into a pipe of its own that the loop reads like
//! any other descriptor. While no loop of the process runs, the signals do what they would do
//! without us: end the process.

use super::{Descriptor, Loop, Reactor, ReadDescriptor};
use crate::failure::Result;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};
use signal_hook::{SigId, flag};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What to take back when the loop has ended.
#[derive(Default)]
pub(super) struct Watched {
    descriptors: Vec<Descriptor>,
    registrations: Vec<SigId>,
}

/// How many loops run in this process.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

pub(super) fn watch(inner: &Rc<Loop>) -> Result {
    if !inner.driver.has_signals() {
        return Ok(());
    }
    if RUNNING.fetch_add(1, Ordering::SeqCst) == 0 {
        nobody_runs().store(false, Ordering::SeqCst);
    }
    for signal in [SIGINT, SIGTERM] {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let ear = Ear { pipe: read, inner: inner.clone() };
        let descriptor = Reactor::from(inner.clone()).add_reader(ear)?;
        let mut watched = inner.signals.borrow_mut();
        watched.descriptors.push(descriptor);
        watched.registrations.push(pipe::register(signal, write)?);
    }
    Ok(())
}

pub(super) fn unwatch(inner: &Loop) {
    if !inner.driver.has_signals() {
        return;
    }
    let watched = inner.signals.take();
    for registration in watched.registrations {
        unregister(registration);
    }
    watched.descriptors.iter().for_each(Descriptor::remove);
    if RUNNING.fetch_sub(1, Ordering::SeqCst) == 1 {
        nobody_runs().store(true, Ordering::SeqCst);
    }
}

/// While it holds true, a signal does what it would do without us. Installed once per process: a
/// signal's handler cannot be taken back, only be told to do nothing.
fn nobody_runs() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(|| {
        let nobody_runs = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // It fails for signals that cannot be caught, and these can.
            let _ = flag::register_conditional_default(signal, nobody_runs.clone());
        }
        nobody_runs
    })
}

struct Ear {
    pipe: UnixStream,
    inner: Rc<Loop>,
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
                Ok(count) => (0..count).for_each(|_| self.inner.stop_by_signal()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
