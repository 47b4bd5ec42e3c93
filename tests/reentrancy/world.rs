//! A reactor with bystanders, with belongings to do something to, and with the deeds.

use super::cast::{ARMED, Client, ENDED, Ledger, Maker, OWN, Recorder};
use super::kit::{Face, Peer, Role, serve};
use super::table::{Deed, Site};
use ropewalk::clock::DelayedCall;
use ropewalk::ported::Connector;
use ropewalk::reactor::ReactorStopped;
use ropewalk::transport::{Producer, Producing};
use ropewalk::{Address, Connected, Deferred, Port, Reactor, Stream, Transport};
use std::cell::RefCell;
use std::io::IoSlice;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What the deeds are done to, besides the site's own connection.
pub(crate) struct Belongings {
    pub(crate) transport: Transport,
    pub(crate) stream: Stream,
    pub(crate) port: Port,
    pub(crate) connector: Connector,
    pub(crate) connected: Connected<Recorder>,
    pub(crate) call: DelayedCall,
    pub(crate) task: Deferred<()>,
    pub(crate) sleeper: Deferred<()>,
    pub(crate) _reactor: Reactor,
}

pub(crate) struct World {
    pub(crate) reactor: Reactor,
    pub(crate) ledger: Rc<Ledger>,
    /// Nobody does anything to them.
    pub(crate) bystanders: [Port; 2],
    pub(crate) belongings: Rc<RefCell<Option<Belongings>>>,
    pub(crate) peers: Rc<RefCell<Vec<Peer>>>,
}

impl World {
    pub(crate) fn new() -> World {
        let (reactor, ledger) = (Reactor::new().unwrap(), Rc::new(Ledger::default()));
        let bystanders = [
            serve(Face::Protocol, &reactor, Role::Echo).port,
            serve(Face::Stream, &reactor, Role::Echo).port,
        ];
        let world =
            World { reactor, ledger, bystanders, belongings: Rc::default(), peers: Rc::default() };
        let belongings = world.acquire();
        world.belongings.replace(Some(belongings));
        world
    }

    pub(crate) fn acquire(&self) -> Belongings {
        let (reactor, ledger, at) = (&self.reactor, &self.ledger, self.bystanders[0].host());
        let books = ledger.clone();
        let port = reactor.listen("127.0.0.1:0", move |_: &Address| Recorder::new(None, &books));
        let books = ledger.clone();
        let connecting = reactor.connect(&at, move |_: &Address| Recorder::new(None, &books));
        let connected = reactor.run_until(connecting).unwrap();
        // A site that no factory has.
        let client = Client(Maker { site: Site::Timer, ledger: ledger.clone() });
        let connector = reactor.connect_tcp(&at, client);
        let stream = reactor.run_until(reactor.open(&at)).unwrap();
        OWN.take();
        Belongings {
            transport: connected.transport().clone(),
            stream,
            port: port.unwrap(),
            connector,
            connected,
            call: reactor.call_later(Duration::from_secs(3600), || {}),
            task: reactor.spawn(std::future::pending::<()>()).add_errback(|_| ()),
            sleeper: reactor.spawn(reactor.sleep(Duration::from_secs(3600))).add_errback(|_| ()),
            _reactor: reactor.clone(),
        }
    }

    /// Has the deed done when the site is reached.
    pub(crate) fn arm(&self, deed: Deed) {
        let (belongings, reactor, ledger) =
            (self.belongings.clone(), self.reactor.clone(), self.ledger.clone());
        let act = move || match deed {
            Deed::Drop => {
                let all = (belongings.take(), OWN.take());
                drop((all, reactor));
            }
            _ => {
                let Some(mut all) = belongings.take() else { return };
                let own = OWN.with_borrow(Clone::clone);
                do_it(deed, &reactor, &ledger, own.as_ref(), &mut all);
                ENDED.set(own);
                belongings.replace(Some(all));
            }
        };
        ARMED.set(Some(Box::new(act)));
    }

    /// Runs until `happened`; whether the reactor was stopped instead.
    pub(crate) fn drive(&self, what: String, mut happened: impl FnMut() -> bool + 'static) -> bool {
        let (clock, peers) = (self.reactor.clone(), self.peers.clone());
        let deadline = Instant::now() + Duration::from_secs(20);
        let driven = self.reactor.run_until(async move {
            loop {
                peers.borrow_mut().iter_mut().for_each(|peer| {
                    peer.hear();
                });
                if happened() {
                    return Ok(());
                }
                assert!(Instant::now() < deadline, "in vain: {what}");
                clock.sleep(Duration::from_micros(200)).await;
            }
        });
        match driven {
            Ok(()) => false,
            Err(failure) => {
                assert!(failure.is::<ReactorStopped>(), "{failure}");
                true
            }
        }
    }

    /// Whether the site's own connection has ended, as far as the deed asked for that.
    pub(crate) fn has_ended(&self, deed: Deed) -> impl FnMut() -> bool + 'static {
        let (ledger, peers) = (self.ledger.clone(), self.peers.clone());
        move || {
            let is_told = deed == Deed::HalfClose || ledger.site_living.get() == 0;
            is_told && peers.borrow().iter().all(|peer| peer.end.is_some())
        }
    }

    pub(crate) fn call(&self, port: &Port) -> Peer {
        Peer::call(port)
    }

    pub(crate) fn listen(&self, site: Site) -> Port {
        let maker = Maker { site, ledger: self.ledger.clone() };
        self.reactor.listen("127.0.0.1:0", maker).unwrap()
    }
}

struct Idle;

impl Producer for Idle {
    fn resume_producing(&mut self, _: &Transport) {}
    fn stop_producing(&mut self) {}
}

fn ask(transport: &Transport) {
    transport.write_vectored(&[IoSlice::new(b"two"), IoSlice::new(b"slices")]);
    transport.drained().add_errback(|_| ());
    assert_ne!((transport.host(), transport.peer().clone()), (transport.peer(), transport.host()));
    let _ = (transport.is_reading(), transport.is_connected(), transport.reactor());
    transport.set_close_timeout(Duration::from_secs(10));
    // Some cannot be had while the stream is called, or when it is lost.
    let _ = transport.set_nodelay(true);
    let _ = transport.set_keepalive(None);
    let _ = transport.replace_stream(|stream| stream);
    let _ = transport.register_producer(Idle, Producing::Pull);
    transport.unregister_producer();
    let (descriptor, _) = std::io::pipe().unwrap();
    let _ = transport.send_file_descriptor(descriptor.into());
}

fn do_it(
    deed: Deed,
    reactor: &Reactor,
    ledger: &Rc<Ledger>,
    own: Option<&Transport>,
    all: &mut Belongings,
) {
    let stream = all.stream.transport();
    let transports: Vec<_> =
        [Some(&all.transport), Some(&stream), own].into_iter().flatten().collect();
    match deed {
        Deed::Write => {
            for transport in transports {
                transport.write(b"small");
                transport.write([1; 40_000]);
                transport.write(b"small");
            }
            all.connected.call(|_, transport| transport.write(b"from a call"));
        }
        Deed::Close => {
            transports.into_iter().for_each(Transport::lose_connection);
            all.connector.disconnect();
            drop(all.port.stop_listening());
        }
        Deed::HalfClose => transports.into_iter().for_each(Transport::lose_write_connection),
        Deed::Abort => transports.into_iter().for_each(Transport::abort_connection),
        // It may be stopping already, or not have begun.
        Deed::Stop => drop(reactor.stop()),
        Deed::Spawn => {
            let again = reactor.clone();
            drop(reactor.spawn(async move {
                again.yield_now().await;
                drop(again.spawn(async { Ok(()) }));
            }));
        }
        Deed::Cancel => {
            let _ = all.call.cancel();
            all.task.cancel();
            all.sleeper.cancel();
            let _ = all.connector.stop_connecting();
        }
        Deed::Pause => {
            for transport in transports {
                transport.pause_reading();
                transport.resume_reading();
            }
        }
        Deed::Ask => transports.into_iter().for_each(ask),
        Deed::Begin => {
            reactor.call_later(Duration::ZERO, || {});
            reactor.on_shutdown(|| {}).remove();
            let books = ledger.clone();
            let port =
                reactor.listen("127.0.0.1:0", move |_: &Address| Recorder::new(None, &books));
            let at = port.unwrap().host();
            // A reactor that stops may have closed the port before it is called.
            drop(reactor.open(&at).map(drop).add_errback(|_| ()));
            let books = ledger.clone();
            let calling = reactor.connect(&at, move |_: &Address| Recorder::new(None, &books));
            drop(calling.map(drop).add_errback(|_| ()));
            reactor.remote().call_from_thread(|_| {}).unwrap();
            reactor.call_when_running(|| {});
        }
        Deed::Drop => unreachable!("it needs no borrow"),
    }
}
