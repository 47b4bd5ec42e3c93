//! A child that runs: its pipes as connections, its exit, and the handle on both.

use super::options::{End, ProcessOptions, Spawned};
use super::{ProcessDone, ProcessExitedAlready, ProcessProtocol, ProcessTerminated};
use crate::address::Address;
use crate::deferred::{Deferred, Trigger, succeed};
use crate::failure::{Failure, Result, contain, report};
use crate::protocol::Protocol;
#[cfg(target_os = "linux")]
use crate::reactor::ReadDescriptor;
use crate::reactor::{Loop, Reactor, Signal, attempt};
use crate::stdio::connection;
use crate::transport::{ConnectionDone, Transport};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::Location;
use std::process::{Child, ExitStatus};
use std::rc::Rc;

/// A handle on a child process; clones speak of the same one.
#[derive(Clone)]
#[doc(alias = "IProcessTransport")]
pub struct Process {
    shared: Rc<Shared>,
}

impl Process {
    /// The system's number for the process; somebody else's once this one has ended.
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// Writes to the child's standard input, or its terminal.
    pub fn write(&self, data: impl AsRef<[u8]>) {
        self.write_to_child(0, data);
    }

    /// Writes to one of the child's descriptors; dropped if that is closed.
    #[doc(alias = "writeToChild")]
    pub fn write_to_child(&self, descriptor: i32, data: impl AsRef<[u8]>) {
        if let Some(transport) = self.transport(descriptor) {
            transport.write(data);
        }
    }

    /// Ends the child's standard input, after what was written; on a terminal, types Ctrl-D.
    #[doc(alias = "closeStdin")]
    pub fn close_stdin(&self) {
        match self.shared.is_terminal {
            true => self.write(b"\x04"),
            false => self.close_child(0),
        }
    }

    /// Closes this end of one of the child's descriptors, after what was written.
    #[doc(alias = "closeChildFD")]
    pub fn close_child(&self, descriptor: i32) {
        if let Some(transport) = self.transport(descriptor) {
            transport.lose_connection();
        }
    }

    /// Closes this end of all of them; what the child still writes is lost.
    #[doc(alias = "loseConnection")]
    pub fn lose_connection(&self) {
        let transports: Vec<_> = self.shared.pipes.borrow().values().cloned().collect();
        transports.iter().for_each(Transport::lose_connection);
    }

    /// The connection with one of the child's descriptors, for those who want to pause or to wait.
    pub fn transport(&self, descriptor: i32) -> Option<Transport> {
        // A terminal is one connection, known by what it is read from.
        let descriptor = if self.shared.is_terminal { 1 } else { descriptor };
        self.shared.pipes.borrow().get(&descriptor).cloned()
    }

    /// Sends a signal. Fails with [`ProcessExitedAlready`] if the child has ended.
    #[doc(alias = "signalProcess")]
    pub fn signal(&self, signal: Signal) -> Result {
        match &*self.shared.child.borrow() {
            Some(child) => {
                let child = rustix::process::Pid::from_child(child);
                Ok(rustix::process::kill_process(child, signal.to_system())?)
            }
            None => Err(ProcessExitedAlready { program: self.shared.program.clone() }.into()),
        }
    }

    /// Fires when the child has ended, and all of its descriptors that a protocol listens to.
    pub fn ended(&self) -> Deferred<ExitStatus> {
        if self.shared.has_ended.get()
            && let Some(status) = self.shared.status.get()
        {
            return succeed(status);
        }
        let (trigger, deferred) = Deferred::new();
        self.shared.waiting.borrow_mut().push(trigger);
        deferred
    }

    /// How the child ended, once it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.shared.status.get()
    }

    /// The reactor that serves the child.
    pub fn reactor(&self) -> Reactor {
        Reactor::from(self.shared.inner.clone())
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("program", &self.shared.program)
            .field("pid", &self.shared.pid)
            .field("status", &self.shared.status.get())
            .finish_non_exhaustive()
    }
}

struct Shared {
    inner: Rc<Loop>,
    program: Box<str>,
    pid: u32,
    is_terminal: bool,
    /// Absent once its exit was noticed: its number may be another's then. Borrowed for one call.
    child: RefCell<Option<Child>>,
    /// The open ones. Borrowed to look and to change, never while a protocol is called.
    pipes: RefCell<BTreeMap<i32, Transport>>,
    /// Absent while it is called, and once told the end.
    protocol: Cell<Option<Box<dyn ProcessProtocol>>>,
    status: Cell<Option<ExitStatus>>,
    has_ended: Cell<bool>,
    waiting: RefCell<Vec<Trigger<ExitStatus>>>,
}

/// Starts a child for a protocol.
pub(super) fn spawn(
    reactor: &Reactor,
    protocol: Box<dyn ProcessProtocol>,
    options: ProcessOptions,
) -> Result<Process> {
    let Spawned { child, program, pipes, is_terminal } = options.spawn()?;
    let shared = share(reactor, child, program, is_terminal);
    shared.protocol.set(Some(protocol));
    let attached =
        pipes.into_iter().try_for_each(|(number, end)| shared.attach(reactor, number, end));
    attached.and_then(|()| watch(reactor, &shared)).inspect_err(|_| shared.undo())?;
    let process = Process { shared };
    process.shared.call("panic in connection_made", |protocol, process| {
        protocol.connection_made(process);
    });
    Ok(process)
}

/// Follows a child whose pipes are somebody else's business.
pub(super) fn follow(reactor: &Reactor, child: Child, program: Box<str>) -> Result<Process> {
    let shared = share(reactor, child, program, false);
    watch(reactor, &shared).inspect_err(|_| shared.undo())?;
    Ok(Process { shared })
}

fn share(reactor: &Reactor, child: Child, program: Box<str>, is_terminal: bool) -> Rc<Shared> {
    Rc::new(Shared {
        inner: reactor.inner().clone(),
        program,
        pid: child.id(),
        is_terminal,
        child: RefCell::new(Some(child)),
        pipes: RefCell::default(),
        protocol: Cell::default(),
        status: Cell::default(),
        has_ended: Cell::default(),
        waiting: RefCell::default(),
    })
}

/// Has the reactor notice the exit.
fn watch(reactor: &Reactor, shared: &Rc<Shared>) -> Result {
    #[cfg(target_os = "linux")]
    if let Some(exit) = exit_descriptor(shared) {
        reactor.add_reader(Exit { exit, shared: shared.clone() })?;
        return Ok(());
    }
    watch_in_thread(reactor, shared);
    Ok(())
}

/// A descriptor that is readable once the child has ended; not to be had before Linux 5.3.
#[cfg(target_os = "linux")]
fn exit_descriptor(shared: &Shared) -> Option<OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let child = shared.child.borrow();
    pidfd_open(Pid::from_child(child.as_ref()?), PidfdFlags::empty()).ok()
}

/// Where the system gives no descriptor for a process, a thread of its own waits: one of the pool's
/// would be lost to other work for as long as the child lives.
fn watch_in_thread(reactor: &Reactor, shared: &Rc<Shared>) {
    let (trigger, deferred) = Deferred::<()>::new();
    let (sendable, pid) = (reactor.sendable(trigger), shared.pid);
    let waiter = std::thread::Builder::new().name("ropewalk-child".into()).spawn(move || {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let flags = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            let wait = || waitid(WaitId::Pid(pid), flags);
            while matches!(wait(), Err(rustix::io::Errno::INTR)) {}
        }
        // Without a reactor nobody waits for the child.
        let _ = sendable.callback(());
    });
    let shared = shared.clone();
    drop(deferred.add_both(move |_| shared.reap()));
    if let Err(error) = waiter {
        report("the exit of a process will not be noticed", &Failure::from(error));
    }
}

impl Shared {
    /// Makes one of the child's descriptors a connection.
    fn attach(self: &Rc<Self>, reactor: &Reactor, number: i32, end: End) -> Result {
        let name = Address::pipe(format!("descriptor {number} of {}", self.program));
        let connection = connection(reactor, end.input, end.output, name)?;
        self.pipes.borrow_mut().insert(number, connection.transport());
        connection.begin(Box::new(Pipe { shared: self.clone(), number }));
        Ok(())
    }

    /// The child was started and cannot be served: it shall not go on unseen.
    fn undo(&self) {
        if let Some(mut child) = self.child.take() {
            // It has not been waited for, so that it is there to be killed.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }

    /// Calls the protocol, if it is there; a panic is reported.
    fn call<R>(
        self: &Rc<Self>,
        what: &str,
        call: impl FnOnce(&mut dyn ProcessProtocol, &Process) -> R,
    ) -> Option<R> {
        let mut protocol = self.protocol.take()?;
        let process = Process { shared: self.clone() };
        let called = contain(Location::caller(), || call(&mut *protocol, &process));
        self.protocol.set(Some(protocol));
        called.inspect_err(|failure| report(what, failure)).ok()
    }

    /// 1: looks whether the child has ended, and takes note.
    fn reap(self: &Rc<Self>) {
        let status = match &mut *self.child.borrow_mut() {
            Some(child) => child.try_wait(),
            None => return,
        };
        match status {
            Ok(None) => {}
            Ok(Some(status)) => self.exited(status),
            Err(error) => report("the exit of a process", &Failure::from(error)),
        }
    }

    fn exited(self: &Rc<Self>, status: ExitStatus) {
        let child = self.child.take();
        drop(child);
        self.status.set(Some(status));
        let reason = self.reason(status);
        self.call("panic in process_exited", |protocol, _| protocol.process_exited(&reason));
        self.end_if_over();
    }

    fn reason(&self, status: ExitStatus) -> Failure {
        match status.success() {
            true => ProcessDone.into(),
            false => {
                let (program, last_words) = (self.program.clone(), Box::default());
                ProcessTerminated { program, status, last_words }.into()
            }
        }
    }

    /// 2: one of the pipes has ended.
    fn lost_pipe(self: &Rc<Self>, number: i32) {
        let transport = self.pipes.borrow_mut().remove(&number);
        drop(transport);
        self.call("panic in child_connection_lost", |protocol, process| {
            protocol.child_connection_lost(process, number);
        });
        self.end_if_over();
    }

    fn end_if_over(&self) {
        let Some(status) = self.status.get() else { return };
        if self.pipes.borrow().is_empty() {
            self.end(&self.reason(status));
        }
    }

    fn end(&self, reason: &Failure) {
        if self.has_ended.replace(true) {
            return;
        }
        if let Some(mut protocol) = self.protocol.take() {
            attempt("panic in process_ended", || protocol.process_ended(reason));
            attempt("panic in the drop of a protocol", || drop(protocol));
        }
        for trigger in self.waiting.take() {
            // Cancelled meanwhile: nobody waits.
            let _ = match self.status.get() {
                Some(status) => trigger.callback(status),
                None => trigger.errback(reason.clone()),
            };
        }
    }
}

/// The protocol of a connection with one of a child's descriptors.
struct Pipe {
    shared: Rc<Shared>,
    number: i32,
}

impl Protocol for Pipe {
    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        let received = self.shared.call("panic in child_data_received", |protocol, process| {
            protocol.child_data_received(process, self.number, data)
        });
        received.unwrap_or_else(|| Err(ConnectionDone.into()))
    }

    fn connection_lost(&mut self, _reason: &Failure) {
        self.shared.lost_pipe(self.number);
    }
}

/// The descriptor that says that the child has ended.
#[cfg(target_os = "linux")]
struct Exit {
    exit: OwnedFd,
    shared: Rc<Shared>,
}

#[cfg(target_os = "linux")]
impl ReadDescriptor for Exit {
    fn fileno(&self) -> BorrowedFd<'_> {
        self.exit.as_fd()
    }

    fn do_read(&mut self) -> Result {
        self.shared.reap();
        match self.shared.status.get() {
            Some(_) => Err(ConnectionDone.into()),
            None => Ok(()),
        }
    }

    /// The reactor ends: the child is left alone, and who waits for it is told.
    fn connection_lost(&mut self, reason: &Failure) {
        if self.shared.status.get().is_none() {
            self.shared.reap();
        }
        if self.shared.status.get().is_none() {
            self.shared.end(reason);
        }
    }
}
