//! Rule 3: a service owns what it starts.

use super::*;
use ropewalk::reactor::Owner;
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

/// Notes when it is dropped.
struct Told(Notes, &'static str);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

/// A service with one of everything; what it begins, it begins without a word of whose that is.
fn spreading(
    notes: &Notes,
    at: &'static str,
    host: Rc<RefCell<Option<Address>>>,
) -> impl Service + use<> {
    let notes = notes.clone();
    service("spreading", async move |up: Running| {
        let reactor = up.reactor().clone();
        let told = Told(notes.clone(), "task dropped");
        drop(reactor.spawn(async move {
            let _told = told;
            pending::<Result>().await
        }));
        let late = notes.clone();
        reactor.call_later(SECOND * 3600, move || late.add("too late"));
        let port = reactor.serve(at, async |mut stream| {
            stream.write_all(b"hello").await?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            Ok(())
        })?;
        host.replace(Some(port.host()));
        let udp = reactor.bind_udp(at)?;
        up.ready();
        up.stopping().await;
        drop(udp);
        Ok(())
    })
}

#[test]
fn when_a_service_has_stopped_nothing_of_it_is_left() {
    in_both(|place| {
        allow_reports(place);
        let (notes, host) = (Notes::default(), Rc::default());
        let short = ropewalk::service::Drain {
            connections: SECOND / 10,
            service: SECOND / 10,
            ..Default::default()
        };
        let application = Application::new("all").drain(short).add_service(spreading(
            &notes,
            place.at(),
            Rc::clone(&host),
        ));
        let running = place.start(application).unwrap();
        let spreading = running.services()[0].clone();
        let to = place.to(host.borrow().as_ref().unwrap());
        let opening = place.elsewhere().open(&*to);
        let mut stream = place
            .run(async move {
                let (mut stream, mut hello) = (opening.await?, [0; 5]);
                stream.read_exact(&mut hello).await?;
                Ok(stream)
            })
            .unwrap();
        let left = spreading.owner().left();
        assert_eq!((left.connections(), left.tasks(), left.timers()), (1, 3, 1));
        let failure = place.run(running.stop_service()).unwrap_err();
        let text = failure.to_string();
        assert!(text.starts_with("cut off: spreading: 1 connection, 1 task spawned at "), "{text}");
        let (left, owner) = (spreading.owner().left(), spreading.owner().clone());
        assert!(left.is_empty() && left.timers() == 0, "{left}: {owner:?}");
        assert_eq!(notes.all(), ["task dropped"]);
        let read = place.run(async move { Ok(stream.read(&mut [0; 9]).await?) });
        assert!(read.is_err(), "the peer is told that it was cut off");
        let opening = place.elsewhere().open(&*to);
        assert!(place.run(opening).is_err(), "the port is closed");
    });
}

#[test]
fn a_task_that_a_handler_left_behind_is_waited_for() {
    in_both(|place| {
        let (notes, host) = (Notes::default(), Rc::new(RefCell::new(None)));
        let (at, work, told) = (place.at(), notes.clone(), host.clone());
        let web = service("web", async move |up: Running| {
            let work = work.clone();
            let port = up.serve(at, async move |mut stream| {
                let (work, reactor) = (work.clone(), stream.reactor());
                let doing = work.clone();
                drop(ropewalk::spawn(async move {
                    reactor.sleep(SECOND / 20).await;
                    doing.add("mail sent");
                    Ok(())
                }));
                stream.write_all(b"accepted").await?;
                Ok(())
            })?;
            told.replace(Some(port.host()));
            up.ready();
            Ok(up.stopping().await)
        });
        let running = place.start(Application::new("all").add_service(web)).unwrap();
        let to = place.to(host.borrow().as_ref().unwrap());
        let opening = place.elsewhere().open(&*to);
        place
            .run(async move {
                let mut all = String::new();
                opening.await?.read_to_string(&mut all).await?;
                Ok(all)
            })
            .unwrap();
        notes.expect(&[]);
        place.run(running.stop_service()).unwrap();
        notes.expect(&["mail sent"]);
    });
}

#[test]
fn what_begins_belongs_to_whoever_it_begins_in() {
    let place = Place::simulated(1);
    let reactor = place.reactor();
    let (one, other) = (Owner::new(&reactor, "one"), Owner::new(&reactor, "other"));
    let names = Rc::new(RefCell::new(Vec::new()));
    let note = {
        let names = names.clone();
        Rc::new(move || {
            let name =
                Owner::current().map_or("nobody".to_owned(), |owner| owner.name().to_owned());
            names.borrow_mut().push(name);
        })
    };
    let (inside, within, timer, thread) = (note.clone(), other.clone(), note.clone(), note.clone());
    drop(one.spawn(async move {
        inside();
        within.enter(|| inside());
        inside();
        ropewalk::Reactor::current().unwrap().call_later(SECOND, move || timer());
        let reactor = ropewalk::Reactor::current().unwrap();
        drop(reactor.defer_to_thread(|| Ok(())).map(move |()| thread()));
        Ok(())
    }));
    note();
    place.run(place.reactor().sleep_deferred(SECOND * 2)).unwrap();
    let names = names.borrow();
    assert_eq!(names[..4], ["nobody", "one", "other", "one"]);
    assert_eq!(names[4..], ["one", "one"], "a timer's and a thread's");
}

trait SleepDeferred {
    fn sleep_deferred(&self, time: Duration) -> Deferred<()>;
}

impl SleepDeferred for Reactor {
    fn sleep_deferred(&self, time: Duration) -> Deferred<()> {
        let nap = self.sleep(time);
        self.spawn(async move {
            nap.await;
            Ok(())
        })
    }
}

#[test]
fn a_connection_that_a_service_makes_is_not_waited_for_by_a_drain() {
    let place = Place::simulated(1);
    let host = Rc::new(Cell::new(0));
    let served = host.clone();
    place
        .elsewhere()
        .serve("0.0.0.0:9", async move |mut stream| {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            served.set(served.get() + 1);
            Ok(())
        })
        .unwrap();
    let client = service("client", async |up: Running| {
        let stream = up.open("client:9").await?;
        up.ready();
        up.stopping().await;
        drop(stream);
        Ok(())
    });
    let running = place.start(Application::new("all").add_service(client)).unwrap();
    let before = place.reactor().now();
    place.run(running.stop_service()).unwrap();
    assert!(place.reactor().now() - before < SECOND, "nothing had to be waited for");
    place.run(place.reactor().sleep_deferred(SECOND)).unwrap();
    assert_eq!(host.get(), 1, "it ended in order");
}

#[test]
fn who_waits_in_the_backlog_at_a_drain_is_its_owners_whoever_asked_for_that() {
    let reactor = Reactor::new().unwrap();
    let (asks, has) = (Owner::new(&reactor, "asks"), Owner::new(&reactor, "has"));
    let serve = async |mut stream: ropewalk::Stream| {
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await?;
        Ok(stream.write_all(&heard).await?)
    };
    let port = has.enter(|| reactor.serve("127.0.0.1:0", serve)).unwrap();
    let at = port.host().socket_addr().unwrap();
    let (drained, clock, client) = (has.clone(), reactor.clone(), Rc::new(RefCell::new(None)));
    let comes = client.clone();
    let draining = asks.spawn(async move {
        // Right before the drain, in the same turn: no event tells of it any more.
        let connect = move || *comes.borrow_mut() = std::net::TcpStream::connect(at).ok();
        clock.call_later(std::time::Duration::ZERO, connect);
        drained.drain();
        Ok(drained.served().await)
    });
    crate::kit::until(&reactor, "the drain", || client.borrow().is_some());
    let mut client = client.take().unwrap();
    assert_eq!((asks.left().connections(), has.left_serving().connections()), (0, 1));
    std::io::Write::write_all(&mut client, b"ping").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    reactor.run_until(draining).unwrap();
    assert_eq!(std::io::read_to_string(client).unwrap(), "ping");
}
