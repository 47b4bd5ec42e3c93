//! A transport that leads nowhere: it keeps what is done with it, for a protocol's test to look at.

use super::Simulation;
use crate::address::Address;
use crate::deferred::{Deferred, fail, succeed};
use crate::driver::Readiness;
use crate::failure::{Failure, Result};
use crate::reactor::Reactor;
use crate::transport::{ConnectionDone, RawTransport, Transport, Wrap};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Keeps what a protocol does with its transport; clones speak of the same one.
///
/// ```
/// use ropewalk::simulation::RecordingTransport;
/// use ropewalk::{Protocol, Result, Transport};
///
/// struct Shout;
/// impl Protocol for Shout {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         transport.write(&data.to_ascii_uppercase());
///         transport.lose_connection();
///         Ok(())
///     }
/// }
/// let recording = RecordingTransport::new();
/// Shout.data_received(&recording.transport(), b"hello")?;
/// assert_eq!(recording.take(), b"HELLO");
/// assert!(recording.is_losing());
/// # Ok::<(), ropewalk::Failure>(())
/// ```
///
/// What a protocol did to its transport can be asked, each thing by itself:
///
/// ```
/// use ropewalk::simulation::RecordingTransport;
///
/// let recording = RecordingTransport::new();
/// let transport = recording.transport();
/// transport.write(b"seven!!");
/// assert_eq!((recording.len(), recording.is_empty()), (7, false));
/// transport.pause_reading();
/// assert!(!recording.is_reading());
/// transport.lose_write_connection();
/// assert!(recording.has_ended_writing() && !recording.is_losing());
/// transport.abort_connection();
/// assert!(recording.is_aborted());
/// ```
#[derive(Clone)]
#[doc(alias = "StringTransport")]
pub struct RecordingTransport {
    tape: Rc<Tape>,
}

struct Tape {
    written: RefCell<Vec<u8>>,
    asked: Cell<Asked>,
    peer: Address,
    host: Address,
    reactor: Reactor,
    /// Time for the reactor's timers; lives as long as they may.
    simulation: Simulation,
}

/// What the transport was asked for.
#[derive(Clone, Copy, Default)]
struct Asked {
    is_losing: bool,
    is_aborted: bool,
    has_ended_writing: bool,
    is_paused: bool,
    /// The connection is lost.
    is_over: bool,
}

impl RecordingTransport {
    /// From 10.0.0.1:12345 to 192.168.1.1:54321.
    pub fn new() -> RecordingTransport {
        let simulation = Simulation::unobserved(0);
        let reactor = simulation.host("recording").reactor();
        RecordingTransport::between(
            &simulation,
            reactor,
            ([10, 0, 0, 1], 12345),
            ([192, 168, 1, 1], 54321),
        )
    }

    pub(super) fn between(
        simulation: &Simulation,
        reactor: Reactor,
        host: ([u8; 4], u16),
        peer: ([u8; 4], u16),
    ) -> RecordingTransport {
        let tape = Tape {
            written: RefCell::default(),
            asked: Cell::default(),
            peer: SocketAddr::from(peer).into(),
            host: SocketAddr::from(host).into(),
            reactor,
            simulation: simulation.clone(),
        };
        RecordingTransport { tape: Rc::new(tape) }
    }

    /// The transport to give to a protocol.
    pub fn transport(&self) -> Transport {
        Transport::new(self.tape.clone())
    }

    /// Everything that was written, and nothing the next time.
    pub fn take(&self) -> Vec<u8> {
        self.tape.written.take()
    }

    /// How many bytes were written since they were last taken.
    pub fn len(&self) -> usize {
        self.tape.written.borrow().len()
    }

    /// Whether nothing was written since.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `lose_connection` was called.
    pub fn is_losing(&self) -> bool {
        self.tape.asked.get().is_losing
    }

    /// Whether `abort_connection` was called.
    pub fn is_aborted(&self) -> bool {
        self.tape.asked.get().is_aborted
    }

    /// Whether `lose_write_connection` was called.
    pub fn has_ended_writing(&self) -> bool {
        self.tape.asked.get().has_ended_writing
    }

    /// Whether reading is not paused.
    pub fn is_reading(&self) -> bool {
        !self.tape.asked.get().is_paused
    }

    /// The simulation whose time the transport's reactor has: let it run for what a timer shall do.
    pub fn simulation(&self) -> &Simulation {
        &self.tape.simulation
    }

    pub(super) fn end(&self) {
        self.tape.ask(|asked| asked.is_over = true);
    }
}

impl Default for RecordingTransport {
    fn default() -> RecordingTransport {
        RecordingTransport::new()
    }
}

impl fmt::Debug for RecordingTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingTransport")
            .field("written", &self.len())
            .field("is_losing", &self.is_losing())
            .finish_non_exhaustive()
    }
}

impl Tape {
    fn ask(&self, change: impl FnOnce(&mut Asked)) {
        let mut asked = self.asked.get();
        change(&mut asked);
        self.asked.set(asked);
    }

    fn takes_writes(&self) -> bool {
        self.is_connected() && !self.asked.get().has_ended_writing
    }
}

impl RawTransport for Tape {
    fn write(&self, data: &[u8]) {
        if self.takes_writes() {
            self.written.borrow_mut().extend_from_slice(data);
        }
    }

    fn write_vectored(&self, slices: &[IoSlice<'_>]) {
        slices.iter().for_each(|slice| self.write(slice));
    }

    fn lose_connection(&self) {
        self.ask(|asked| asked.is_losing = true);
    }

    fn abort_connection(&self) {
        self.ask(|asked| asked.is_aborted = true);
    }

    fn lose_write_connection(&self) {
        self.ask(|asked| asked.has_ended_writing = true);
    }

    fn pause_reading(&self) {
        self.ask(|asked| asked.is_paused = true);
    }

    fn resume_reading(&self) {
        self.ask(|asked| asked.is_paused = false);
    }

    fn is_reading(&self) -> bool {
        self.is_connected() && !self.asked.get().is_paused
    }

    fn is_connected(&self) -> bool {
        let asked = self.asked.get();
        !(asked.is_losing || asked.is_aborted || asked.is_over)
    }

    fn peer(&self) -> Address {
        self.peer.clone()
    }

    fn host(&self) -> Address {
        self.host.clone()
    }

    fn drained(&self) -> Deferred<()> {
        if self.asked.get().is_over { fail(ConnectionDone) } else { succeed(()) }
    }

    fn set_close_timeout(&self, _timeout: Duration) {}

    fn set_nodelay(&self, _on: bool) -> Result {
        Ok(())
    }

    fn set_keepalive(&self, _idle: Option<Duration>) -> Result {
        Ok(())
    }

    fn replace_stream(&self, _wrap: Wrap) -> Result {
        Err(Failure::msg("a recording transport has no stream to put a layer on"))
    }

    fn retry_io(&self, _readiness: Readiness) {}

    fn reactor(&self) -> Reactor {
        self.reactor.clone()
    }
}
