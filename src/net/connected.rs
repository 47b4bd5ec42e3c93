//! A protocol that is reached from outside its callbacks.
//!
//! The protocol lives in a `Guest` that the connection's side (`Host`) and the user's ([`Connected`])
//! share. Whoever calls it takes it out and puts it back; what the other wants meanwhile is queued and
//! called right after.

use crate::deferred::{Deferred, IntoDeferred};
use crate::failure::{Failure, NO_PLACE, Result, catch_panic, plain_error};
use crate::net::connection::Connection;
use crate::protocol::{Factory, Protocol};
use crate::reactor::run_reporting_panic;
use crate::transport::Transport;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// A protocol that can be reached from outside its callbacks.
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::simulation::Simulation;
/// use ropewalk::{Address, Protocol, Result, Transport};
///
/// struct Counter(usize);
/// impl Protocol for Counter {
///     fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
///         self.0 += data.len();
///         Ok(())
///     }
/// }
/// let simulation = Simulation::new(1);
/// simulation.host("server").reactor().serve_tcp("0.0.0.0:80", async |stream| {
///     stream.transport().write(b"seven!!");
///     Ok(())
/// })?;
/// let connecting = simulation.host("client").reactor().connect("server:80", |_: &Address| Counter(0));
/// let connected = simulation.run_until(connecting)?;
/// simulation.run_until_idle()?;
/// # let _ = connected.transport().peer();
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub struct Connected<P> {
    guest: Rc<Guest<P>>,
}

struct Guest<P> {
    /// Absent while it is called, and once the connection is lost.
    protocol: Cell<Option<P>>,
    /// What came while the protocol was in a call.
    calls: RefCell<VecDeque<Call<P>>>,
    transport: Transport,
}

type Call<P> = Box<dyn FnOnce(&mut P, &Transport)>;

impl<P> Guest<P> {
    fn next_call(&self) -> Option<Call<P>> {
        self.calls.borrow_mut().pop_front()
    }

    fn call_or_queue(&self, call: Call<P>) {
        let Some(protocol) = self.protocol.take() else {
            if self.transport.is_connected() {
                self.calls.borrow_mut().push_back(call);
            }
            return;
        };
        let mut out = Out { guest: self, protocol: Some(protocol) };
        run_reporting_panic("panic in a call of a protocol", || {
            out.call(call);
        });
    }
}

impl<P: Protocol + 'static> Connected<P> {
    /// Gives a new connection a protocol of the factory's.
    pub(crate) fn begin(
        connection: &Rc<Connection>,
        mut factory: impl Factory<Protocol = P>,
    ) -> Result<Connected<P>> {
        let build = || factory.build_protocol(&connection.peer);
        let protocol = match catch_panic(NO_PLACE, build) {
            Ok(Some(protocol)) => protocol,
            Ok(None) => {
                connection.begin_losing();
                return Err(NoProtocolError.into());
            }
            Err(panic) => {
                connection.abort(panic.clone());
                return Err(panic);
            }
        };
        let guest = Rc::new(Guest {
            protocol: Cell::new(Some(protocol)),
            calls: RefCell::default(),
            transport: connection.transport(),
        });
        connection.begin(Box::new(Host(guest.clone())));
        Ok(Connected { guest })
    }

    /// Calls `call` with the protocol: now, or right after its callback in progress.
    ///
    /// What it returns comes by the Deferred, which fails with [`NeverFired`](crate::deferred::NeverFired) if the
    /// connection is lost first.
    pub fn call<F, R>(&self, call: F) -> Deferred<R::Output>
    where
        F: FnOnce(&mut P, &Transport) -> R + 'static,
        R: IntoDeferred + 'static,
    {
        let (trigger, deferred) = Deferred::new();
        let call: Call<P> = Box::new(move |protocol, transport| {
            // Cancelled meanwhile: nobody waits for what it returned.
            let _ = trigger.callback(call(protocol, transport));
        });
        self.guest.call_or_queue(call);
        deferred.add_callback(|returned: R| returned.into_deferred())
    }

    /// The protocol's transport.
    pub fn transport(&self) -> &Transport {
        &self.guest.transport
    }
}

impl<P> Clone for Connected<P> {
    fn clone(&self) -> Connected<P> {
        Connected { guest: self.guest.clone() }
    }
}

impl<P> fmt::Debug for Connected<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("transport", &self.guest.transport).finish()
    }
}

/// A protocol taken out for a call; it goes back even if the call panics.
struct Out<'a, P> {
    guest: &'a Guest<P>,
    protocol: Option<P>,
}

impl<P> Out<'_, P> {
    fn call<R>(&mut self, call: impl FnOnce(&mut P, &Transport) -> R) -> Option<R> {
        let protocol = self.protocol.as_mut()?;
        let outcome = call(protocol, &self.guest.transport);
        while let Some(call) = self.guest.next_call() {
            call(protocol, &self.guest.transport);
        }
        Some(outcome)
    }
}

impl<P> Drop for Out<'_, P> {
    fn drop(&mut self) {
        self.guest.protocol.set(self.protocol.take());
    }
}

/// The connection's side of a guest.
struct Host<P>(Rc<Guest<P>>);

impl<P: Protocol> Host<P> {
    fn call<R>(&self, call: impl FnOnce(&mut P, &Transport) -> R) -> Option<R> {
        let protocol = self.0.protocol.take();
        Out { guest: &self.0, protocol }.call(call)
    }
}

impl<P> Drop for Host<P> {
    fn drop(&mut self) {
        // Also after a panic in connection_lost: the handles that are left find nobody.
        drop(self.0.protocol.take());
    }
}

impl<P: Protocol> Protocol for Host<P> {
    fn connection_made(&mut self, _: &Transport) {
        self.call(|protocol, transport| protocol.connection_made(transport));
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.call(|protocol, transport| protocol.data_received(transport, data)).unwrap_or(Ok(()))
    }

    fn reading_resumed(&mut self, _: &Transport) -> Result {
        self.call(|protocol, transport| protocol.reading_resumed(transport)).unwrap_or(Ok(()))
    }

    fn connection_lost(&mut self, reason: &Failure) {
        // What still waits was held up by a panic, and comes too late now.
        let late = self.0.calls.take();
        self.call(|protocol, _| protocol.connection_lost(reason));
        drop(late);
    }

    fn read_closed(&mut self, _: &Transport) {
        self.call(|protocol, transport| protocol.read_closed(transport));
    }

    fn write_closed(&mut self, _: &Transport) {
        self.call(|protocol, transport| protocol.write_closed(transport));
    }

    fn pause_writing(&mut self, _: &Transport) {
        self.call(|protocol, transport| protocol.pause_writing(transport));
    }

    fn resume_writing(&mut self, _: &Transport) {
        self.call(|protocol, transport| protocol.resume_writing(transport));
    }

    fn file_descriptor_received(&mut self, _: &Transport, descriptor: OwnedFd) {
        self.call(|protocol, transport| protocol.file_descriptor_received(transport, descriptor));
    }
}

plain_error! {
    /// The factory built no protocol for the connection, which was closed.
    NoProtocolError, "the factory built no protocol"
}
