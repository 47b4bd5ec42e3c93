//! Two protocols face to face, without a network: what one writes, the other is given.

use super::{RecordingTransport, Simulation};
use crate::failure::Failure;
use crate::protocol::Protocol;
use crate::transport::{ConnectionAborted, ConnectionDone, ConnectionLost, Transport};
use std::fmt;
use std::io;

/// Moves bytes and ends between two protocols, as far as the test asks for.
///
/// ```
/// use ropewalk::simulation::Pump;
/// use ropewalk::{Protocol, Result, Transport};
///
/// struct Asker(Vec<u8>);
/// impl Protocol for Asker {
///     fn connection_made(&mut self, transport: &Transport) {
///         transport.write(b"ping");
///     }
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         self.0.extend_from_slice(data);
///         transport.lose_connection();
///         Ok(())
///     }
/// }
/// struct Echo;
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         transport.write(data);
///         Ok(())
///     }
/// }
/// let mut pump = Pump::new(Asker(Vec::new()), Echo);
/// pump.flush();
/// assert_eq!(pump.client().0, b"ping");
/// assert!(pump.is_over());
/// ```
///
/// Both ends can be looked at and acted on between two steps:
///
/// ```
/// use ropewalk::simulation::Pump;
/// use ropewalk::{Protocol, Result, Transport};
///
/// struct Count(usize);
/// impl Protocol for Count {
///     fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
///         self.0 += data.len();
///         Ok(())
///     }
/// }
/// let mut pump = Pump::new(Count(0), Count(0));
/// pump.with_client(|_, transport| transport.write(b"ping"));
/// pump.with_server(|_, transport| transport.write(b"and back"));
/// pump.flush();
/// assert_eq!((pump.client().0, pump.server().0), (8, 4));
/// pump.with_client(|_, transport| transport.lose_connection());
/// pump.flush();
/// let (client, server) = pump.reasons();
/// assert!(client.is_some() && server.is_some());
/// ```
#[doc(alias = "duplex")]
#[doc(alias = "IOPump")]
pub struct Pump<C, S> {
    client: End<C>,
    server: End<S>,
    simulation: Simulation,
}

struct End<P> {
    protocol: P,
    recording: RecordingTransport,
    transport: Transport,
    /// What it wrote and the other end was not given yet.
    under_way: Vec<u8>,
    has_told_end: bool,
    is_read_closed: bool,
    is_write_closed: bool,
    lost: Option<Failure>,
}

/// More rounds than this, and the two will never be done.
const ROUNDS: usize = 10_000;

impl<C: Protocol, S: Protocol> Pump<C, S> {
    /// Connects the two; both have been told when this returns, and nothing has moved.
    pub fn new(client: C, server: S) -> Pump<C, S> {
        let simulation = Simulation::unobserved(0);
        let (near, far) = (([10, 0, 0, 1], 12345), ([192, 168, 1, 1], 54321));
        let reactor = |name| simulation.host(name).reactor();
        let at_client = RecordingTransport::between(&simulation, reactor("client"), near, far);
        let at_server = RecordingTransport::between(&simulation, reactor("server"), far, near);
        Pump {
            client: End::new(client, at_client),
            server: End::new(server, at_server),
            simulation,
        }
    }

    /// Moves what each wrote to the other until both are quiet and no end is left to be told.
    ///
    /// # Panics
    /// When they are not after ten thousand rounds: two protocols that answer each other for ever.
    pub fn flush(&mut self) {
        for _ in 0..ROUNDS {
            if !self.pump(usize::MAX) {
                return;
            }
        }
        panic!("after {ROUNDS} rounds the two protocols still have something to say");
    }

    /// Moves at most so many bytes each way, then what follows from ends; whether anything moved.
    pub fn pump(&mut self, most: usize) -> bool {
        self.client.collect();
        self.server.collect();
        let to_server = self.client.give(most);
        let to_client = self.server.give(most);
        let mut moved = self.server.receive(&to_server);
        moved |= self.client.receive(&to_client);
        moved |= self.client.settle(&mut self.server);
        moved |= self.server.settle(&mut self.client);
        moved
    }

    /// The client's protocol.
    pub fn client(&self) -> &C {
        &self.client.protocol
    }

    /// The server's protocol.
    pub fn server(&self) -> &S {
        &self.server.protocol
    }

    /// Calls something on the client's protocol; pump then.
    pub fn with_client<R>(&mut self, call: impl FnOnce(&mut C, &Transport) -> R) -> R {
        call(&mut self.client.protocol, &self.client.transport)
    }

    /// Calls something on the server's protocol; pump then.
    pub fn with_server<R>(&mut self, call: impl FnOnce(&mut S, &Transport) -> R) -> R {
        call(&mut self.server.protocol, &self.server.transport)
    }

    /// What each was told at its end, client first; `None` before.
    pub fn reasons(&self) -> (Option<&Failure>, Option<&Failure>) {
        (self.client.lost.as_ref(), self.server.lost.as_ref())
    }

    /// Whether both have lost the connection.
    pub fn is_over(&self) -> bool {
        self.client.lost.is_some() && self.server.lost.is_some()
    }

    /// The virtual time of the two reactors: let it run for what their timers shall do.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }
}

impl<P: Protocol> End<P> {
    fn new(mut protocol: P, recording: RecordingTransport) -> End<P> {
        let transport = recording.transport();
        protocol.connection_made(&transport);
        End {
            protocol,
            recording,
            transport,
            under_way: Vec::new(),
            has_told_end: false,
            is_read_closed: false,
            is_write_closed: false,
            lost: None,
        }
    }

    fn collect(&mut self) {
        self.under_way.extend(self.recording.take());
    }

    fn give(&mut self, most: usize) -> Vec<u8> {
        let count = self.under_way.len().min(most);
        self.under_way.drain(..count).collect()
    }

    fn receive(&mut self, data: &[u8]) -> bool {
        if data.is_empty() {
            return false;
        }
        // As on a real connection, a protocol that is ending hears nothing more.
        if self.transport.is_connected()
            && let Err(failure) = self.protocol.data_received(&self.transport, data)
        {
            self.collect();
            self.lose(failure);
        }
        true
    }

    /// Does what follows from what this end wants, once what it wrote has arrived.
    fn settle<Q: Protocol>(&mut self, other: &mut End<Q>) -> bool {
        self.collect();
        if self.recording.is_aborted() && !self.has_told_end {
            self.has_told_end = true;
            self.under_way.clear();
            self.lose(ConnectionAborted::new("abort_connection was called"));
            let reset = io::Error::from(io::ErrorKind::ConnectionReset);
            other.lose(ConnectionLost::new(other.transport.peer(), reset));
            return true;
        }
        let wants_end = self.recording.is_losing() || self.lost.is_some();
        let ends = wants_end || self.recording.has_ended_writing();
        if !ends || !self.under_way.is_empty() {
            return false;
        }
        let mut did = self.tell_end(other);
        if wants_end || (self.is_write_closed && self.is_read_closed) {
            did |= self.lose(ConnectionDone);
        }
        did
    }

    /// Tells both that this end will write no more.
    fn tell_end<Q: Protocol>(&mut self, other: &mut End<Q>) -> bool {
        if std::mem::replace(&mut self.has_told_end, true) {
            return false;
        }
        self.is_write_closed = true;
        if self.transport.is_connected() {
            self.protocol.write_closed(&self.transport);
        }
        other.is_read_closed = true;
        if other.transport.is_connected() {
            other.protocol.read_closed(&other.transport);
        }
        true
    }

    fn lose(&mut self, reason: impl Into<Failure>) -> bool {
        if self.lost.is_some() {
            return false;
        }
        self.recording.end();
        let reason = reason.into();
        self.protocol.connection_lost(&reason);
        self.lost = Some(reason);
        true
    }
}

impl<C, S> fmt::Debug for Pump<C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump")
            .field("client_has_lost", &self.client.lost.is_some())
            .field("server_has_lost", &self.server.lost.is_some())
            .finish_non_exhaustive()
    }
}
