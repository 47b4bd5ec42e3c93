//! Services: parts of a program that are started in order, stopped in reverse, and drained.

mod awaited;
mod contract;
mod error;
mod flag;
mod late;
mod life;
mod limits;
mod multi;
mod naming;
mod restart;
mod running;
mod stopping;
mod tending;

pub use awaited::{AsyncService, service};
pub use contract::{Configured, Service};
pub use error::{FailedError, ServiceError, TooManyRestartsError};
pub use late::{Late, LateError};
pub use life::ServiceState;
pub use limits::Drain;
pub use multi::MultiService;
pub use restart::{Restart, RestartType};
pub use running::{Root, Running};
