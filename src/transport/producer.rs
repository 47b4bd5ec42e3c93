//! Producers: those who write as fast as a transport takes, and no faster.
//!
//! A protocol has `pause_writing` and `resume_writing` for that; a producer is the same as a value of
//! its own, which can be put between a transport and whatever the bytes come from.
//!
//! # Rules
//! * The transport calls its producer from the loop, never from inside one of its own methods.
//! * A pulled producer writes once for each `resume_producing`; it is asked whenever all was sent.
//! * A pushing producer writes when it wants to; it is told to pause above 64 KiB and to resume at
//!   16 KiB, in turns.
//! * An end in order waits for the producer: until `unregister_producer` what is written is still sent.
//! * `stop_producing` is called once if the connection is lost first, and after it nothing.
//!
//! # Deviations from Twisted
//! `pauseProducing` comes once, not with every write; `loseConnection` waits for pushing producers
//! too (Twisted's ticket 6461); a producer that comes to a full transport is paused.

use super::Transport;
use std::fmt;

/// Makes bytes for a transport, and lets itself be stopped.
///
/// ```
/// use ropewalk::transport::{Producer, Producing};
/// use ropewalk::{Address, Protocol, Reactor, Result, Transport};
///
/// /// Counts for its peer, as fast as that reads.
/// struct Count(u64);
/// impl Producer for Count {
///     fn resume_producing(&mut self, transport: &Transport) {
///         transport.write(format!("{}\n", self.0));
///         self.0 += 1;
///         if self.0 > 1_000_000 {
///             transport.unregister_producer();
///             transport.lose_connection();
///         }
///     }
/// }
/// struct Counting;
/// impl Protocol for Counting {
///     fn connection_made(&mut self, transport: &Transport) {
///         let registered = transport.register_producer(Count(0), Producing::Pull);
///         registered.expect("a new connection has none");
///     }
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// let reactor = Reactor::new()?;
/// reactor.listen("127.0.0.1:0", |_: &Address| Counting)?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "IPushProducer")]
#[doc(alias = "IPullProducer")]
pub trait Producer {
    /// Write now: once if pulled, from now on if pushing.
    #[doc(alias = "resumeProducing")]
    fn resume_producing(&mut self, transport: &Transport);

    /// Write no more for now. Pulled producers are never told so.
    #[doc(alias = "pauseProducing")]
    fn pause_producing(&mut self) {}

    /// The connection is lost: nothing that is written will be sent.
    #[doc(alias = "stopProducing")]
    fn stop_producing(&mut self) {}
}

/// Who sets the pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Producing {
    /// The transport asks for each piece.
    Pull,
    /// The producer writes by itself.
    Push,
}

/// The connection was lost before its producer was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStopped;

impl fmt::Display for ProducerStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was lost before its producer was done")
    }
}

impl std::error::Error for ProducerStopped {}
