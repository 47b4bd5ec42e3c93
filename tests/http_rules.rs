//! The rules of the server of HTTP, over a simulated network in virtual time.
#![cfg(all(feature = "http", feature = "simulation"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::http::{
    Body, BodyProducer, BodyProtocol, Headers, Limits, Request, Response, Site, leaf,
};
use ropewalk::simulation::Simulation;
use ropewalk::transport::Producing;
use ropewalk::{Failure, Protocol, Result, Stream, Transport};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// A server, a client connected to it, and what was recorded.
struct Stage {
    simulation: Simulation,
    site: Site,
    records: Rc<RefCell<Vec<String>>>,
    stream: RefCell<Option<Stream>>,
}

impl Stage {
    fn new(site: Site) -> Stage {
        let simulation = Simulation::new(1);
        let records = Rc::new(RefCell::new(Vec::new()));
        let notes = records.clone();
        let site = site.on_exchange(move |record| {
            let status = record.status().map_or(0, |status| status.code());
            let target = record.target().unwrap_or("-");
            notes.borrow_mut().push(format!("{target} {status} {:?}", record.outcome()));
        });
        simulation.host("server").reactor().listen("0.0.0.0:80", site.clone()).unwrap();
        let stream = simulation.run_until(simulation.host("client").reactor().open("server:80"));
        Stage { simulation, site, records, stream: RefCell::new(Some(stream.unwrap())) }
    }

    fn of(handler: impl Fn(&Request) -> Result<Response> + 'static) -> Stage {
        Stage::new(Site::new(leaf(handler)))
    }

    fn send(&self, data: impl AsRef<[u8]>) {
        self.stream.borrow().as_ref().unwrap().transport().write(data);
    }

    fn wait(&self, time: Duration) {
        self.simulation.run_for(time).unwrap();
    }

    /// What has come, without the dates, and whether that was the end.
    fn hear(&self) -> (String, bool) {
        self.wait(Duration::from_millis(100));
        let mut stream = self.stream.take().unwrap();
        let reading = async move {
            let mut buffer = vec![0; 1 << 20];
            let read = stream.read(&mut buffer).await;
            buffer.truncate(*read.as_ref().unwrap_or(&0));
            Ok((stream, buffer))
        };
        let (back, got) = self.simulation.run_until(reading).unwrap();
        let is_over = got.is_empty();
        stream = back;
        self.stream.replace(Some(stream));
        (without_dates(&String::from_utf8_lossy(&got)), is_over)
    }

    fn records(&self) -> Vec<String> {
        self.records.take()
    }
}

fn without_dates(answer: &str) -> String {
    let mut text = answer.to_owned();
    while let Some(at) = text.find("date: ").filter(|at| at + 37 <= text.len()) {
        text.replace_range(at..at + 37, "");
    }
    text
}

fn text(answer: &'static str) -> impl Fn(&Request) -> Result<Response> {
    move |_: &Request| Ok(Response::from(answer))
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn an_idle_connection_is_closed_after_a_minute_and_a_late_head_is_answered_with_408() {
    let stage = Stage::of(text("hi"));
    stage.wait(Duration::from_secs(59));
    assert_eq!(stage.site.connections(), 1);
    stage.send(GET);
    assert!(stage.hear().0.ends_with("\r\n\r\nhi"));
    stage.wait(Duration::from_secs(58));
    assert_eq!(stage.site.connections(), 1, "the minute began anew");
    stage.send("GET / HT");
    stage.wait(Duration::from_secs(9));
    stage.send("TP/1.1\r\n");
    assert_eq!(stage.site.connections(), 1);
    let (got, _) = stage.hear();
    assert!(
        got.starts_with("HTTP/1.1 408 ") && got.ends_with("not complete within 10 s\n"),
        "{got}"
    );
    stage.wait(Duration::from_secs(11));
    assert_eq!(stage.site.connections(), 0);
    let why = "- 408 Refused(HeadTimedOut { seconds: 10 })";
    assert_eq!(stage.records(), ["/ 200 Answered", why]);

    let stage = Stage::of(text("hi"));
    stage.wait(Duration::from_secs(61));
    assert_eq!((stage.site.connections(), stage.records()), (0, vec![]));
}

#[test]
fn a_body_that_comes_too_slowly_or_stops_is_answered_with_408() {
    for (pause, most) in [(1, 12), (31, 70)] {
        let site = Site::new(leaf(async |request: Request| request.body().text().await));
        let stage = Stage::new(site);
        stage.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        for _ in 0..most / pause {
            stage.send("123456789");
            stage.wait(Duration::from_secs(pause));
        }
        let (got, _) = stage.hear();
        assert!(got.starts_with("HTTP/1.1 408 "), "{pause}: {got}");
        stage.wait(Duration::from_secs(11));
        assert_eq!(stage.site.connections(), 0);
        assert_eq!(stage.records(), ["/ 408 Refused(BodyTimedOut)"]);
    }
}

#[test]
fn a_body_that_nobody_asked_for_yet_has_all_the_time_and_stops_at_64_kib() {
    let site = Site::new(leaf(async |request: Request| {
        ropewalk::sleep(Duration::from_secs(300)).await;
        Ok(format!("{}", request.body().read_all(1 << 20).await?.len()))
    }));
    let stage = Stage::new(site);
    stage.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    stage.send(vec![b'x'; 1_000_000]);
    stage.wait(Duration::from_secs(200));
    let waiting = stage.stream.borrow().as_ref().unwrap().transport().waiting();
    assert!(waiting > 500_000, "the peer is not held back: {waiting}");
    stage.wait(Duration::from_secs(110));
    assert!(stage.hear().0.ends_with("\r\n\r\n1000000"));
}

#[test]
fn a_peer_that_takes_no_answer_is_given_up_and_the_producer_stopped() {
    struct Endless(Rc<Cell<&'static str>>);
    impl BodyProducer for Endless {
        fn resume_producing(&mut self, request: &Request) {
            request.write(vec![b'x'; 30_000]);
        }
        fn stop_producing(&mut self) {
            self.0.set("stopped");
        }
    }
    let told = Rc::new(Cell::new("not told"));
    let tells = told.clone();
    let site = Site::new(leaf(move |request: &Request| {
        request.register_producer(Endless(tells.clone()), Producing::Pull)
    }));
    let stage = Stage::new(site);
    stage.stream.borrow().as_ref().unwrap().transport().pause_reading();
    stage.send(GET);
    stage.wait(Duration::from_secs(20));
    assert_eq!((stage.site.connections(), told.get()), (1, "not told"));
    stage.wait(Duration::from_secs(100));
    assert_eq!((stage.site.connections(), told.get()), (0, "stopped"));
    assert_eq!(stage.records(), ["/ 200 Abandoned"]);
}

#[test]
fn the_body_is_asked_for_by_100_when_it_is_first_touched_and_not_before() {
    let expect =
        "POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let site = || {
        Site::new(leaf(async |request: Request| {
            if request.path() == "/refuse" {
                return Ok("not wanted".to_owned());
            }
            ropewalk::sleep(Duration::from_secs(5)).await;
            let body = request.body();
            ropewalk::sleep(Duration::from_secs(5)).await;
            body.text().await
        }))
    };
    let stage = Stage::new(site());
    stage.send(expect);
    stage.wait(Duration::from_secs(4));
    assert_eq!(stage.hear().0, "HTTP/1.1 100 Continue\r\n\r\n");
    stage.send("hello");
    assert!(stage.hear().0.ends_with("\r\n\r\nhello"));
    let stage = Stage::new(site());
    stage.send(expect.replace("/read", "/refuse"));
    let (got, _) = stage.hear();
    assert!(
        got.starts_with("HTTP/1.1 200 OK\r\n") && got.contains("connection: close\r\n"),
        "{got}"
    );
}

#[test]
fn answers_leave_in_the_order_of_their_requests_however_long_each_takes() {
    let site = Site::new(leaf(async |request: Request| {
        let seconds = request.segment(0).unwrap().parse::<u64>()?;
        ropewalk::sleep(Duration::from_secs(seconds)).await;
        Ok(format!("[{seconds}]"))
    }));
    let stage = Stage::new(site);
    for seconds in [3, 0, 2, 0, 1] {
        stage.send(format!("GET /{seconds} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    stage.wait(Duration::from_secs(10));
    let (got, _) = stage.hear();
    let order: Vec<_> = got.match_indices('[').map(|(at, _)| &got[at..at + 3]).collect();
    assert_eq!(order, ["[3]", "[0]", "[2]", "[0]", "[1]"]);
}

#[test]
fn much_that_is_pipelined_at_once_is_answered_whole() {
    let stage = Stage::of(text("0123456789"));
    stage.send(GET.repeat(5_000));
    stage.wait(Duration::from_secs(5));
    let mut got = String::new();
    while got.matches("\r\n\r\n0123456789").count() < 5_000 {
        got += &stage.hear().0;
    }
    assert_eq!(stage.records().len(), 5_000);
}

#[test]
fn head_has_the_head_of_get_and_no_body() {
    let stage = Stage::of(text("thirteen byte"));
    stage.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (got, _) = stage.hear();
    assert!(got.contains("content-length: 13\r\n") && got.ends_with("\r\n\r\n"), "{got}");
    stage.send(GET);
    assert!(stage.hear().0.ends_with("\r\n\r\nthirteen byte"));
}

#[test]
fn an_old_peer_keeps_its_connection_if_it_asks_and_a_new_one_unless_it_asks_otherwise() {
    for (sent, stays) in [
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false),
    ] {
        let stage = Stage::of(text("hi"));
        stage.send(sent);
        assert!(stage.hear().0.ends_with("hi"));
        stage.wait(Duration::from_secs(15));
        assert_eq!(stage.site.connections(), usize::from(stays), "{sent}");
    }
}

#[test]
fn a_panic_is_500_and_reported_and_the_connection_goes_on() {
    let stage = Stage::of(|request: &Request| match request.path() {
        "/panic" => panic!("on purpose"),
        _ => Ok(Response::from("fine")),
    });
    let heard = Rc::new(RefCell::new(Vec::new()));
    let notes = heard.clone();
    stage.simulation.allow_reports(move |report| {
        notes.borrow_mut().push(report.to_string());
        true
    });
    stage.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(stage.hear().0.starts_with("HTTP/1.1 500 "));
    stage.send(GET);
    assert!(stage.hear().0.ends_with("fine"));
    assert_eq!(stage.records(), ["/panic 500 Failed", "/ 200 Answered"]);
    let heard = heard.take();
    assert!(heard.len() == 1 && heard[0].contains("panicked: on purpose"), "{heard:?}");
}

#[test]
fn whoever_waits_for_the_end_is_told_once_it_is_sent_or_the_peer_is_lost() {
    let notes = Rc::new(RefCell::new(Vec::new()));
    let desk = notes.clone();
    let site = Site::new(leaf(move |request: &Request| {
        let (later, desk) = (request.clone(), desk.clone());
        let note = desk.clone();
        request.notify_finish().add_both(move |end: Result<()>| {
            note.borrow_mut().push(end.map_or("lost", |()| "finished"));
        });
        let waiting = request.clone();
        request.reactor().spawn(async move {
            waiting.lost().await;
            desk.borrow_mut().push("gone");
            Ok(())
        });
        request.reactor().call_later(Duration::from_secs(5), move || later.respond("late"));
        Ok(())
    }));
    let stage = Stage::new(site);
    stage.send(GET);
    stage.wait(Duration::from_secs(6));
    assert_eq!(notes.take(), ["finished"]);
    stage.send(GET);
    stage.wait(Duration::from_secs(1));
    stage.stream.borrow().as_ref().unwrap().transport().abort_connection();
    stage.wait(Duration::from_secs(1));
    assert_eq!(notes.take(), ["lost", "gone"]);
    assert_eq!(stage.records(), ["/ 200 Answered", "/ 0 Abandoned"]);
}

#[test]
fn a_peer_that_ends_its_half_is_answered_and_counts_as_gone_a_second_later() {
    let notes = Rc::new(RefCell::new(Vec::new()));
    let desk = notes.clone();
    let site = Site::new(leaf(async move |request: Request| {
        let (waiting, desk) = (request.clone(), desk.clone());
        let begun = request.reactor().now();
        request.reactor().spawn(async move {
            waiting.lost().await;
            desk.borrow_mut().push((waiting.reactor().now() - begun).as_secs());
            Ok(())
        });
        ropewalk::sleep(Duration::from_secs(20)).await;
        Ok("patience")
    }));
    let stage = Stage::new(site);
    stage.send(GET);
    stage.stream.borrow().as_ref().unwrap().transport().lose_write_connection();
    stage.wait(Duration::from_secs(21));
    assert_eq!(notes.take(), [1]);
    assert!(stage.hear().0.ends_with("patience"));
    stage.wait(Duration::from_secs(1));
    assert_eq!(stage.site.connections(), 0);
}

#[test]
fn trailers_go_both_ways() {
    struct Last(Request);
    impl BodyProtocol for Last {
        fn data_received(&mut self, _: &Body, data: &[u8]) -> Result {
            self.0.write(data);
            Ok(())
        }
        fn finished(&mut self, trailers: &Headers) {
            let mut back = Headers::new();
            back.append("Digest", trailers.text("digest").unwrap_or("none")).unwrap();
            self.0.finish_with(&back);
        }
    }
    let site = Site::new(leaf(|request: &Request| {
        request.body().deliver(Last(request.clone()));
        Ok(())
    }));
    let stage = Stage::new(site);
    stage.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    stage.send("3\r\nabc\r\n0\r\nDigest: x\r\n\r\n");
    let (got, _) = stage.hear();
    assert!(got.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nDigest: x\r\n\r\n"), "{got}");
}

#[test]
fn another_protocol_gets_the_connection_and_the_bytes_behind_the_request() {
    struct Shout;
    impl Protocol for Shout {
        fn connection_made(&mut self, transport: &Transport) {
            transport.write("welcome ");
        }
        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            transport.write(data.to_ascii_uppercase());
            Ok(())
        }
        fn connection_lost(&mut self, _: &Failure) {}
    }
    for (head, line) in [
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n",
            "HTTP/1.1 101 ",
        ),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 "),
    ] {
        for late in [false, true] {
            let site = Site::new(leaf(async move |request: Request| {
                if late {
                    ropewalk::sleep(Duration::from_secs(2)).await;
                }
                request.set_header("Upgrade", "shout")?;
                request.upgrade(Shout)
            }));
            let stage = Stage::new(site);
            stage.send(format!("{head}first "));
            stage.wait(Duration::from_secs(3));
            stage.send("second");
            stage.wait(Duration::from_secs(70));
            let (got, _) = stage.hear();
            assert!(
                got.starts_with(line) && got.ends_with("\r\n\r\nwelcome FIRST SECOND"),
                "{got}"
            );
            assert_eq!(stage.site.connections(), 1, "the deadlines are over");
        }
    }
}

#[test]
fn a_drain_ends_idle_ones_now_and_busy_ones_with_their_answer() {
    let site = Site::new(leaf(async |_: Request| {
        ropewalk::sleep(Duration::from_secs(8)).await;
        Ok("the last one")
    }));
    let stage = Stage::new(site);
    let server = stage.simulation.host("server").reactor();
    let idle =
        stage.simulation.run_until(stage.simulation.host("client").reactor().open("server:80"));
    let _idle = idle.unwrap();
    stage.wait(Duration::from_secs(1));
    stage.send(GET);
    stage.wait(Duration::from_secs(1));
    assert_eq!(stage.site.connections(), 2);
    let drained = stage.site.drain(&server, Duration::from_secs(30));
    stage.wait(Duration::from_secs(1));
    assert_eq!(stage.site.connections(), 1, "only the busy one is left");
    stage.simulation.run_until(drained).unwrap();
    let (got, _) = stage.hear();
    assert!(got.contains("connection: close\r\n") && got.ends_with("the last one"), "{got}");
}

#[test]
fn a_drain_cuts_off_what_is_not_done_in_its_time() {
    let site = Site::new(leaf(async |_: Request| {
        std::future::pending::<()>().await;
        Ok("never")
    }));
    let stage = Stage::new(site);
    stage.send(GET);
    stage.wait(Duration::from_secs(1));
    let server = stage.simulation.host("server").reactor();
    stage.simulation.run_until(stage.site.drain(&server, Duration::from_secs(30))).unwrap();
    assert_eq!((stage.site.connections(), stage.records()), (0, vec!["/ 0 Abandoned".to_owned()]));
}

#[test]
fn no_more_connections_are_served_than_the_limit_says() {
    let limits = Limits { connections: 3, ..Limits::default() };
    let stage = Stage::new(Site::new(leaf(text("hi"))).limits(limits));
    // One opened the door already, under the same limit.
    let client = stage.simulation.host("client").reactor();
    let streams: Vec<_> =
        (0..5).map(|_| stage.simulation.run_until(client.open("server:80")).unwrap()).collect();
    stage.wait(Duration::from_secs(1));
    assert_eq!(stage.site.connections(), 3);
    drop(streams);
    stage.wait(Duration::from_secs(1));
    assert_eq!(stage.site.connections(), 1);
}

#[test]
fn what_is_printed_of_a_request_has_no_credentials_and_no_control_characters() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let desk = lines.clone();
    let site = Site::new(leaf(|request: &Request| Ok(format!("{request:?}")))).on_exchange(
        move |record| {
            desk.borrow_mut().extend([record.combined().to_string(), record.json().to_string()])
        },
    );
    let simulation = Simulation::new(1);
    simulation.host("server").reactor().listen("0.0.0.0:80", site).unwrap();
    let opening = simulation.host("client").reactor().open("server:80");
    let got = simulation.run_until(async move {
        let mut stream = opening.await?;
        stream
            .write_all(
                b"GET /\"quoted\" HTTP/1.1\r\nHost: a\r\nAuthorization: Basic c2VjcmV0\r\nCookie: c2VjcmV0\r\n\
                  User-Agent: a\"b\xff\xc2\x9b31m\r\nConnection: close\r\n\r\n",
            )
            .await?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await?;
        Ok(String::from_utf8_lossy(&got).into_owned())
    });
    let lines = lines.take();
    for text in [&got.unwrap(), &lines[0], &lines[1]] {
        assert!(!text.contains("c2VjcmV0") && !text.contains('\u{9b}'), "{text}");
    }
    assert!(lines[0].ends_with(r#""-" "a\"b\xff\xc2\x9b31m""#), "{}", lines[0]);
    assert!(lines[1].contains(r#""user-agent":"a\"b"#), "{}", lines[1]);
    assert!(lines[1].contains(r"\u009b31m"), "{}", lines[1]);
}
