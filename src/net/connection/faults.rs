//! Whose fault a failure is that ends a connection, and who is told: nobody, whoever hears of peers, or
//! whoever hears of everything that nobody handled. Each is told which connection it was.
//!
//! # Theory
//! A failure of the application's often holds what a connection failed with: the error of a stream inside
//! an error of the application's, or the loss of another connection that it served. So all of the chain is
//! looked at, and into each `io::Error` of it.

use crate::driver::Readiness;
use crate::failure::{
    Failure, FailureError, NO_PLACE, Panicked, Place, Report, catch_panic, tell, tell_peer_fault,
};
use crate::net::connection::Connection;
use crate::net::connection::pulling::Ended;
use crate::transport::{ConnectionAborted, ConnectionDone, ConnectionLost};
use std::error::Error;
use std::io;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// An end in order, or one that this end wished for.
    Nobodys,
    Peers,
}

impl Connection {
    /// Tells of a failure that ended this connection: to those who hear of peers if it is the peer's
    /// fault, and to nobody if that was just its end.
    pub(crate) fn report_end(&self, what: &str, failure: &Failure, made: Option<Place>) {
        match fault_in(failure) {
            Some(Fault::Nobodys) => {}
            Some(Fault::Peers) => self.tell(tell_peer_fault, Report::new(what, failure, made)),
            None if is_early_end(failure) && self.has_peer_ended() => {
                self.tell(tell_peer_fault, Report::new(what, failure, made));
            }
            // This end was ended, as an idle timeout does, while somebody waited for more.
            None if is_early_end(failure) && self.state.get().is_lost() => {}
            None => self.tell(tell, Report::new(what, failure, made)),
        }
    }

    /// Whether the peer has ended its half, whatever this end wants by now.
    fn has_peer_ended(&self) -> bool {
        self.inbound.is(Readiness::READ_CLOSED)
    }

    /// Reports a failure that is the application's own whatever it says.
    pub(crate) fn report(&self, what: &str, failure: &Failure) {
        self.tell(tell, Report::new(what, failure, None));
    }

    fn tell(&self, tell: fn(&Report<'_>), report: Report<'_>) {
        let (peer, host) = (self.true_peer(), self.known_host());
        tell(&report.of(&peer, host.as_ref()));
    }

    /// Calls code of the user; a panic in it is reported and ends there.
    pub(super) fn run_reporting_panic(&self, what: &str, call: impl FnOnce()) {
        if let Err(failure) = catch_panic(NO_PLACE, call) {
            self.report(what, &failure);
        }
    }
}

/// Whether a connection's end is told by it, whoever ended it.
pub(crate) fn is_of_connection(failure: &Failure) -> bool {
    fault_in(failure).is_some()
}

/// Whose fault it is, if it is not the application's own.
fn fault_in(failure: &Failure) -> Option<Fault> {
    if failure.is::<Panicked>() {
        return None;
    }
    if failure.is_of_peer() {
        return Some(Fault::Peers);
    }
    failure.chain().find_map(fault_of)
}

fn fault_of(error: &(dyn Error + 'static)) -> Option<Fault> {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted as Aborted, ConnectionReset, NotConnected};
    if error.is::<ConnectionLost>() {
        return Some(Fault::Peers);
    }
    if error.is::<ConnectionDone>() || error.is::<ConnectionAborted>() {
        return Some(Fault::Nobodys);
    }
    if let Some(inside) = error.downcast_ref::<FailureError>() {
        return fault_in(inside.failure());
    }
    let error = error.downcast_ref::<io::Error>()?;
    if let Some(inside) = error.get_ref() {
        let ended = inside.downcast_ref::<Ended>().map(Ended::reason);
        return ended.map_or_else(|| fault_of(inside), fault_in);
    }
    let is_end = [BrokenPipe, Aborted, ConnectionReset, NotConnected].contains(&error.kind());
    is_end.then_some(Fault::Peers)
}

/// Whether somebody wanted more bytes than there were.
fn is_early_end(failure: &Failure) -> bool {
    let is_early = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
    failure.chain().any(|error| error.downcast_ref().is_some_and(is_early))
}
