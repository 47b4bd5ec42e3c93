//! One end of a connection, as the reactor holds it: the calls of a socket, and how they fail.

use super::fault::{Call, Fault};
use super::pipe::Segment;
use super::random::nanos;
use super::run::World;
use super::socket::Stage;
use super::trace::EventKind;
use super::world::State;
use crate::address::Address;
use crate::driver::{ByteStream, Key, Layer, Socket};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

pub(super) struct SimulatedStream {
    pub(super) world: Rc<World>,
    pub(super) key: Key,
}

impl SimulatedStream {
    /// Counts the call; what goes wrong with it is returned, or done as far as it is more than a no.
    #[inline]
    fn enter(&self, state: &mut State, call: Call) -> io::Result<Option<Fault>> {
        let Some(socket) = state.sockets.get(self.key) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (host, connection) = (socket.host, socket.connection);
        match state.call(host, connection, call) {
            None => Ok(None),
            Some(fault) => self.fail(state, call, fault),
        }
    }

    #[inline(never)]
    fn fail(&self, state: &mut State, call: Call, fault: Fault) -> io::Result<Option<Fault>> {
        if call == Call::Write
            && let Some(socket) = state.sockets.get_mut(self.key)
        {
            // Should there be no room by the time of the edge that a fault owes, one follows later.
            socket.out.wants_room = true;
        }
        match fault {
            Fault::Short => return Ok(Some(fault)),
            Fault::WouldBlock => state.rise_soon(self.key),
            Fault::Error(io::ErrorKind::ConnectionReset) => {
                state.break_connection(self.key);
                // It is told by this very call.
                if let Some(socket) = state.sockets.get_mut(self.key) {
                    socket.error = None;
                }
            }
            _ => {}
        }
        Err(fault.to_error())
    }
}

impl ByteStream for SimulatedStream {
    fn register(&mut self, key: Key) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Register)?;
        if let Some(socket) = state.sockets.get_mut(self.key) {
            socket.key = Some(key);
        }
        state.rise(self.key);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = &mut *self.world.state.borrow_mut();
        let is_short = self.enter(state, Call::Read)?.is_some();
        let limit = if is_short { buffer.len().min(1) } else { buffer.len() };
        let count = state.read(self.key, &mut buffer[..limit])?;
        if is_short {
            state.rise_soon(self.key);
        }
        Ok(count)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let state = &mut *self.world.state.borrow_mut();
        let is_short = self.enter(state, Call::Write)?.is_some();
        let limit = if is_short { data.len().min(1) } else { data.len() };
        let count = state.write(self.key, &data[..limit])?;
        if is_short {
            state.rise_soon(self.key);
        }
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.write(&all)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Shutdown)?;
        let Some(socket) = state.sockets.get_mut(self.key) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        if socket.stage != Stage::Open {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let (host, connection) = (socket.host, socket.connection);
        if !std::mem::replace(&mut socket.has_shut, true) {
            state.note(host, connection, EventKind::EndSent);
            state.send(self.key, Segment::End);
        }
        // Both halves are closed now: the kernel says so.
        state.rise(self.key);
        Ok(())
    }

    fn peer(&self) -> io::Result<Address> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Address)?;
        let open = state.sockets.get(self.key).filter(|socket| socket.stage == Stage::Open);
        Ok(open.ok_or(io::ErrorKind::NotConnected)?.remote.into())
    }

    fn host(&self) -> io::Result<Address> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Address)?;
        Ok(state.sockets.get(self.key).ok_or(io::ErrorKind::NotConnected)?.local.into())
    }

    fn as_socket(&mut self) -> Option<&mut dyn Socket> {
        Some(self)
    }

    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        None
    }
}

impl Socket for SimulatedStream {
    fn has_unread(&mut self) -> bool {
        let state = self.world.state.borrow();
        state.sockets.get(self.key).is_some_and(|socket| socket.unread() > 0)
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Finish)?;
        let stage = state.sockets.get(self.key).map(|socket| socket.stage);
        match stage {
            Some(Stage::Asking) => Err(io::ErrorKind::WouldBlock.into()),
            Some(Stage::Failed(kind)) => Err(kind.into()),
            Some(Stage::Open | Stage::HalfOpen) => Ok(()),
            Some(Stage::Dead) | None => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        let state = &mut *self.world.state.borrow_mut();
        match self.enter(state, Call::Peek) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            outcome => outcome?,
        };
        match state.sockets.get_mut(self.key) {
            Some(socket) => socket.is_at_end(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn set_abort(&mut self) {
        if let Some(socket) = self.world.state.borrow_mut().sockets.get_mut(self.key) {
            socket.resets_on_close = true;
        }
    }

    fn set_nodelay(&mut self, _on: bool) -> io::Result<()> {
        Ok(())
    }

    fn set_keepalive(&mut self, idle: Option<Duration>) -> io::Result<()> {
        self.world.state.borrow_mut().set_keepalive(self.key, idle.map(nanos));
        Ok(())
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        self.world.state.borrow_mut().close(self.key);
    }
}
