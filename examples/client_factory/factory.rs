//! A factory that connects, disconnects, connects again, and then thinks better of it.

use super::tell;
use ropewalk::ported::{ClientFactory, Connector};
use ropewalk::{Address, Failure, Protocol, Result, Transport};

/// Hangs up as soon as it hears anything.
pub(crate) struct Caller(Connector);

impl Protocol for Caller {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        tell(format_args!("hears {}, and disconnects", data.escape_ascii()));
        self.0.disconnect();
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct Calls {
    attempts: u32,
    /// The next protocol's. Not kept longer: a connector keeps its factory.
    connector: Option<Connector>,
}

impl ClientFactory for Calls {
    type Protocol = Caller;

    fn started_connecting(&mut self, connector: &Connector) {
        self.attempts += 1;
        tell(format_args!("attempt {} begins", self.attempts));
        if self.attempts == 1 {
            self.connector = Some(connector.clone());
        } else {
            connector.stop_connecting().expect("it has just begun");
        }
    }

    fn build_protocol(&mut self, _: &Address) -> Option<Caller> {
        tell("connected");
        self.connector.take().map(Caller)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Failure) {
        tell(format_args!("lost: {reason}; connects again"));
        connector.connect().expect("it is disconnected");
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &Failure) {
        tell(format_args!("failed: {reason}; gives up"));
        connector.reactor().stop().expect("it runs");
    }
}
