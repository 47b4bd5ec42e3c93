//! A log of every byte.

use super::Policy;
use super::layer::{Direction, Watch, put_under};
use crate::address::Address;
use crate::failure::Result;
use crate::transport::Transport;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// Tells of all bytes that pass, in order, and a little later than they do: never from inside a call.
///
/// ```
/// use ropewalk::Reactor;
/// use ropewalk::policies::{self, TrafficLog};
///
/// let reactor = Reactor::new()?;
/// let log = TrafficLog::new(|traffic| println!("{traffic}"));
/// reactor.serve("127.0.0.1:0", policies::handler(log, async |_stream| Ok(())))?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone)]
#[doc(alias = "TrafficLoggingFactory")]
#[doc(alias = "SpewingFactory")]
pub struct TrafficLog {
    tell: Rc<dyn Fn(&Traffic)>,
}

impl TrafficLog {
    /// Tells `tell`.
    pub fn new(tell: impl Fn(&Traffic) + 'static) -> TrafficLog {
        TrafficLog { tell: Rc::new(tell) }
    }
}

impl fmt::Debug for TrafficLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficLog").finish_non_exhaustive()
    }
}

/// Bytes that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Whose connection it is.
    pub peer: Address,
    /// The peer sent them; else it was sent them.
    pub is_received: bool,
    /// The bytes; none are the peer's end.
    pub bytes: Vec<u8>,
}

/// As in `192.0.2.1:4000 > "hello\r\n"`.
impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = if self.is_received { '>' } else { '<' };
        write!(f, "{} {arrow} \"{}\"", self.peer, self.bytes.escape_ascii())
    }
}

impl Policy for TrafficLog {
    type Pass = ();

    fn admit(&self, _: &Address) -> Option<()> {
        Some(())
    }

    fn apply(&self, transport: &Transport) -> Result {
        put_under(
            transport,
            Tap {
                peer: transport.peer(),
                transport: transport.clone(),
                tell: self.tell.clone(),
                untold: Rc::default(),
            },
        )
    }
}

struct Tap {
    peer: Address,
    /// A circle until the connection ends, which drops this.
    transport: Transport,
    tell: Rc<dyn Fn(&Traffic)>,
    /// Borrowed to add or to take all.
    untold: Rc<RefCell<Vec<Traffic>>>,
}

impl Watch for Tap {
    fn passed(&mut self, direction: Direction, bytes: &[u8]) {
        let is_received = direction == Direction::Read;
        let traffic = Traffic { peer: self.peer.clone(), is_received, bytes: bytes.to_vec() };
        self.untold.borrow_mut().push(traffic);
        if self.untold.borrow().len() > 1 {
            return;
        }
        let (untold, tell) = (self.untold.clone(), self.tell.clone());
        self.transport.reactor().call_later(Duration::ZERO, move || {
            let traffic = untold.take();
            traffic.iter().for_each(|traffic| tell(traffic));
        });
    }
}
