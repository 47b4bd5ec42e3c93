//! Rules 2, 5 and 6: how it ends, in what order, and who was late.

use super::*;
use futures_util::future::{Either, select};
use ropewalk::Transport;
use ropewalk::service::{Drain, LateError, MultiService, TcpServer};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

type Where = Rc<RefCell<Option<Address>>>;

/// An echo of lines as an async function; asked to drain, it says goodbye.
fn echo(at: &'static str, host: &Where) -> impl Service + use<> {
    let host = host.clone();
    service("echo", async move |up: Running| {
        let port = up.serve(at, async |mut stream| {
            loop {
                let (draining, mut line) = (stream.draining(), String::new());
                let read = match select(draining, stream.read_line(&mut line)).await {
                    Either::Left(_) => 0,
                    Either::Right((read, _)) => read?,
                };
                let answer = if read == 0 { "bye\n" } else { &line };
                stream.write_all(answer.as_bytes()).await?;
                if read == 0 {
                    return Ok(());
                }
            }
        })?;
        host.replace(Some(port.host()));
        up.ready();
        up.stopping().await;
        port.stop_listening().await?;
        up.connections_closed().await
    })
}

/// The same in callbacks.
struct Line;

impl Protocol for Line {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn drain(&mut self, transport: &Transport) {
        transport.write(b"bye\n");
        transport.lose_connection();
    }
}

struct Lines {
    at: &'static str,
    host: Where,
    port: Option<Port>,
}

impl Service for Lines {
    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        match up.reactor().listen(self.at, |_: &Address| Line) {
            Ok(port) => {
                self.host.replace(Some(port.host()));
                self.port = Some(port);
                succeed(())
            }
            Err(failure) => fail(failure),
        }
    }

    fn stop_service(&mut self, up: &Running) -> Deferred<()> {
        up.drain(self.port.take())
    }
}

/// A stream that has had its first line answered.
fn conversation(place: &Place, to: &str) -> Stream {
    let opening = place.elsewhere().open(to);
    let talking = async move {
        let (mut stream, mut line) = (opening.await?, [0; 3]);
        stream.write_all(b"hi\n").await?;
        stream.read_exact(&mut line).await?;
        Ok(stream)
    };
    place.run(talking).unwrap()
}

async fn rest(mut stream: Stream) -> Result<String> {
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await?;
    Ok(rest)
}

#[test]
fn a_connection_is_asked_to_drain_in_both_faces() {
    for is_async in [true, false] {
        in_both(|place| {
            let host = Where::default();
            let at = place.at();
            let application = match is_async {
                true => Application::new("all").add_service(echo(at, &host)),
                false => {
                    let lines = Lines { at, host: host.clone(), port: None };
                    Application::new("all").add_service(lines)
                }
            };
            let running = place.start(application).unwrap();
            let to = place.to(host.borrow().as_ref().unwrap());
            let streams = [conversation(place, &to), conversation(place, &to)];
            let stopping = running.stop_service();
            for stream in streams {
                assert_eq!(place.run(rest(stream)).unwrap(), "bye\n");
            }
            place.run(stopping).unwrap();
            let refused = place.elsewhere().open(&*to);
            assert!(place.run(refused).is_err());
        });
    }
}

#[test]
fn a_drain_reaches_a_protocol_through_framings_policies_and_awaiting() {
    use ropewalk::awaited::{AsyncProtocol, Awaited};
    use ropewalk::framing::{AsyncLineProtocol, LineReceiver};
    use ropewalk::net::Reachable;
    struct Bare;
    impl AsyncProtocol for Bare {
        async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            transport.reactor().yield_now().await;
            Ok(transport.write(data))
        }
        async fn drain(&mut self, transport: &Transport) -> Result {
            transport.reactor().yield_now().await;
            transport.write(b"bye\n");
            Ok(transport.lose_connection())
        }
    }
    impl AsyncLineProtocol for Bare {
        async fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
            Ok(transport.write([line, b"\n"].concat()))
        }
        async fn drain(&mut self, transport: &Transport) -> Result {
            AsyncProtocol::drain(self, transport).await
        }
    }
    fn drained<F: ropewalk::Factory + 'static>(factory: F) -> String {
        let place = Place::simulated(1);
        let factory = RefCell::new(Some(factory));
        let web = service("web", async move |up: Running| {
            up.listen("0.0.0.0:7", factory.take().unwrap())?;
            up.ready();
            Ok(up.stopping().await)
        });
        let running = place.start(Application::new("all").add_service(web)).unwrap();
        let stream = conversation(&place, "server:7");
        let stopping = running.stop_service();
        let said = place.run(rest(stream)).unwrap();
        place.run(stopping).unwrap();
        said
    }
    assert_eq!(drained(|_: &Address| Awaited::new(Bare)), "bye\n");
    let lines = |_: &Address| LineReceiver::new(Awaited::new(Bare)).delimiter("\n");
    assert_eq!(drained(lines), "bye\n");
    assert_eq!(drained(|_: &Address| Reachable::new(|_| Line)), "bye\n");
    let limit = ropewalk::policies::ConnectionLimit::new().total(9);
    let limited = ropewalk::policies::factory(limit, |_: &Address| Line);
    assert_eq!(drained(limited), "bye\n");
}

#[test]
fn what_is_left_at_the_deadline_is_cut_off_and_named_with_its_place() {
    let (place, host) = (Place::simulated(1), Where::default());
    let told = host.clone();
    let web = service("web", async move |up: Running| {
        let port = up.serve("0.0.0.0:7", async |mut stream| {
            drop(ropewalk::spawn(pending::<Result>()));
            stream.write_all(b"hi\n").await?;
            pending::<Result>().await
        })?;
        told.replace(Some(port.host()));
        up.ready();
        Ok(up.stopping().await)
    });
    let running = place.start(Application::new("all").add_service(web)).unwrap();
    let mut streams: Vec<_> = (0..3).map(|_| conversation(&place, "server:7")).collect();
    let before = place.reactor().now();
    let failure = place.run(running.stop_service()).unwrap_err();
    let took = place.reactor().now() - before;
    assert!(took >= SECOND * 20 && took < SECOND * 21, "{took:?}");
    let late = failure.check::<LateError>().unwrap().late();
    assert_eq!((late.len(), late[0].name(), late[0].left().connections()), (1, "web", 3));
    let (text, file) = (failure.to_string(), file!());
    assert!(text.starts_with("cut off: web: 3 connections, 3 tasks spawned at"), "{text}");
    assert!(text.contains(&format!("tasks spawned at {file}:")) && text.ends_with("(after 20s)"));
    let mut stream = streams.pop().unwrap();
    let read = place.run(async move { Ok(stream.read(&mut [0; 9]).await?) });
    assert!(read.is_err(), "a reset, not an end in order");
}

#[test]
fn one_task_that_is_late_is_named_as_one() {
    let place = Place::simulated(1);
    let line = Rc::new(Cell::new(0));
    let told = line.clone();
    let job = service("job", async move |up: Running| {
        told.set(line!() + 1);
        drop(up.spawn(pending::<Result>()));
        up.ready();
        Ok(up.stopping().await)
    });
    let running = place.start(Application::new("all").add_service(job)).unwrap();
    let failure = place.run(running.stop_service()).unwrap_err();
    let place = format!("{}:{}", file!(), line.get());
    let text = format!("cut off: job: 1 task spawned at {place} (after 5s)");
    assert_eq!(failure.to_string(), text);
}

#[test]
fn each_stop_is_awaited_before_the_next_begins() {
    in_both(|place| {
        let notes = Notes::default();
        let nap = SECOND / 50;
        let application = Application::new("all")
            .add_service(part("a", &notes).takes(nap))
            .add_service(part("b", &notes).takes(nap));
        let running = place.start(application).unwrap();
        place.run(running.stop_service()).unwrap();
        let told = ["b stopped", "b has stopped", "a stopped", "a has stopped"];
        assert_eq!(notes.all()[notes.len() - 4..], told);
    });
}

#[test]
fn a_stop_that_takes_more_than_five_seconds_is_cut_off_and_all_within_thirty() {
    let (place, notes) = (Place::simulated(1), Notes::default());
    let mut application = Application::new("all").add_service(part("first", &notes));
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        application = application.add_service(stubborn(name));
    }
    let running = place.start(application).unwrap();
    let before = place.reactor().now();
    let failure = place.run(running.stop_service()).unwrap_err();
    let took = place.reactor().now() - before;
    assert!(took >= SECOND * 30 && took < SECOND * 31, "{took:?}");
    let late = failure.check::<LateError>().unwrap().late();
    let names: Vec<_> = late.iter().map(|late| late.name()).collect();
    assert_eq!(names, ["h", "g", "f", "e", "d", "c", "b", "a"]);
    assert_eq!(notes.all().last().unwrap(), "first stopped", "whoever stops at once is not late");
}

/// Never stops by itself.
fn stubborn(name: &'static str) -> impl Service {
    service(name, async |up: Running| {
        up.ready();
        pending::<Result>().await
    })
}

#[test]
fn a_second_stop_waits_for_nobody() {
    in_both(|place| {
        let notes = Notes::default();
        let application = Application::new("all")
            .add_service(part("a", &notes))
            .add_service(stubborn("b"))
            .add_service(stubborn("c"));
        let running = place.start(application).unwrap();
        let before = place.reactor().now();
        let first = running.stop_service();
        let second = running.stop_service();
        place.run(second).unwrap();
        let failure = place.run(first).unwrap_err();
        assert!(place.reactor().now() - before < SECOND * 4, "not what either may take");
        let late = failure.check::<LateError>().unwrap().late();
        assert_eq!(late.iter().map(|late| late.name()).collect::<Vec<_>>(), ["c", "b"]);
        assert_eq!(notes.all().last().unwrap(), "a stopped");
        assert_eq!(running.state(), ropewalk::service::ServiceState::Stopped);
    });
}

#[test]
fn a_stop_while_services_start_ends_the_start_and_leaves_nothing() {
    in_both(|place| {
        let notes = Notes::default();
        let application = Application::new("all")
            .add_service(part("a", &notes))
            .add_service(service("slow", async |_: Running| pending::<Result>().await))
            .add_service(part("c", &notes));
        let launch = application.on(&place.reactor());
        let running = launch.running().clone();
        let starting = place.reactor().spawn(async move { launch.start().await });
        let told = notes.clone();
        place
            .run(async move {
                while !told.has("a started") {
                    ropewalk::yield_now().await;
                }
                Ok(())
            })
            .unwrap();
        place.run(running.stop_service()).unwrap();
        let failure = place.run(starting).unwrap_err();
        assert_eq!(failure.to_string(), "all was stopped before it was ready");
        assert_eq!(notes.all().last().unwrap(), "a stopped");
        assert_eq!(notes.count("c started"), 0);
        assert_eq!(running.state(), ropewalk::service::ServiceState::Stopped);
    });
}

#[test]
fn readiness_goes_before_anything_closes_and_the_lame_duck_serves_on() {
    let (place, host) = (Place::simulated(1), Where::default());
    let drain = Drain { lame_duck: SECOND * 5, ..Drain::default() };
    let application = Application::new("all").drain(drain).add_service(echo("0.0.0.0:7", &host));
    let running = place.start(application).unwrap();
    assert!(running.is_ready());
    let stopping = running.stop_service();
    place.run(async { Ok(ropewalk::yield_now().await) }).unwrap();
    assert!(!running.is_ready(), "at once");
    // Whoever has not heard of it is served as before.
    let stream = conversation(&place, "server:7");
    let before = place.reactor().now();
    assert_eq!(place.run(rest(stream)).unwrap(), "bye\n");
    assert!(place.reactor().now() - before > SECOND * 4);
    place.run(stopping).unwrap();
}

#[test]
fn a_tree_is_ready_when_every_service_in_it_is() {
    let place = Place::simulated(1);
    let notes = Notes::default();
    let slow = part("slow", &notes).takes(SECOND);
    let inner = MultiService::new("inner").add_service(part("a", &notes)).add_service(slow);
    let launch = Application::new("all").add_service(inner).on(&place.reactor());
    let running = launch.running().clone();
    let starting = place.reactor().spawn(async move { launch.start().await });
    let told = notes.clone();
    place
        .run(async move {
            while !told.has("slow started") {
                ropewalk::yield_now().await;
            }
            Ok(())
        })
        .unwrap();
    assert!(!running.is_ready());
    place.run(starting).unwrap();
    assert!(running.is_ready());
}

#[test]
fn a_connection_that_comes_while_its_port_is_closed_is_told_to_drain() {
    // The backlog holds it when the drain begins.
    let place = Place::Real(Reactor::new().unwrap());
    let host = Where::default();
    let lines = Lines { at: place.at(), host: host.clone(), port: None };
    let running = place.start(Application::new("all").add_service(lines)).unwrap();
    let to = place.to(host.borrow().as_ref().unwrap());
    let mut peer = std::net::TcpStream::connect(to.trim_start_matches("tcp:")).unwrap();
    let hearing = std::thread::spawn(move || {
        let mut said = String::new();
        std::io::Read::read_to_string(&mut peer, &mut said).map(|_| said)
    });
    place.run(running.stop_service()).unwrap();
    assert_eq!(hearing.join().unwrap().unwrap(), "bye\n");
}

#[test]
fn a_stop_of_the_reactor_stops_the_services_first() {
    in_both(|place| {
        let (notes, reactor) = (Notes::default(), place.reactor());
        let running = place.start(Application::new("all").add_service(async_part("a", &notes)));
        drop(running.unwrap());
        let stopper = reactor.clone();
        reactor.call_later(Duration::ZERO, move || stopper.stop());
        // A stop is an error where a value was waited for.
        let outcome = place.run(pending::<Result>());
        notes.expect(&["a started", "a stopped"]);
        drop(outcome);
    });
}

// ---- 64 conversations ----

/// How many messages of each client the server has taken in.
type Taken = Rc<RefCell<[u32; 64]>>;

/// Answers each line, and notes whose it was.
async fn answer(mut stream: Stream, taken: Taken) -> Result {
    let mut line = String::new();
    loop {
        line.clear();
        let draining = stream.draining();
        let read = match select(draining, stream.read_line(&mut line)).await {
            Either::Left(_) => 0,
            Either::Right((read, _)) => read?,
        };
        if read == 0 {
            return Ok(());
        }
        let client: usize = line.trim_end().parse()?;
        taken.borrow_mut()[client] += 1;
        // As if the answer took some work.
        ropewalk::yield_now().await;
        stream.write_all(line.as_bytes()).await?;
    }
}

/// The same in callbacks, with the answers a little later.
struct Answers {
    taken: Taken,
    under_way: Rc<Cell<usize>>,
    is_draining: Rc<Cell<bool>>,
}

impl ropewalk::framing::LineProtocol for Answers {
    fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
        if self.is_draining.get() {
            return Ok(()); // not taken in any more
        }
        let client: usize = std::str::from_utf8(line)?.parse()?;
        self.taken.borrow_mut()[client] += 1;
        self.under_way.set(self.under_way.get() + 1);
        let (transport, answer) = (transport.clone(), [line, b"\n"].concat());
        let (under_way, is_draining) = (self.under_way.clone(), self.is_draining.clone());
        transport.reactor().call_later(Duration::from_millis(1), move || {
            transport.write(answer);
            under_way.set(under_way.get() - 1);
            if is_draining.get() && under_way.get() == 0 {
                transport.lose_connection();
            }
        });
        Ok(())
    }

    fn drain(&mut self, transport: &Transport) {
        self.is_draining.set(true);
        if self.under_way.get() == 0 {
            transport.lose_connection();
        }
    }
}

/// Sends as many as `ahead` before their answers, for as long as it is served; how many were answered.
async fn converse(opening: Deferred<Stream>, client: usize, ahead: usize) -> Result<u32> {
    let mut stream = opening.await?;
    let (mut answered, mut answer) = (0, String::new());
    for _ in 0..ahead {
        stream.write_all(format!("{client}\n").as_bytes()).await?;
    }
    loop {
        answer.clear();
        // An end in order: what came too late is heard out, lest a reset take answers with it.
        if stream.read_line(&mut answer).await? == 0 {
            return Ok(answered);
        }
        assert_eq!(answer, format!("{client}\n"));
        answered += 1;
        // The server may have ended meanwhile: what it said until then is still to be read.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

#[test]
fn of_64_conversations_every_message_that_was_taken_in_is_answered() {
    for (is_async, ahead) in [(true, 1), (true, 5), (false, 1), (false, 5)] {
        in_both(|place| {
            let (host, taken, at) =
                (Where::default(), Taken::new(RefCell::new([0; 64])), place.at());
            let told = host.clone();
            let (served, counted) = (taken.clone(), taken.clone());
            let server = match is_async {
                true => {
                    TcpServer::serve(at, async move |stream| answer(stream, served.clone()).await)
                }
                false => TcpServer::new(at, move |_: &Address| {
                    let taken = counted.clone();
                    let answers =
                        Answers { taken, under_way: Rc::default(), is_draining: Rc::default() };
                    ropewalk::framing::LineReceiver::new(answers).delimiter("\n")
                }),
            };
            let server = server.on_listening(move |port| drop(told.replace(Some(port.host()))));
            let running = place.start(Application::new("all").add_service(server)).unwrap();
            let (to, there) = (place.to(host.borrow().as_ref().unwrap()), place.elsewhere());
            let talk = |client| there.spawn(converse(there.open(&*to), client, ahead));
            let clients: Vec<_> = (0..64).map(talk).collect();
            let (reactor, seen) = (place.reactor(), taken.clone());
            place
                .run(async move {
                    while seen.borrow().iter().any(|&count| count < 3) {
                        reactor.sleep(Duration::from_millis(1)).await;
                    }
                    Ok(())
                })
                .unwrap();
            let stopped = running.stop_service();
            for (client, talk) in clients.into_iter().enumerate() {
                let answered = place.run(talk).unwrap();
                assert_eq!(
                    answered,
                    taken.borrow()[client],
                    "of client {client}, {is_async}, {ahead}, {}",
                    place.at()
                );
            }
            place.run(stopped).unwrap();
        });
    }
}
