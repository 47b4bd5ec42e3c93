//! A protocol that is reached from outside its callbacks.
//!
//! The protocol lives in a `Guest` that the connection's side (`Reachable`) and the user's ([`Connected`])
//! share. Whoever calls it takes it out and puts it back; what the other wants meanwhile is queued and
//! called right after.

use crate::deferred::{Deferred, IntoDeferred};
use crate::failure::{NO_PLACE, Result, catch_panic, plain_error};
use crate::net::connection::Connection;
use crate::net::reachable::Reachable;
use crate::protocol::{Factory, Protocol};
use crate::reactor::run_reporting_panic;
use crate::transport::Transport;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

/// A protocol that can be reached from outside its callbacks.
///
/// [`Reactor::connect`](crate::Reactor::connect) gives it for the protocol that it connects, and a protocol
/// inside a [`Reachable`] has it of itself.
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
/// simulation.host("server").reactor().serve("0.0.0.0:80", async |stream| {
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

pub(super) struct Guest<P> {
    /// Absent before it is made, while it is called, and once the connection is lost.
    protocol: Cell<Option<P>>,
    /// What came while the protocol was not there to be called; none once it is over.
    calls: RefCell<VecDeque<Call<P>>>,
    transport: Transport,
    /// It was told that the connection is lost, or is gone.
    is_over: Cell<bool>,
}

type Call<P> = Box<dyn FnOnce(&mut P, &Transport)>;

impl<P> Guest<P> {
    /// Nobody yet, who is to come before anything is called.
    pub(super) fn new(transport: Transport) -> Rc<Guest<P>> {
        Rc::new(Guest {
            protocol: Cell::default(),
            calls: RefCell::default(),
            transport,
            is_over: Cell::default(),
        })
    }

    pub(super) fn arrive(&self, protocol: P) {
        self.protocol.set(Some(protocol));
    }

    /// The connection's own call, and after it what was wanted meanwhile; `None` if there is nobody.
    pub(super) fn call<R>(&self, call: impl FnOnce(&mut P, &Transport) -> R) -> Option<R> {
        let protocol = self.protocol.take();
        Out { guest: self, protocol }.call(call)
    }

    /// The last call.
    pub(super) fn lose(&self, call: impl FnOnce(&mut P)) {
        self.is_over.set(true);
        // What still waits was held up by a panic, and comes too late now.
        let late = self.calls.take();
        self.call(|protocol, _| call(protocol));
        drop(late);
    }

    /// Drops the protocol: the handles that are left find nobody.
    pub(super) fn leave(&self) {
        self.is_over.set(true);
        drop(self.calls.take());
        drop(self.protocol.take());
    }

    fn next_call(&self) -> Option<Call<P>> {
        self.calls.borrow_mut().pop_front()
    }

    fn call_or_queue(&self, call: Call<P>) {
        let Some(protocol) = self.protocol.take() else {
            if !self.is_over.get() {
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
        let guest = Guest::new(connection.transport());
        guest.arrive(protocol);
        connection.begin(Box::new(Reachable::from(guest.clone())));
        Ok(Connected { guest })
    }
}

impl<P: 'static> Connected<P> {
    pub(super) fn to(guest: &Rc<Guest<P>>) -> Connected<P> {
        Connected { guest: guest.clone() }
    }

    /// Calls `call` with the protocol: now, or right after its callback in progress.
    ///
    /// What it returns comes by the Deferred, which fails with [`NeverFired`](crate::deferred::NeverFired) if the
    /// connection is lost first, or if `call` panics.
    #[track_caller]
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

plain_error! {
    /// The factory built no protocol for the connection, which was closed.
    NoProtocolError, "the factory built no protocol"
}
