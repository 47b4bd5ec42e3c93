//! How each site comes to be reached.

use super::awaited::{self, hear_a_datagram};
use super::cast::{Bell, Client, Guest, Maker, OWN, here, was_reached};
use super::kit::{Face, Peer, Role, nowhere, serve, turn};
use super::table::{Method, Moment, Site};
use super::world::World;
use futures_util::AsyncReadExt;
use ropewalk::reactor::Event;
use ropewalk::{ClientEndpoint, Deferred, Failure, Reactor, Result, Stream};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What has to live as long as the scene does.
pub(crate) type Props = Box<dyn std::any::Any>;

/// Sets the scene in which the site will be reached.
pub(crate) fn set(site: Site, world: &World) -> Props {
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
        Site::Awaited(moment) => set_awaited(moment, world),
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
        | Site::Drained
        | Site::Layer(_) => {
            let mut peer = world.call(&world.listen(site));
            // First it is idle: what was just accepted is looked at again anyway.
            turn(&world.reactor);
            if was_reached() {
                // A layer is called before there is anything to read.
                world.peers.borrow_mut().push(peer);
                return Box::new(());
            }
            peer.send(b"go");
            if site == Site::PauseWriting {
                read_late(world, peer);
                return Box::new(());
            }
            if site == Site::Layer(Method::IsAtEnd) {
                turn(&world.reactor);
                peer.half_close();
            }
            world.peers.borrow_mut().push(peer);
        }
        Site::ReadClosed | Site::ConnectionLost | Site::ProtocolDrop => {
            let peer = world.call(&world.listen(site));
            turn(&world.reactor);
            peer.half_close();
            world.peers.borrow_mut().push(peer);
        }
        Site::FactoryStarted => drop(world.listen(site)),
        Site::FactoryStopped | Site::FactoryDrop => drop(world.listen(site).stop_listening()),
        _ => unreachable!("the sites of a server"),
    }
    Box::new(())
}

fn set_awaited(moment: Moment, world: &World) -> Props {
    if matches!(moment, Moment::Datagram | Moment::DatagramHandlerDrop) {
        hear_a_datagram(moment, world);
        return Box::new(());
    }
    let mut peer = world.call(&awaited::listen(Site::Awaited(moment), world));
    match moment {
        Moment::Made => {}
        Moment::ReadClosed | Moment::Lost | Moment::ProtocolDrop => {
            turn(&world.reactor);
            peer.half_close();
        }
        _ => {
            turn(&world.reactor);
            peer.send(b"go");
        }
    }
    world.peers.borrow_mut().push(peer);
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
    let (held, nowhere) = nowhere();
    let is_refused = matches!(site, Site::ClientFailed | Site::ClientStopped | Site::ClientDrop);
    let to = if is_refused {
        ClientEndpoint::from(nowhere)
    } else if site == Site::ClientLost {
        ClientEndpoint::from(&serve(Face::Protocol, reactor, Role::Flood(10)).port.host())
    } else {
        ClientEndpoint::from(&world.bystanders[0].host())
    };
    let maker = Maker { site, ledger: world.ledger.clone() };
    reactor.connect_tcp(to, Client(maker));
    Box::new(held)
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
    let mut peer = world.call(&reactor.serve("127.0.0.1:0", handler).unwrap());
    turn(reactor);
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
            let mut stream = reactor.run_until(reactor.open(world.bystanders[0].host())).unwrap();
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
    impl ropewalk::reactor::ReadDescriptor for Ear {
        fn fileno(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
        fn do_read(&mut self) -> Result {
            if self.1 == Site::DoRead {
                here();
            }
            self.0.read_exact(&mut [0])?;
            Err(ropewalk::transport::ConnectionDone.into())
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
