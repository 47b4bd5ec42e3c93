//! Who reaches a site: protocols, factories, guests, and a bell.

use super::kit::{MUCH, Notes};
use super::layered::Layered;
use super::table::{Method, Moment, Site};
use ropewalk::ported::{ClientFactory, Connector};
use ropewalk::{Address, Factory, Failure, Protocol, Result, Transport};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;
use std::time::Duration;

thread_local! {
    /// What the site is to do when it is reached, once.
    pub(crate) static ARMED: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    /// The site's connection as it was then.
    pub(crate) static ENDED: RefCell<Option<Transport>> = const { RefCell::new(None) };
    /// The connection that the site belongs to, if any.
    pub(crate) static OWN: RefCell<Option<Transport>> = const { RefCell::new(None) };
}

/// The site is reached.
pub(crate) fn here() {
    let armed = ARMED.take();
    if let Some(act) = armed {
        act();
    }
}

pub(crate) fn was_reached() -> bool {
    ARMED.with_borrow(Option::is_none)
}

/// Reaches the site when it is dropped.
pub(crate) struct Guest;

impl Drop for Guest {
    fn drop(&mut self) {
        here();
    }
}

/// Reaches the site when it is woken, or when its last clone is dropped.
pub(crate) struct Bell {
    pub(crate) by_drop: bool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if !self.by_drop {
            here();
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if self.by_drop {
            here();
        }
    }
}

/// What every protocol of the test adds up to.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) made: Cell<usize>,
    pub(crate) lost: Cell<usize>,
    pub(crate) dropped: Cell<usize>,
    /// Protocols that are the site, and have not been lost yet.
    pub(crate) site_living: Cell<usize>,
    pub(crate) faults: Notes,
}

pub(crate) fn count(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

/// A protocol that keeps the ledger, and may be the site.
pub(crate) struct Recorder {
    pub(crate) site: Option<Site>,
    pub(crate) ledger: Rc<Ledger>,
    pub(crate) is_lost: bool,
}

impl Recorder {
    pub(crate) fn new(site: Option<Site>, ledger: &Rc<Ledger>) -> Recorder {
        count(&ledger.made);
        ledger.site_living.set(ledger.site_living.get() + usize::from(site.is_some()));
        Recorder { site, ledger: ledger.clone(), is_lost: false }
    }

    pub(crate) fn enter(&self, site: Site) {
        if self.is_lost {
            self.ledger.faults.add(format!("{site:?} after connection_lost"));
        }
        if self.site == Some(site) {
            here();
        }
    }
}

impl Recorder {
    pub(crate) fn note_loss(&mut self) {
        self.is_lost = true;
        count(&self.ledger.lost);
        let living = self.ledger.site_living.get();
        self.ledger.site_living.set(living - usize::from(self.site.is_some()));
    }
}

impl Protocol for Recorder {
    fn connection_made(&mut self, transport: &Transport) {
        if self.site.is_some() {
            OWN.set(Some(transport.clone()));
        }
        if let Some(Site::Layer(method)) = self.site {
            Layered::put_on(transport, method);
        }
        self.enter(Site::ConnectionMade);
    }

    fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        match self.site {
            Some(Site::WriteClosed) => transport.lose_write_connection(),
            Some(Site::ReadingResumed) => {
                transport.pause_reading();
                let later = transport.clone();
                transport.reactor().call_later(Duration::ZERO, move || later.resume_reading());
            }
            Some(Site::PauseWriting | Site::ResumeWriting) => transport.write(vec![0; MUCH]),
            Some(Site::Drained) => {
                transport.write(b"x");
                transport.drained().add_both(|_| here());
            }
            Some(Site::Layer(method)) => provoke(method, transport),
            _ => {}
        }
        self.enter(Site::DataReceived);
        Ok(())
    }

    fn reading_resumed(&mut self, _: &Transport) -> Result {
        self.enter(Site::ReadingResumed);
        Ok(())
    }

    fn read_closed(&mut self, transport: &Transport) {
        self.enter(Site::ReadClosed);
        transport.lose_connection();
    }

    fn write_closed(&mut self, _: &Transport) {
        self.enter(Site::WriteClosed);
    }

    fn pause_writing(&mut self, _: &Transport) {
        self.enter(Site::PauseWriting);
    }

    fn resume_writing(&mut self, _: &Transport) {
        self.enter(Site::ResumeWriting);
    }

    fn connection_lost(&mut self, _: &Failure) {
        self.enter(Site::ConnectionLost);
        self.note_loss();
    }
}

/// Has the layer called there.
fn provoke(method: Method, transport: &Transport) {
    match method {
        Method::Write => transport.write(b"answer"),
        Method::Host => drop(transport.host()),
        Method::SetNodelay => drop(transport.set_nodelay(true)),
        Method::SetKeepalive => drop(transport.set_keepalive(None)),
        Method::SendDescriptor => {
            let (descriptor, _) = std::io::pipe().unwrap();
            // They do not travel through TCP.
            transport.send_file_descriptor(descriptor.into()).unwrap_err();
        }
        Method::ShutdownWrite => transport.lose_write_connection(),
        Method::IsAtEnd => transport.pause_reading(),
        Method::CloseNotify | Method::MustLinger | Method::Drop => transport.lose_connection(),
        Method::SetAbort => transport.abort_connection(),
        _ => {}
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        count(&self.ledger.dropped);
        let drops = [Site::ProtocolDrop, Site::Awaited(Moment::ProtocolDrop)];
        if self.site.is_some_and(|site| drops.contains(&site)) {
            here();
        }
    }
}

pub(crate) struct Maker {
    pub(crate) site: Site,
    pub(crate) ledger: Rc<Ledger>,
}

impl Maker {
    fn enter(&self, site: Site) {
        if self.site == site {
            here();
        }
    }
}

impl Factory for Maker {
    type Protocol = Recorder;

    fn build_protocol(&mut self, _: &Address) -> Option<Recorder> {
        self.enter(Site::FactoryBuild);
        Some(Recorder::new(Some(self.site), &self.ledger))
    }

    fn started(&mut self) {
        self.enter(Site::FactoryStarted);
    }

    fn stopped(&mut self) {
        self.enter(Site::FactoryStopped);
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.enter(Site::FactoryDrop);
    }
}

pub(crate) struct Client(pub(crate) Maker);

impl ClientFactory for Client {
    type Protocol = Recorder;

    fn started(&mut self) {
        self.0.enter(Site::ClientStarted);
    }

    fn started_connecting(&mut self, _: &Connector) {
        self.0.enter(Site::ClientConnecting);
    }

    fn build_protocol(&mut self, _: &Address) -> Option<Recorder> {
        self.0.enter(Site::ClientBuild);
        let site = (self.0.site != Site::Timer).then_some(self.0.site);
        Some(Recorder::new(site, &self.0.ledger))
    }

    fn client_connection_failed(&mut self, _: &Connector, _: &Failure) {
        self.0.enter(Site::ClientFailed);
    }

    fn client_connection_lost(&mut self, _: &Connector, _: &Failure) {
        self.0.enter(Site::ClientLost);
    }

    fn stopped(&mut self) {
        self.0.enter(Site::ClientStopped);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.enter(Site::ClientDrop);
    }
}
