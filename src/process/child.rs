//! A child that runs: its pipes as connections, its exit, and the handle on both.

use super::options::{End, ProcessOptions, Spawned};
use super::terminal::connection;
use super::{
    ProcessDone, ProcessExitedAlready, ProcessProtocol, ProcessStatusUnknown, ProcessTerminated,
};
use crate::address::Address;
use crate::deferred::{Deferred, Trigger, fail, succeed};
use crate::failure::{Failure, NO_PLACE, Result, catch_panic, report};
use crate::protocol::Protocol;
use crate::reactor::{Loop, Reactor, ReadDescriptor, Signal, run_reporting_panic};
use crate::transport::{ConnectionDone, Transport};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::rc::Rc;

/// A handle on a child process; clones speak of the same one.
///
/// ```
/// use futures_util::AsyncReadExt;
/// use ropewalk::Reactor;
/// use ropewalk::process::{ChildDescriptor, Process, ProcessExitedAlready, ProcessOptions};
/// use ropewalk::reactor::Signal;
///
/// struct Quiet;
/// impl ropewalk::process::ProcessProtocol for Quiet {}
///
/// let reactor = Reactor::new()?;
/// let script = "read name <&3; cat >/dev/null; kill -TERM $$";
/// let options = ProcessOptions::new("sh").args(["-c", script]).descriptor(3, ChildDescriptor::Write);
/// let process: Process = reactor.run_until(reactor.spawn_process(Quiet, options))?;
/// assert!(process.pid() > 0 && process.status().is_none());
///
/// process.write("for its standard input");
/// process.write_to_child(3, "for the descriptor 3\n");
/// let three = process.transport(3).expect("it is open");
/// process.close_child(3);
/// assert!(!three.is_connected());
/// process.close_stdin();
///
/// let status = process.reactor().run_until(process.wait())?;
/// assert_eq!(process.status(), Some(status));
/// assert!(process.signal(Signal::Term).unwrap_err().is::<ProcessExitedAlready>());
/// process.lose_connection(); // nothing is open any more
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone)]
#[doc(alias = "IProcessTransport")]
pub struct Process {
    shared: Rc<Shared>,
}

impl Process {
    /// The system's number for the process; somebody else's once this one has ended.
    #[doc(alias = "id")]
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

    /// Ends the child's standard input, after what was written: what is written then is dropped. On a
    /// terminal this types its end-of-file character (Ctrl-D), after half a line twice.
    #[doc(alias = "closeStdin")]
    pub fn close_stdin(&self) {
        match self.transport(0) {
            Some(terminal) if self.shared.is_terminal => terminal.lose_write_connection(),
            _ => self.close_child(0),
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
    #[doc(alias = "kill")]
    pub fn signal(&self, signal: Signal) -> Result {
        let gone = || ProcessExitedAlready { program: self.shared.program.clone() };
        match &*self.shared.child.borrow() {
            Some(child) => match self.shared.send(child, signal.to_system()) {
                Err(rustix::io::Errno::SRCH) => Err(gone().into()),
                outcome => Ok(outcome?),
            },
            None => Err(gone().into()),
        }
    }

    /// Fires when the child has ended, and all of its descriptors that a protocol listens to.
    ///
    /// Fails with [`ProcessStatusUnknown`] if somebody else took its status, and if the reactor ended
    /// before the child did.
    pub fn wait(&self) -> Deferred<ExitStatus> {
        let told = match &*self.shared.end.borrow() {
            ChildEnd::Told(outcome) => Some(outcome.clone()),
            ChildEnd::Awaited(_) => None,
        };
        if let Some(outcome) = told {
            return outcome.map_or_else(fail, succeed);
        }
        let (trigger, deferred) = Deferred::new();
        if let ChildEnd::Awaited(waiting) = &mut *self.shared.end.borrow_mut() {
            waiting.push(trigger);
        }
        deferred
    }

    /// How the child ended, once it has and unless somebody else took its status.
    #[doc(alias = "try_wait")]
    pub fn status(&self) -> Option<ExitStatus> {
        self.shared.exit.get().and_then(Exit::status)
    }

    /// How the child ended, once it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.shared.exit.get()
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
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// How a child's exit was noticed.
#[derive(Clone, Copy)]
pub(super) enum Exit {
    With(ExitStatus),
    /// The system had its status no more: it was told to keep none, or somebody else was faster.
    StatusTaken,
}

impl Exit {
    fn status(self) -> Option<ExitStatus> {
        match self {
            Exit::With(status) => Some(status),
            Exit::StatusTaken => None,
        }
    }

    /// What is told of it, of a child that ran this program.
    pub(super) fn reason(self, program: &str) -> Failure {
        let program = program.into();
        match self {
            Exit::With(status) if status.success() => ProcessDone.into(),
            Exit::With(status) => {
                ProcessTerminated { program, status, last_words: Box::default() }.into()
            }
            Exit::StatusTaken => ProcessStatusUnknown { program }.into(),
        }
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
    /// The child itself, whatever becomes of its number.
    #[cfg(target_os = "linux")]
    descriptor: Option<Rc<OwnedFd>>,
    /// Absent while it is called, and once told the end.
    protocol: Cell<Option<Box<dyn ProcessProtocol>>>,
    exit: Cell<Option<Exit>>,
    /// Borrowed to look and to change, never while somebody is told.
    end: RefCell<ChildEnd>,
}

/// What was told at the end, or who waits for it.
enum ChildEnd {
    Told(Result<ExitStatus>),
    Awaited(Vec<Trigger<ExitStatus>>),
}

/// Starts a child for a protocol.
#[track_caller]
pub(super) fn spawn(
    reactor: &Reactor,
    protocol: Box<dyn ProcessProtocol>,
    options: ProcessOptions,
) -> Result<Process> {
    reactor.inner().check_alive()?;
    let Spawned { child, program, pipes, is_terminal } = options.spawn(reactor)?;
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
        #[cfg(target_os = "linux")]
        descriptor: descriptor_of(&child),
        child: RefCell::new(Some(child)),
        pipes: RefCell::default(),
        protocol: Cell::default(),
        exit: Cell::default(),
        end: RefCell::new(ChildEnd::Awaited(Vec::new())),
    })
}

/// Has the reactor notice the exit.
fn watch(reactor: &Reactor, shared: &Rc<Shared>) -> Result {
    #[cfg(target_os = "linux")]
    let descriptor = shared.descriptor.clone();
    #[cfg(not(target_os = "linux"))]
    let descriptor = None;
    let descriptor = match descriptor {
        Some(descriptor) => descriptor,
        None => Rc::new(wait_in_thread(shared.pid)?),
    };
    reactor.add_reader(ExitWatch { descriptor, shared: shared.clone() })?;
    Ok(())
}

/// A descriptor that is readable once the child has ended; not to be had before Linux 5.3.
#[cfg(target_os = "linux")]
fn descriptor_of(child: &Child) -> Option<Rc<OwnedFd>> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok().map(Rc::new)
}

/// Where the system gives no descriptor for a process, a thread of its own waits, and then closes what
/// is listened to here: one of the pool's would be lost to other work for as long as the child lives.
fn wait_in_thread(pid: u32) -> io::Result<OwnedFd> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let (end, held) = io::pipe()?;
    std::thread::Builder::new().name("ropewalk-child".into()).spawn(move || {
        let flags = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            let wait = || waitid(WaitId::Pid(pid), flags);
            while matches!(wait(), Err(rustix::io::Errno::INTR)) {}
        }
        drop(held);
    })?;
    Ok(end.into())
}

impl Shared {
    /// Makes one of the child's descriptors a connection.
    fn attach(self: &Rc<Self>, reactor: &Reactor, number: i32, end: End) -> Result {
        let name = Address::pipe(format!("descriptor {number} of {}", self.program));
        let connection = connection(reactor, end, name)?;
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
        let called = catch_panic(NO_PLACE, || call(&mut *protocol, &process));
        self.protocol.set(Some(protocol));
        called.inspect_err(|failure| report(what, failure)).ok()
    }

    /// Sends the child a signal: by its descriptor, as its number is another's once somebody else took
    /// its status.
    fn send(&self, child: &Child, signal: rustix::process::Signal) -> rustix::io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(descriptor) = &self.descriptor {
            match rustix::process::pidfd_send_signal(descriptor, signal) {
                // Not there, or forbidden to this process: only the number is left.
                Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {}
                outcome => return outcome,
            }
        }
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal)
    }

    /// 1: looks whether the child has ended, and takes note.
    fn reap(self: &Rc<Self>) {
        let status = match &mut *self.child.borrow_mut() {
            Some(child) => child.try_wait(),
            None => return,
        };
        match status {
            Ok(None) => {}
            Ok(Some(status)) => self.exited(Exit::With(status)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It was a child of this process: that there is none now says that its status was taken.
            Err(_) => self.exited(Exit::StatusTaken),
        }
    }

    fn exited(self: &Rc<Self>, exit: Exit) {
        let child = self.child.take();
        drop(child);
        self.exit.set(Some(exit));
        let reason = exit.reason(&self.program);
        self.call("panic in process_exited", |protocol, _| protocol.process_exited(&reason));
        self.end_if_over();
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
        let Some(exit) = self.exit.get() else { return };
        if self.pipes.borrow().is_empty() {
            self.end(exit.status(), &exit.reason(&self.program));
        }
    }

    fn end(&self, status: Option<ExitStatus>, reason: &Failure) {
        let outcome = status.ok_or_else(|| reason.clone());
        let waiting = match &mut *self.end.borrow_mut() {
            ChildEnd::Told(_) => return,
            ChildEnd::Awaited(waiting) => std::mem::take(waiting),
        };
        self.end.replace(ChildEnd::Told(outcome.clone()));
        if let Some(mut protocol) = self.protocol.take() {
            run_reporting_panic("panic in process_ended", || protocol.process_ended(reason));
            run_reporting_panic("panic in the drop of a protocol", || drop(protocol));
        }
        for trigger in waiting {
            // Cancelled meanwhile: nobody waits.
            let _ = trigger.fire(outcome.clone());
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

/// Hears that the child has ended.
struct ExitWatch {
    descriptor: Rc<OwnedFd>,
    shared: Rc<Shared>,
}

impl ReadDescriptor for ExitWatch {
    fn fileno(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn do_read(&mut self) -> Result {
        self.shared.reap();
        match self.shared.exit.get() {
            Some(_) => Err(ConnectionDone.into()),
            None => Ok(()),
        }
    }

    /// The reactor ends: the child is left alone, and who waits for it is told.
    fn connection_lost(&mut self, reason: &Failure) {
        if self.shared.exit.get().is_none() {
            self.shared.reap();
        }
        if self.shared.exit.get().is_none() {
            self.shared.end(None, reason);
        }
    }
}
