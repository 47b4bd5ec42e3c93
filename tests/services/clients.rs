//! `ClientService`, against Twisted's own and where it differs.

use super::*;
use ropewalk::deferred::Cancelled;
use ropewalk::net::ConnectError;
use ropewalk::service::{BackoffPolicy, ClientService, Permanent, ServiceState};
use ropewalk::simulation::{EventKind, Latency, Link};
use ropewalk::{Connected, Transport};
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::process::{Command, Stdio};
use std::rc::Rc;

/// Notes its beginning and its end, with their times.
struct Noted(Diary);

#[derive(Clone)]
struct Diary {
    reactor: Reactor,
    begun: std::time::Instant,
    notes: Rc<RefCell<Vec<(f64, String)>>>,
}

impl Diary {
    fn new(reactor: &Reactor) -> Diary {
        Diary { reactor: reactor.clone(), begun: reactor.now(), notes: Rc::default() }
    }

    fn note(&self, what: impl Into<String>) {
        let time = (self.reactor.now() - self.begun).as_secs_f64();
        self.notes.borrow_mut().push((time, what.into()));
    }

    fn times(&self, what: &str) -> Vec<f64> {
        let notes = self.notes.borrow();
        notes.iter().filter(|(_, it)| it == what).map(|(time, _)| *time).collect()
    }
}

impl Protocol for Noted {
    fn connection_made(&mut self, _: &Transport) {
        self.0.note("made");
    }
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
    fn connection_lost(&mut self, _: &Failure) {
        self.0.note("lost");
    }
}

type Client = ClientService<Connected<Noted>>;

fn no_jitter() -> BackoffPolicy {
    BackoffPolicy::new().jitter(Duration::ZERO)
}

fn client(diary: &Diary) -> Client {
    let diary = diary.clone();
    ClientService::new("server:7", move |_: &Address| Noted(diary.clone()))
        .backoff_policy(no_jitter())
}

/// A server that can be taken away.
struct Server {
    reactor: Reactor,
    port: Option<Port>,
    streams: Rc<RefCell<Vec<Stream>>>,
}

impl Server {
    fn new(host: &Host) -> Server {
        Server { reactor: host.reactor(), port: None, streams: Rc::default() }
    }

    fn up(&mut self) {
        if self.port.is_none() {
            let streams = self.streams.clone();
            let keep = async move |stream| Ok(streams.borrow_mut().push(stream));
            self.port = Some(self.reactor.serve("0.0.0.0:7", keep).unwrap());
        }
    }

    fn down(&mut self) {
        drop(self.port.take().map(|port| port.stop_listening()));
    }

    fn drop_all(&self) {
        let streams = self.streams.take();
        drop(streams);
    }
}

// ---- as Twisted's ----

fn quick() -> (Simulation, Host, Host) {
    let simulation = Simulation::new(1);
    simulation.set_default_link(Link::new().latency(Latency::Fixed(Duration::from_micros(1))));
    simulation.allow_reports(|_| true);
    let (server, host) = (simulation.host("server"), simulation.host("client"));
    (simulation, server, host)
}

/// Plays a script as `twisted_client.py` does.
fn play(script: &str) -> Vec<(f64, String)> {
    let (simulation, server_host, host) = quick();
    simulation.keep_trace();
    let mut server = Server::new(&server_host);
    let diary = Diary::new(&host.reactor());
    let client = client(&diary).healthy_after(Duration::ZERO);
    let running = Application::new("all").run_on(&host.reactor());
    let running = simulation.run_until(running).unwrap();
    let (mut asked, begun) = (0, simulation.time());
    for word in script.split(' ') {
        let (time, deed) = word.split_once(':').unwrap();
        let time = begun + Duration::from_secs_f64(time.parse().unwrap());
        simulation.run_for(time.saturating_sub(simulation.time())).unwrap();
        match deed {
            "up" => {
                simulation.heal_all();
                server.up();
            }
            "down" => server.down(),
            "hang" => simulation.cut(&server_host, &host),
            "drop" => server.drop_all(),
            "start" => match running.services().first() {
                Some(service) => drop(service.start_service().add_both(|_: Result| ())),
                None => drop(running.add_service(client.clone())),
            },
            "stop" => {
                let service = running.services().first().cloned();
                let stopped = service.map_or_else(|| succeed(()), |it| it.stop_service());
                let told = diary.clone();
                drop(stopped.add_both(move |_: Result| told.note("stopped")));
            }
            when if when.starts_with("when") => {
                let number: u32 = when[4..].parse().unwrap();
                let waiting = client.when_connected((number > 0).then_some(number));
                let (told, name) = (diary.clone(), format!("when{asked}"));
                asked += 1;
                drop(waiting.add_both(move |outcome: Result<_>| {
                    let how = match outcome {
                        Ok(_) => "connected",
                        Err(failure) if failure.is::<Cancelled>() => "cancelled",
                        Err(_) => "failed",
                    };
                    told.note(format!("{name}={how}"));
                }));
            }
            _ => {}
        }
    }
    let mut notes = diary.notes.take();
    let attempts = simulation
        .trace_events()
        .into_iter()
        .filter(|event| &*event.host == "client" && matches!(event.what, EventKind::Asked(_)));
    notes.extend(attempts.map(|it| ((it.at - begun).as_secs_f64(), "attempt".to_owned())));
    notes
}

fn parsed(line: &str) -> Vec<(f64, String)> {
    let words = line.split_whitespace().map(|word| word.split_once(':').unwrap());
    words.map(|(time, what)| (time.parse().unwrap(), what.to_owned())).collect()
}

/// Whether the same happened at the same times, in whatever order at one time.
fn is_alike(ours: &[(f64, String)], theirs: &[(f64, String)]) -> bool {
    let mut left = ours.to_vec();
    let mut found = |(time, what): &(f64, String)| {
        let is_it = |ours: &(f64, String)| ours.1 == *what && (ours.0 - time).abs() < 0.15;
        left.iter().position(is_it).map(|place| left.remove(place)).is_some()
    };
    theirs.iter().all(&mut found) && left.is_empty()
}

fn scripts() -> Vec<String> {
    let mut scripts: Vec<String> = [
        // Retries, and who bears how many failures.
        "0:down 0:start 0.3:when0 0.3:when1 0.3:when2 0.3:when3 0.3:when9 40:up 70:stop 71:end",
        "0:down 0:start 300:end",
        // Lost again and again.
        "0:up 0:start 5.37:drop 9.37:drop 13.37:drop 14:end",
        // Lost, and not there for a while.
        "0:up 0:start 5.37:down 6.37:drop 19.37:up 60:drop 70:stop 80:end",
        // Stopped while it connects, waits, is connected, and twice.
        "0:hang 0:start 0:when0 3.37:stop 9.37:when0 10:end",
        "0:down 0:start 1:when0 1:stop 1.37:when0 5:end",
        "0:up 0:start 3:stop 9:when0 9:stop 10:start 11:when0 12:stop 13:end",
        // Asked before it is started, and started twice.
        "0:up 0:when0 1:when2 2:start 3:start 4:when0 5:end",
        "0:down 0:when1 2:start 9:stop 10:when0 11:start 12.37:when0 13:stop 20:end",
    ]
    .map(str::to_owned)
    .into();
    let simulation = Simulation::new(7);
    let below = |end: u64| simulation.random(|random| random.bits() % end);
    for _ in 0..60 {
        let (mut script, mut time) = (String::from("0:down 0.5:start"), 0);
        for _ in 0..below(14) + 4 {
            time += below(5) + 1;
            let deeds =
                ["up", "up", "down", "drop", "drop", "start", "start", "stop", "when0", "when2"];
            let deed = deeds[below(deeds.len() as u64) as usize];
            script += &format!(" {time}.{}:{deed}", 20 + below(60));
        }
        scripts.push(script + &format!(" {}:end", time + 30));
    }
    scripts
}

#[test]
fn it_does_what_twisteds_own_does_at_the_same_times() {
    if !peers::python_has("twisted.application.internet") {
        return;
    }
    let scripts = scripts();
    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services/twisted_client.py");
    let mut python = Command::new("python3");
    let mut child = python.arg(peer).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all((scripts.join("\n") + "\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(theirs.lines().count(), scripts.len());
    for (script, theirs) in scripts.iter().zip(theirs.lines()) {
        let (mut ours, theirs) = (play(script), parsed(theirs));
        ours.sort_by(|one, other| one.0.total_cmp(&other.0));
        let is_alike = is_alike(&ours, &theirs);
        assert!(is_alike, "{script}\n  ours: {ours:?}\ntheirs: {theirs:?}");
    }
}

// ---- where it differs ----

#[test]
fn a_connection_that_does_not_last_counts_as_a_failure() {
    let (simulation, server_host, host) = quick();
    let diary = Diary::new(&host.reactor());
    // Takes connections, and closes them at once.
    server_host.reactor().serve("0.0.0.0:7", async |_| Ok(())).unwrap();
    let application = Application::new("all").add_service(client(&diary));
    simulation.run_until(application.run_on(&host.reactor())).unwrap();
    simulation.run_for(SECOND * 20).unwrap();
    let rounded: Vec<_> =
        diary.times("made").iter().map(|time| (time * 10.0).round() / 10.0).collect();
    assert_eq!(rounded, [0.0, 1.5, 3.8, 7.1, 12.2, 19.8], "as if it were refused");
}

#[test]
fn a_connection_that_lasts_has_failures_forgotten_and_so_has_who_says_healthy() {
    for says_so in [false, true] {
        let (simulation, server_host, host) = quick();
        let (diary, mut server) = (Diary::new(&host.reactor()), Server::new(&server_host));
        let client = client(&diary);
        let application = Application::new("all").add_service(client.clone());
        simulation.run_until(application.run_on(&host.reactor())).unwrap();
        simulation.run_for(SECOND * 10).unwrap();
        server.up();
        simulation.run_until(client.when_connected(None)).unwrap();
        let made = diary.times("made")[0];
        match says_so {
            true => client.healthy(),
            false => simulation.run_for(SECOND * 11).unwrap(),
        }
        simulation.run_for(SECOND).unwrap();
        server.drop_all();
        simulation.run_until(client.when_connected(None)).ok();
        simulation.run_for(SECOND * 3).unwrap();
        let (lost, again) = (diary.times("lost")[0], diary.times("made")[1]);
        assert!(lost > made && (again - lost - 1.5).abs() < 0.1, "{says_so}: {lost} {again}");
    }
}

#[test]
fn a_connection_whose_preparation_fails_is_closed_and_the_attempt_has_failed() {
    let (simulation, server_host, host) = quick();
    let (diary, mut server) = (Diary::new(&host.reactor()), Server::new(&server_host));
    server.up();
    let tries = Rc::new(Cell::new(0));
    let count = tries.clone();
    let client = client(&diary).prepare_connection(move |_| {
        count.set(count.get() + 1);
        if count.get() < 3 { Err(Failure::msg("not yet")) } else { Ok(()) }
    });
    let application = Application::new("all").add_service(client.clone());
    simulation.run_until(application.run_on(&host.reactor())).unwrap();
    let first = simulation.run_until(client.when_connected(Some(1))).unwrap_err();
    assert_eq!(first.to_string(), "not yet");
    let connected = simulation.run_until(client.when_connected(None)).unwrap();
    assert!(connected.transport().is_connected());
    assert_eq!((tries.get(), diary.times("made").len(), diary.times("lost").len()), (3, 3, 2));
}

#[test]
fn a_loss_while_it_is_prepared_is_a_failure_and_a_stop_then_closes_the_connection() {
    let (simulation, server_host, host) = quick();
    let (diary, mut server) = (Diary::new(&host.reactor()), Server::new(&server_host));
    server.up();
    let kept = Rc::new(RefCell::new(Vec::new()));
    let triggers = kept.clone();
    let client = client(&diary).prepare_connection(move |_| {
        let (trigger, prepared) = Deferred::<()>::new();
        triggers.borrow_mut().push(trigger);
        prepared
    });
    let application = Application::new("all").add_service(client.clone());
    let running = simulation.run_until(application.run_on(&host.reactor())).unwrap();
    simulation.run_for(SECOND).unwrap();
    let waiting = client.when_connected(Some(1));
    server.drop_all();
    assert!(simulation.run_until(waiting).is_err());
    simulation.run_for(SECOND * 3).unwrap();
    assert_eq!((diary.times("made").len(), diary.times("lost").len()), (2, 1));
    simulation.run_until(running.stop_service()).unwrap();
    assert_eq!(diary.times("lost").len(), 2);
    assert_eq!(kept.borrow().len(), 2);
}

#[test]
fn a_permanent_failure_ends_it_and_it_is_not_started_again() {
    let (simulation, server_host, host) = quick();
    let (diary, mut server) = (Diary::new(&host.reactor()), Server::new(&server_host));
    server.up();
    let wrong = || Err(Permanent::of(Failure::msg("wrong password")));
    let client = client(&diary).prepare_connection(move |_| wrong());
    let application = Application::new("all").add_service(client.clone());
    let running = simulation.run_until(application.run_on(&host.reactor())).unwrap();
    let service = running.services()[0].clone();
    let failure = simulation.run_until(service.when_over()).unwrap_err();
    assert_eq!(failure.check::<Permanent>().unwrap().cause().to_string(), "wrong password");
    simulation.run_for(SECOND * 100).unwrap();
    assert_eq!((service.state(), service.restarts()), (ServiceState::Ended, 0));
    assert_eq!((diary.times("made").len(), diary.times("lost").len()), (1, 1));
    let waiting = client.when_connected(None);
    assert!(simulation.run_until(waiting).unwrap_err().is::<Cancelled>());
}

#[test]
fn an_endpoint_that_is_none_ends_it_and_an_unknown_host_if_that_is_asked_for() {
    let try_it = |client: ClientService<Transport>| {
        let (simulation, _, host) = quick();
        let application = Application::new("all").add_service(client.backoff_policy(no_jitter()));
        let running = simulation.run_until(application.run_on(&host.reactor())).unwrap();
        simulation.run_for(SECOND * 60).unwrap();
        running.services()[0].state()
    };
    let handler = async |_: Stream| Ok(());
    assert_eq!(try_it(ClientService::serve("nonsense", handler)), ServiceState::Ended);
    let unknown = || ClientService::serve("nobody:7", handler);
    assert_eq!(try_it(unknown()), ServiceState::Ready);
    assert_eq!(try_it(unknown().unknown_host_is_permanent()), ServiceState::Ended);
}

#[test]
fn an_async_function_serves_each_connection_and_ends_in_order_at_a_stop() {
    in_both(|place| {
        allow_reports(place);
        let served = Rc::new(Cell::new(0));
        let port = place.elsewhere().serve(place.at_elsewhere(), async |mut stream| {
            stream.write_all(b"news\n").await?;
            Ok(drop(stream.read(&mut [0; 9]).await))
        });
        let to = place.to_elsewhere(&port.unwrap().host());
        let count = served.clone();
        let feed = ClientService::serve(&*to, async move |mut stream: Stream| {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            count.set(count.get() + line.len());
            if count.get() < 10 {
                return Ok(());
            }
            // Until it is closed, by whichever end.
            Ok(drop(stream.read(&mut [0; 9]).await))
        })
        .backoff_policy(no_jitter().initial_delay(SECOND / 100));
        let running = place.start(Application::new("all").add_service(feed.clone())).unwrap();
        let (reactor, seen) = (place.reactor(), served.clone());
        place
            .run(async move {
                while seen.get() < 10 {
                    reactor.sleep(SECOND / 100).await;
                }
                Ok(())
            })
            .unwrap();
        let transport = place.run(feed.when_connected(None)).unwrap();
        assert!(transport.is_connected());
        place.run(running.stop_service()).unwrap();
        assert!(!transport.is_connected());
        assert_eq!(served.get(), 10);
    });
}

#[test]
fn who_waits_for_a_connection_and_goes_leaves_the_others_alone() {
    let (simulation, server_host, host) = quick();
    let (diary, mut server) = (Diary::new(&host.reactor()), Server::new(&server_host));
    let client = client(&diary);
    let application = Application::new("all").add_service(client.clone());
    simulation.run_until(application.run_on(&host.reactor())).unwrap();
    let (gone, stays) = (client.when_connected(None), client.when_connected(None));
    gone.cancel();
    server.up();
    simulation.run_until(stays).unwrap();
    let refused = client.when_connected(None).map(|_| ());
    simulation.run_until(refused).unwrap();
}

#[test]
fn why_it_cannot_connect_is_what_who_waits_is_told() {
    let (simulation, _, host) = quick();
    let diary = Diary::new(&host.reactor());
    let client = client(&diary);
    let application = Application::new("all").add_service(client.clone());
    simulation.run_until(application.run_on(&host.reactor())).unwrap();
    let failure = simulation.run_until(client.when_connected(Some(2))).unwrap_err();
    let kind = failure.check::<ConnectError>().unwrap().kind();
    assert_eq!(kind, std::io::ErrorKind::ConnectionRefused);
}
