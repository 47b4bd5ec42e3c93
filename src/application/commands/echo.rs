//! Sends back what it gets.

use super::{Ports, at_least_one, ports};
use crate::application::runner::ServiceMaker;
use crate::{Address, Protocol, Result, Transport};

/// `echo --port ENDPOINT`: sends back what it gets, until the other end has said all.
///
/// ```
/// assert_eq!(ropewalk::application::commands::echo().name(), "echo");
/// ```
pub fn echo() -> ServiceMaker {
    ServiceMaker::new("echo", "Send back what comes in", ports(), |at| {
        Ok(Ports::new("echo", at_least_one(at)?, |up, at| up.listen(at, |_: &Address| Echo)))
    })
}

/// A drain is not for it to hear of: what the other end has sent may be under way still, and only that end
/// knows when it has said all.
struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    /// Who does not read what is sent back is not read from.
    fn pause_writing(&mut self, transport: &Transport) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &Transport) {
        transport.resume_reading();
    }
}
