//! Everything that user code may do, done from inside every place where user code is called.
//!
//! A row of the table is a *site*, a place where the crate calls what its user gave it; a column is a
//! *deed*. Each combination has a reactor of its own: the scene for the site is set, the deed is armed,
//! and the reactor runs until the site was reached. Then nobody may have panicked, nothing may be
//! reported, bystanders must still be served in both faces, every protocol must have been told of its
//! end exactly once and last, and nothing may be left of anything once the reactor is dropped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

mod kit;

use futures_util::AsyncReadExt;
use kit::{Face, Notes, Peer, Role, census, hear_reports, serve};
use ropewalk::{
    Address, ClientFactory, ConnectTo, Connected, Connector, Deferred, DelayedCall, Event, Factory,
    Failure, Phase, Port, Protocol, Reactor, ReactorStopped, Result, Stream, Transport,
};
use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Write,
    Close,
    HalfClose,
    Abort,
    Stop,
    Spawn,
    Cancel,
    Drop,
    Pause,
    Begin,
}

const DEEDS: [Deed; 10] = [
    Deed::Write,
    Deed::Close,
    Deed::HalfClose,
    Deed::Abort,
    Deed::Stop,
    Deed::Spawn,
    Deed::Cancel,
    Deed::Drop,
    Deed::Pause,
    Deed::Begin,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Site {
    ConnectionMade,
    DataReceived,
    ReadingResumed,
    ReadClosed,
    WriteClosed,
    PauseWriting,
    ResumeWriting,
    ConnectionLost,
    ProtocolDrop,
    FactoryStarted,
    FactoryBuild,
    FactoryStopped,
    FactoryDrop,
    ClientStarted,
    ClientConnecting,
    ClientBuild,
    ClientFailed,
    ClientLost,
    ClientStopped,
    ClientDrop,
    ConnectedCall,
    Drained,
    Handler,
    HandlerDrop,
    Timer,
    TimerDrop,
    ThreadCall,
    Trigger(Phase, Event),
    TriggerDrop,
    Callback,
    Errback,
    Canceller,
    ValueDrop,
    Poll,
    FutureDropAtEnd,
    FutureDropByCancel,
    WakerOfRead,
    WakerOfDeferred,
    WakerOfSleep,
    WakerDrop,
    DoRead,
    DescriptorLost,
    DescriptorDrop,
    Report,
}

const SITES: [Site; 49] = [
    Site::ConnectionMade,
    Site::DataReceived,
    Site::ReadingResumed,
    Site::ReadClosed,
    Site::WriteClosed,
    Site::PauseWriting,
    Site::ResumeWriting,
    Site::ConnectionLost,
    Site::ProtocolDrop,
    Site::FactoryStarted,
    Site::FactoryBuild,
    Site::FactoryStopped,
    Site::FactoryDrop,
    Site::ClientStarted,
    Site::ClientConnecting,
    Site::ClientBuild,
    Site::ClientFailed,
    Site::ClientLost,
    Site::ClientStopped,
    Site::ClientDrop,
    Site::ConnectedCall,
    Site::Drained,
    Site::Handler,
    Site::HandlerDrop,
    Site::Timer,
    Site::TimerDrop,
    Site::ThreadCall,
    Site::Trigger(Phase::Before, Event::Startup),
    Site::Trigger(Phase::During, Event::Startup),
    Site::Trigger(Phase::After, Event::Startup),
    Site::Trigger(Phase::Before, Event::Shutdown),
    Site::Trigger(Phase::During, Event::Shutdown),
    Site::Trigger(Phase::After, Event::Shutdown),
    Site::TriggerDrop,
    Site::Callback,
    Site::Errback,
    Site::Canceller,
    Site::ValueDrop,
    Site::Poll,
    Site::FutureDropAtEnd,
    Site::FutureDropByCancel,
    Site::WakerOfRead,
    Site::WakerOfDeferred,
    Site::WakerOfSleep,
    Site::WakerDrop,
    Site::DoRead,
    Site::DescriptorLost,
    Site::DescriptorDrop,
    Site::Report,
];

thread_local! {
    /// What the site is to do when it is reached, once.
    static ARMED: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    /// The site's connection as it was then.
    static ENDED: RefCell<Option<Transport>> = const { RefCell::new(None) };
    /// The connection that the site belongs to, if any.
    static OWN: RefCell<Option<Transport>> = const { RefCell::new(None) };
}

/// The site is reached.
fn here() {
    let armed = ARMED.take();
    if let Some(act) = armed {
        act();
    }
}

fn was_reached() -> bool {
    ARMED.with_borrow(Option::is_none)
}

/// Reaches the site when it is dropped.
struct Guest;

impl Drop for Guest {
    fn drop(&mut self) {
        here();
    }
}

/// Reaches the site when it is woken, or when its last clone is dropped.
struct Bell {
    by_drop: bool,
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
struct Ledger {
    made: Cell<usize>,
    lost: Cell<usize>,
    dropped: Cell<usize>,
    faults: Notes,
}

fn count(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

/// A protocol that keeps the ledger, and may be the site.
struct Recorder {
    site: Option<Site>,
    ledger: Rc<Ledger>,
    is_lost: bool,
}

impl Recorder {
    fn new(site: Option<Site>, ledger: &Rc<Ledger>) -> Recorder {
        count(&ledger.made);
        Recorder { site, ledger: ledger.clone(), is_lost: false }
    }

    fn enter(&self, site: Site) {
        if self.is_lost {
            self.ledger.faults.add(format!("{site:?} after connection_lost"));
        }
        if self.site == Some(site) {
            here();
        }
    }
}

impl Protocol for Recorder {
    fn connection_made(&mut self, transport: &Transport) {
        if self.site.is_some() {
            OWN.set(Some(transport.clone()));
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
            Some(Site::PauseWriting | Site::ResumeWriting) => transport.write(&vec![0; 6 << 20]),
            Some(Site::Drained) => {
                transport.write(b"x");
                transport.drained().add_both(|_| here());
            }
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
        self.is_lost = true;
        count(&self.ledger.lost);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        count(&self.ledger.dropped);
        if self.site == Some(Site::ProtocolDrop) {
            here();
        }
    }
}

struct Maker {
    site: Site,
    ledger: Rc<Ledger>,
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

struct Client(Maker);

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

/// What the deeds are done to, besides the site's own connection.
struct Belongings {
    transport: Transport,
    stream: Stream,
    port: Port,
    connector: Connector,
    connected: Connected<Recorder>,
    call: DelayedCall,
    task: Deferred<()>,
    sleeper: Deferred<()>,
    _reactor: Reactor,
}

struct World {
    reactor: Reactor,
    ledger: Rc<Ledger>,
    /// Nobody does anything to them.
    bystanders: [Port; 2],
    belongings: Rc<RefCell<Option<Belongings>>>,
    peers: Rc<RefCell<Vec<Peer>>>,
}

fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl World {
    fn new() -> World {
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

    fn acquire(&self) -> Belongings {
        let (reactor, ledger, at) = (&self.reactor, &self.ledger, self.bystanders[0].host());
        let books = ledger.clone();
        let port =
            reactor.listen_tcp("127.0.0.1:0", move |_: &Address| Recorder::new(None, &books));
        let books = ledger.clone();
        let connecting = reactor.connect(&at, move |_: &Address| Recorder::new(None, &books));
        let connected = reactor.run_until(connecting).unwrap();
        // A site that no factory has.
        let client = Client(Maker { site: Site::Timer, ledger: ledger.clone() });
        let connector = reactor.connect_tcp(&at, client);
        let stream = reactor.run_until(reactor.open_tcp(&at)).unwrap();
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
    fn arm(&self, deed: Deed) {
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
    fn drive(&self, what: String, mut happened: impl FnMut() -> bool + 'static) -> bool {
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

    fn call(&self, port: &Port) -> Peer {
        Peer::call(port)
    }

    fn listen(&self, site: Site) -> Port {
        let maker = Maker { site, ledger: self.ledger.clone() };
        self.reactor.listen_tcp("127.0.0.1:0", maker).unwrap()
    }
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
                transport.write(&[1; 40_000]);
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
        Deed::Begin => {
            reactor.call_later(Duration::ZERO, || {});
            reactor.on_shutdown(|| {}).remove();
            let books = ledger.clone();
            let port =
                reactor.listen_tcp("127.0.0.1:0", move |_: &Address| Recorder::new(None, &books));
            let at = port.unwrap().host();
            drop(reactor.open_tcp(&at));
            let books = ledger.clone();
            drop(reactor.connect(&at, move |_: &Address| Recorder::new(None, &books)));
            reactor.remote().call_from_thread(|_| {}).unwrap();
            reactor.call_when_running(|| {});
        }
        Deed::Drop => unreachable!("it needs no borrow"),
    }
}

/// What has to live as long as the scene does.
type Props = Box<dyn std::any::Any>;

/// Sets the scene in which the site will be reached.
fn set(site: Site, world: &World) -> Props {
    match site {
        Site::ClientStarted
        | Site::ClientConnecting
        | Site::ClientBuild
        | Site::ClientFailed
        | Site::ClientLost
        | Site::ClientStopped
        | Site::ClientDrop => set_client(site, world),
        Site::ConnectedCall => set_connected(world),
        Site::Handler | Site::HandlerDrop => set_handler(site, world),
        Site::Callback | Site::Errback | Site::ValueDrop => set_deferred(site, world),
        Site::Canceller => set_canceller(world),
        Site::Poll | Site::FutureDropAtEnd | Site::FutureDropByCancel => set_task(site, world),
        Site::WakerOfRead | Site::WakerOfDeferred | Site::WakerOfSleep | Site::WakerDrop => {
            set_waker(site, world)
        }
        Site::DoRead | Site::DescriptorLost | Site::DescriptorDrop => watch(site, &world.reactor),
        Site::Timer
        | Site::TimerDrop
        | Site::ThreadCall
        | Site::Trigger(..)
        | Site::TriggerDrop
        | Site::Report => set_loop(site, &world.reactor),
        _ => set_server(site, world),
    }
}

fn set_server(site: Site, world: &World) -> Props {
    match site {
        Site::ConnectionMade | Site::FactoryBuild => {
            let peer = world.call(&world.listen(site));
            world.peers.borrow_mut().push(peer);
        }
        Site::DataReceived
        | Site::ReadingResumed
        | Site::WriteClosed
        | Site::PauseWriting
        | Site::ResumeWriting
        | Site::Drained => {
            let mut peer = world.call(&world.listen(site));
            peer.send(b"go");
            if site == Site::PauseWriting {
                read_late(world, peer);
                return Box::new(());
            }
            world.peers.borrow_mut().push(peer);
        }
        Site::ReadClosed | Site::ConnectionLost | Site::ProtocolDrop => {
            let peer = world.call(&world.listen(site));
            peer.half_close();
            world.peers.borrow_mut().push(peer);
        }
        Site::FactoryStarted => drop(world.listen(site)),
        Site::FactoryStopped | Site::FactoryDrop => drop(world.listen(site).stop_listening()),
        _ => unreachable!("the sites of a server"),
    }
    Box::new(())
}

/// The peer does not read before the site was reached.
fn read_late(world: &World, peer: Peer) {
    fn look(reactor: Reactor, late: Peer, peers: Rc<RefCell<Vec<Peer>>>) {
        if was_reached() {
            return peers.borrow_mut().push(late);
        }
        let again = reactor.clone();
        reactor.call_later(Duration::ZERO, move || look(again, late, peers));
    }
    look(world.reactor.clone(), peer, world.peers.clone());
}

fn set_client(site: Site, world: &World) -> Props {
    let reactor = &world.reactor;
    let is_refused = matches!(site, Site::ClientFailed | Site::ClientStopped | Site::ClientDrop);
    let to = if is_refused {
        ConnectTo::from(nowhere())
    } else if site == Site::ClientLost {
        ConnectTo::from(&serve(Face::Protocol, reactor, Role::Flood(10)).port.host())
    } else {
        ConnectTo::from(&world.bystanders[0].host())
    };
    let maker = Maker { site, ledger: world.ledger.clone() };
    reactor.connect_tcp(to, Client(maker));
    Box::new(())
}

fn set_connected(world: &World) -> Props {
    let reactor = &world.reactor;
    let all = world.belongings.borrow();
    let connected = all.as_ref().expect("nothing was done yet").connected.clone();
    let own = connected.clone();
    reactor.call_later(Duration::ZERO, move || {
        OWN.set(Some(own.transport().clone()));
        drop(own.call(|_, _| here()));
    });
    Box::new(connected)
}

fn set_handler(site: Site, world: &World) -> Props {
    let reactor = &world.reactor;
    let handler = async move |mut stream: Stream| {
        OWN.set(Some(stream.transport()));
        let _guest = (site == Site::HandlerDrop).then(|| Guest);
        stream.read_exact(&mut [0; 2]).await?;
        if site == Site::Handler {
            here();
            futures_util::AsyncWriteExt::write_all(&mut stream, b"after").await?;
        }
        Ok(())
    };
    let mut peer = world.call(&reactor.serve_tcp("127.0.0.1:0", handler).unwrap());
    peer.send(b"go");
    world.peers.borrow_mut().push(peer);
    Box::new(())
}

fn set_loop(site: Site, reactor: &Reactor) -> Props {
    match site {
        Site::Timer => drop(reactor.call_later(Duration::ZERO, here)),
        Site::TimerDrop => {
            let guest = Guest;
            let call = reactor.call_later(Duration::from_secs(3600), move || drop(guest));
            reactor.call_later(Duration::ZERO, move || Ok(call.cancel()?));
        }
        Site::ThreadCall => {
            let remote = reactor.remote();
            std::thread::spawn(move || remote.call_from_thread(|_| here()).unwrap());
        }
        Site::Trigger(phase, event) => {
            reactor.add_system_event_trigger(phase, event, here);
            if event == Event::Shutdown {
                let stopper = reactor.clone();
                reactor.call_later(Duration::ZERO, move || stopper.stop());
            }
        }
        Site::TriggerDrop => {
            let guest = Guest;
            let trigger = reactor.on_shutdown(move || drop(guest));
            reactor.call_later(Duration::ZERO, move || assert!(trigger.remove()));
        }
        Site::Report => {
            ropewalk::on_report(|_| here());
            reactor.call_later(Duration::ZERO, || Err::<(), _>(std::fmt::Error.into()));
        }
        _ => unreachable!("the sites of the loop itself"),
    }
    Box::new(())
}

fn set_deferred(site: Site, world: &World) -> Props {
    let reactor = &world.reactor;
    let (trigger, deferred) = Deferred::<Option<Guest>>::new();
    let later = reactor.sleep(Duration::ZERO);
    drop(match site {
        Site::Callback => deferred.map(|_| here()),
        Site::Errback => deferred.map(drop).add_errback(|_| here()),
        _ => deferred.add_callback(drop),
    });
    drop(reactor.spawn(async move {
        later.await;
        match site {
            Site::Errback => trigger.errback(std::fmt::Error)?,
            Site::ValueDrop => trigger.callback(Some(Guest))?,
            _ => trigger.callback(None)?,
        }
        Ok(())
    }));
    Box::new(())
}

fn set_canceller(world: &World) -> Props {
    let reactor = &world.reactor;
    let (trigger, deferred) = Deferred::<()>::with_canceller(|_| here());
    let deferred = deferred.add_errback(|_| ());
    reactor.call_later(Duration::ZERO, move || deferred.cancel());
    Box::new(trigger)
}

fn set_task(site: Site, world: &World) -> Props {
    let reactor = &world.reactor;
    match site {
        Site::Poll => drop(reactor.spawn(async {
            here();
            Ok(())
        })),
        Site::FutureDropAtEnd => {
            /// Its fields are dropped when the task is, not when it ends.
            struct Plain(Guest);
            impl Future for Plain {
                type Output = Result;
                fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result> {
                    Poll::Ready(Ok(()))
                }
            }
            drop(reactor.spawn(Plain(Guest)));
        }
        Site::FutureDropByCancel => {
            let guest = Guest;
            let task = reactor.spawn(async move {
                std::future::pending::<()>().await;
                drop(guest);
            });
            let task = task.add_errback(|_| ());
            reactor.call_later(Duration::ZERO, move || task.cancel());
        }
        _ => unreachable!("the sites of a task"),
    }
    Box::new(())
}

/// Something is polled with a waker that is not the task's.
fn set_waker(site: Site, world: &World) -> Props {
    let by_drop = site == Site::WakerDrop;
    let waker = || Waker::from(Arc::new(Bell { by_drop }));
    let reactor = &world.reactor;
    match site {
        Site::WakerOfRead => {
            let mut stream =
                reactor.run_until(reactor.open_tcp(&world.bystanders[0].host())).unwrap();
            OWN.set(Some(stream.transport()));
            let mut byte = [0];
            let mut read = stream.read(&mut byte);
            let waker = waker();
            let polled = std::pin::Pin::new(&mut read).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            stream.transport().write(b"x");
            Box::new(stream)
        }
        Site::WakerOfSleep => {
            let mut sleep = Box::pin(reactor.sleep(Duration::ZERO));
            let waker = waker();
            assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            Box::new(sleep)
        }
        _ => {
            let (trigger, mut deferred) = Deferred::<()>::new();
            let mut sleep = Box::pin(reactor.sleep(Duration::from_secs(3600)));
            {
                let waker = waker();
                let mut context = Context::from_waker(&waker);
                let polled = std::pin::Pin::new(&mut deferred).poll(&mut context);
                assert!(polled.is_pending());
                if by_drop {
                    assert!(sleep.as_mut().poll(&mut context).is_pending());
                }
            }
            reactor.call_later(Duration::ZERO, move || {
                drop(sleep);
                Ok(trigger.callback(())?)
            });
            Box::new(deferred)
        }
    }
}

fn watch(site: Site, reactor: &Reactor) -> Props {
    use std::io::{Read, Write};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;

    struct Ear(UnixStream, Site);
    impl ropewalk::ReadDescriptor for Ear {
        fn fileno(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
        fn do_read(&mut self) -> Result {
            if self.1 == Site::DoRead {
                here();
            }
            self.0.read_exact(&mut [0])?;
            Err(ropewalk::ConnectionDone.into())
        }
        fn connection_lost(&mut self, _: &Failure) {
            if self.1 == Site::DescriptorLost {
                here();
            }
        }
    }
    impl Drop for Ear {
        fn drop(&mut self) {
            if self.1 == Site::DescriptorDrop {
                here();
            }
        }
    }
    let (mut mouth, ear) = UnixStream::pair().unwrap();
    reactor.add_reader(Ear(ear, site)).unwrap();
    mouth.write_all(b"x").unwrap();
    Box::new(mouth)
}

fn play(site: Site, deed: Deed) {
    let scene = format!("{deed:?} in {site:?}");
    let reports = hear_reports();
    let world = World::new();
    world.arm(deed);
    let props = set(site, &world);
    let mut stopped = world.drive(format!("{scene}: it is reached"), was_reached);
    assert!(was_reached(), "{scene}: stopped before it was reached");

    // The site's own connection ends if it was told to, and its peer sees that.
    let own = ENDED.take();
    if matches!(deed, Deed::Close | Deed::Abort) {
        stopped |= world.drive(format!("{scene}: the connection ends"), {
            let own = own.clone();
            let lost = world.ledger.clone();
            move || {
                let is_over = own.as_ref().is_none_or(|own| !own.is_connected());
                is_over && lost.lost.get() >= 1
            }
        });
    }
    drop(own);
    if !stopped {
        for port in &world.bystanders {
            let mut peer = world.call(port);
            peer.send(b"and me?");
            peer.until_heard(&world.reactor, b"and me?");
        }
    }
    // Also a reactor that was stopped serves again.
    let server = serve(Face::Stream, &world.reactor, Role::Echo);
    let mut peer = world.call(&server.port);
    peer.send(b"and me?");
    peer.until_heard(&world.reactor, b"and me?");

    let ledger = world.ledger.clone();
    world.belongings.take();
    drop((props, peer, server, world));
    ARMED.take();
    OWN.take();
    ledger.faults.expect(&[]);
    let (made, lost, dropped) = (ledger.made.get(), ledger.lost.get(), ledger.dropped.get());
    assert_eq!((lost, dropped), (made, made), "{scene}: each is lost once and dropped");
    assert_eq!(Rc::strong_count(&ledger), 1, "{scene}: something is left");
    assert!(reports.len() == 0, "{scene}: {:?}", reports.all());
}

fn play_all(sites: impl IntoIterator<Item = Site>) {
    for site in sites {
        DEEDS.into_iter().for_each(|deed| play(site, deed));
    }
}

/// The table in two halves, for two threads.
#[test]
fn whatever_is_done_in_a_callback_of_a_connection_is_in_order() {
    play_all(SITES.into_iter().take(24));
}

#[test]
fn whatever_is_done_in_any_other_callback_is_in_order() {
    play_all(SITES.into_iter().skip(24));
}

#[test]
fn a_panic_in_the_drop_of_a_future_or_of_its_result_is_said_once_and_ends_nothing_else() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "in a drop");
        }
    }
    struct Plain(Bomb);
    impl Future for Plain {
        type Output = Result;
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result> {
            Poll::Ready(Ok(()))
        }
    }
    let (reactor, reports, heard) = (Reactor::new().unwrap(), hear_reports(), Notes::default());
    let notes = heard.clone();
    reactor.spawn(Plain(Bomb)).map(move |()| notes.add("its result"));
    drop(reactor.spawn(async { Ok(Bomb) }));
    let notes = heard.clone();
    drop(reactor.spawn(async move { notes.add("the next task") }));
    (0..3).for_each(|_| reactor.turn(Some(Duration::ZERO)).expect("a turn"));
    heard.expect(&["its result", "the next task"]);
    assert_eq!((reports.len(), census(&reactor)), (2, (0, 0)), "{:?}", reports.all());
}
