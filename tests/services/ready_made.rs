//! The services that are there already: servers, clients by factories, timers.

use super::*;
use ropewalk::Transport;
use ropewalk::net::{DatagramProtocol, DatagramTransport, ListenError};
use ropewalk::ported::{ClientFactory, Connector};
use ropewalk::service::{
    CooperatorService, MulticastServer, ServiceState, StreamServerEndpointService, TcpClient,
    TcpServer, TimerService, UdpServer, UnixServer,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn drain(&mut self, transport: &Transport) {
        transport.lose_connection();
    }
}

async fn echo(mut stream: Stream) -> Result {
    let mut buf = [0; 64];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..n]).await?;
    }
}

type Where = Rc<RefCell<Option<Address>>>;

fn noting(service: StreamServerEndpointService, host: &Where) -> StreamServerEndpointService {
    let host = host.clone();
    service.on_listening(move |port| drop(host.replace(Some(port.host()))))
}

/// Whether a word comes back.
fn is_echoed(place: &Place, to: &str) -> bool {
    let opening = place.elsewhere().open(to);
    let asked = async move {
        let (mut stream, mut word) = (opening.await?, [0; 4]);
        stream.write_all(b"word").await?;
        stream.read_exact(&mut word).await?;
        Ok(&word == b"word")
    };
    place.run(asked).unwrap_or(false)
}

#[test]
fn a_server_serves_in_both_faces_and_again_after_a_restart() {
    in_both(|place| {
        for is_async in [false, true] {
            let host = Where::default();
            let server = match is_async {
                false => TcpServer::new(place.at(), |_: &Address| Echo),
                true => TcpServer::serve(place.at(), echo),
            };
            let application = Application::new("all").add_service(noting(server, &host));
            let running = place.start(application).unwrap();
            assert_eq!(running.services()[0].name(), "TcpServer");
            let to = || place.to(host.borrow().as_ref().unwrap());
            assert!(is_echoed(place, &to()));
            place.run(running.services()[0].restart_service()).unwrap();
            assert!(is_echoed(place, &to()));
            place.run(running.stop_service()).unwrap();
            assert!(!is_echoed(place, &to()));
        }
    });
}

#[test]
fn a_port_that_is_taken_is_the_failure_of_the_start() {
    in_both(|place| {
        let taken = place.reactor().serve(place.at(), echo).unwrap();
        let at = match place {
            Place::Simulated(..) => place.at().to_owned(),
            Place::Real(_) => taken.host().to_string(),
        };
        let notes = Notes::default();
        let application = Application::new("all")
            .add_service(part("a", &notes))
            .add_service(TcpServer::serve(&*at, echo));
        let failure = place.start(application).unwrap_err();
        let kind = failure.check::<ListenError>().unwrap().kind();
        assert_eq!(kind, std::io::ErrorKind::AddrInUse);
        // It was to listen before anything was started.
        notes.expect(&["a privileged"]);
    });
}

#[test]
fn a_server_listens_before_privileges_are_given_up() {
    let place = Place::simulated(1);
    let launch = Application::new("all")
        .add_service(StreamServerEndpointService::serve("tcp:7", echo))
        .on(&place.reactor());
    let running = launch.running().clone();
    place.run(running.privileged_start_service()).unwrap();
    assert_eq!(running.services()[0].state(), ServiceState::Privileged);
    assert!(is_echoed(&place, "server:7"));
    place.run(running.start_service()).unwrap();
    assert!(running.is_ready());
    assert!(is_echoed(&place, "server:7"));
    place.run(running.stop_service()).unwrap();
}

#[test]
fn the_factory_of_a_server_is_started_and_stopped_with_it() {
    struct Noting(Notes);
    impl ropewalk::Factory for Noting {
        type Protocol = Echo;
        fn build_protocol(&mut self, _: &Address) -> Option<Echo> {
            self.0.add("built");
            Some(Echo)
        }
        fn started(&mut self) {
            self.0.add("started");
        }
        fn stopped(&mut self) {
            self.0.add("stopped");
        }
    }
    let (place, notes) = (Place::simulated(1), Notes::default());
    let server = TcpServer::new(place.at(), Noting(notes.clone()));
    let running = place.start(Application::new("all").add_service(server)).unwrap();
    assert!(is_echoed(&place, "server:7"));
    place.run(running.services()[0].restart_service()).unwrap();
    place.run(running.stop_service()).unwrap();
    notes.expect(&["started", "built", "stopped", "started", "stopped"]);
}

#[test]
fn a_unix_server_serves_and_leaves_its_path_free() {
    let place = Place::Real(Reactor::new().unwrap());
    let path = std::env::temp_dir().join(format!("ropewalk-services-{}", std::process::id()));
    let server = UnixServer::serve(&*path, echo);
    let running = place.start(Application::new("all").add_service(server)).unwrap();
    assert_eq!(running.services()[0].name(), "UnixServer");
    assert!(is_echoed(&place, &format!("unix:{}", path.display())));
    place.run(running.stop_service()).unwrap();
    assert!(!path.exists());
}

#[cfg(feature = "tls")]
#[test]
fn a_tls_server_and_a_tls_client_speak_with_each_other() {
    use ropewalk::service::{TlsClient, TlsServer};
    use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
    let place = Place::Real(Reactor::new().unwrap());
    let identity = Identity::self_signed(&["localhost"]).unwrap();
    let host = Where::default();
    let server = TlsServer::new("127.0.0.1:0", &ServerConfig::new(identity), |_: &Address| Echo);
    let running = place.start(Application::new("all").add_service(noting(server, &host))).unwrap();
    let to = host.borrow().as_ref().unwrap().to_string();
    let calls = Calls::default();
    let client = TlsClient::new(&*to, &ClientConfig::dangerously_trusting_anybody(), calls.clone());
    let added = place.run(running.add_service(client)).unwrap();
    assert_eq!(added.name(), "TlsClient");
    calls.wait_for(&place, "word");
    place.run(running.stop_service()).unwrap();
    assert_eq!(calls.notes.all().last().unwrap(), "lost");
}

/// Says a word and notes what it hears.
#[derive(Clone, Default)]
struct Calls {
    notes: Notes,
}

impl Calls {
    fn wait_for(&self, place: &Place, what: &'static str) {
        let (notes, reactor) = (self.notes.clone(), place.reactor());
        let waiting = async move {
            while !notes.has(what) {
                reactor.sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        };
        place.run(waiting).unwrap();
    }
}

struct Caller(Notes);

impl Protocol for Caller {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(b"word");
    }
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.0.add(String::from_utf8_lossy(data));
        Ok(())
    }
}

impl ClientFactory for Calls {
    type Protocol = Caller;

    fn build_protocol(&mut self, _: &Address) -> Option<Caller> {
        Some(Caller(self.notes.clone()))
    }
    fn client_connection_failed(&mut self, _: &Connector, _: &Failure) {
        self.notes.add("failed");
    }
    fn client_connection_lost(&mut self, _: &Connector, _: &Failure) {
        self.notes.add("lost");
    }
}

#[test]
fn a_client_connects_when_it_starts_and_disconnects_when_it_stops() {
    in_both(|place| {
        let served = place.elsewhere().serve(place.at_elsewhere(), echo).unwrap();
        let (to, calls) = (place.to_elsewhere(&served.host()), Calls::default());
        let client = TcpClient::new(&*to, calls.clone());
        let running = place.start(Application::new("all").add_service(client)).unwrap();
        calls.wait_for(place, "word");
        place.run(running.services()[0].restart_service()).unwrap();
        let (notes, reactor) = (calls.notes.clone(), place.reactor());
        let again = async move {
            while notes.count("word") < 2 {
                reactor.sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        };
        place.run(again).unwrap();
        place.run(running.stop_service()).unwrap();
        calls.notes.expect(&["word", "lost", "word", "lost"]);
    });
}

struct Datagrams(Notes);

impl DatagramProtocol for Datagrams {
    fn datagram_received(
        &mut self,
        transport: &DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        transport.write_to(data, from)
    }
    fn stopped(&mut self) {
        self.0.add("stopped");
    }
}

#[test]
fn a_udp_server_answers_and_closes_its_socket() {
    in_both(|place| {
        let (notes, host) = (Notes::default(), Where::default());
        let (told, build) = (host.clone(), notes.clone());
        let server = UdpServer::new(place.at(), move || Datagrams(build.clone()))
            .on_listening(move |transport| drop(told.replace(Some(transport.host()))));
        let running = place.start(Application::new("all").add_service(server)).unwrap();
        let at = match place {
            Place::Simulated(..) => "0.0.0.0:0",
            Place::Real(_) => "127.0.0.1:0",
        };
        let socket = place.elsewhere().bind_udp(at).unwrap();
        let real = host.borrow().clone().unwrap();
        let is_simulated = matches!(place, Place::Simulated(..));
        let found = is_simulated.then(|| place.elsewhere().resolve("server", 7));
        let answered = async move {
            let to = match found {
                Some(found) => Address::from(found.await?[0]),
                None => real,
            };
            socket.send_to(b"word", &to).await?;
            Ok(socket.recv_from(&mut [0; 8]).await?.0)
        };
        assert_eq!(place.run(answered).unwrap(), 4);
        place.run(running.stop_service()).unwrap();
        notes.expect(&["stopped"]);
    });
}

#[test]
fn two_multicast_servers_have_one_port() {
    let place = Place::Real(Reactor::new().unwrap());
    let (notes, host) = (Notes::default(), Where::default());
    let (build, told) = (notes.clone(), host.clone());
    let first = MulticastServer::new("127.0.0.1:0", move || Datagrams(build.clone()))
        .on_listening(move |transport| drop(told.replace(Some(transport.host()))));
    let running = place.start(Application::new("all").add_service(first)).unwrap();
    let (at, build) = (host.borrow().as_ref().unwrap().to_string(), notes.clone());
    let second = MulticastServer::new(at, move || Datagrams(build.clone()));
    let added = place.run(running.add_service(second)).unwrap();
    assert_eq!(added.name(), "MulticastServer-2");
    place.run(running.stop_service()).unwrap();
    notes.expect(&["stopped", "stopped"]);
}

#[test]
fn a_timer_calls_at_once_and_then_each_interval_until_it_is_stopped() {
    for is_async in [false, true] {
        let (place, count) = (Place::simulated(1), Rc::new(Cell::new(0)));
        let called = count.clone();
        let timer = match is_async {
            false => TimerService::new(SECOND, move || called.set(called.get() + 1)),
            true => TimerService::new_async(SECOND, async move || {
                ropewalk::yield_now().await;
                Ok(called.set(called.get() + 1))
            }),
        };
        let running = place.start(Application::new("all").add_service(timer)).unwrap();
        let Place::Simulated(simulation, ..) = &place else { return };
        simulation.run_for(SECOND * 5 / 2).unwrap();
        assert_eq!(count.get(), 3);
        place.run(running.stop_service()).unwrap();
        simulation.run_for(SECOND * 5).unwrap();
        assert_eq!(count.get(), 3);
        place.run(running.start_service()).unwrap();
        simulation.run_for(SECOND / 2).unwrap();
        assert_eq!(count.get(), 4);
    }
}

#[test]
fn a_timer_that_is_stopped_waits_for_the_call_under_way() {
    let (place, notes) = (Place::simulated(1), Notes::default());
    let told = notes.clone();
    let timer = TimerService::new_async(SECOND * 10, async move || {
        ropewalk::sleep(SECOND).await;
        Ok(told.add("done"))
    });
    let running = place.start(Application::new("all").add_service(timer)).unwrap();
    notes.expect(&[]);
    place.run(running.stop_service()).unwrap();
    notes.expect(&["done"]);
}

#[test]
fn a_timer_that_fails_is_a_service_that_failed_and_is_started_again() {
    let (place, count) = (Place::simulated(1), Rc::new(Cell::new(0)));
    allow_reports(&place);
    let called = count.clone();
    let timer = TimerService::new(SECOND * 60, move || {
        called.set(called.get() + 1);
        if called.get() == 1 { Err(Failure::msg("on purpose")) } else { Ok(()) }
    });
    let running = place.start(Application::new("all").add_service(timer)).unwrap();
    let Place::Simulated(simulation, ..) = &place else { return };
    simulation.run_for(SECOND).unwrap();
    assert_eq!((count.get(), running.services()[0].restarts()), (2, 1));
    assert!(running.is_ready());
    place.run(running.stop_service()).unwrap();
}

#[test]
fn a_cooperator_does_its_work_in_steps_and_fails_it_when_it_stops() {
    in_both(|place| {
        let (steps, count) = (CooperatorService::new(), Rc::new(Cell::new(0)));
        let early = steps.coiterate((0..3).map(|_| ()));
        assert!(place.run(early).is_err(), "it does not run yet");
        let application = Application::new("all").add_service(steps.clone());
        let running = place.start(application).unwrap();
        let done = count.clone();
        place.run(steps.coiterate((0..3).map(move |n| done.set(n)))).unwrap();
        assert_eq!(count.get(), 2);
        let endless = steps.coiterate(std::iter::repeat(()));
        place.run(running.stop_service()).unwrap();
        assert!(place.run(endless).is_err());
    });
}
