//! Services: parts of a program that are started in order, stopped in reverse, and drained.

mod awaited;
mod contract;
mod error;
mod flag;
mod life;
mod limits;
mod multi;
mod naming;
mod running;

pub use awaited::{AsyncService, service};
pub use contract::Service;
pub use error::{Late, LateError, ServiceError};
pub use limits::Drain;
pub use multi::MultiService;
pub use running::{Root, Running};
