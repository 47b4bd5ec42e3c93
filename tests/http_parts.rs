//! What sites are made of: forms, uploads, cookies, and those who are let in.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "kit/http.rs"]
mod http;

use http::{Answer, Server};
use ropewalk::http::{
    Cookie, Guard, MultipartLimits, Request, Resource, Response, Site, User, leaf,
};
use std::rc::Rc;

const URLENCODED: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

#[test]
fn a_form_is_read_in_either_face_and_what_is_none_is_told() {
    let called = leaf(|request: &Request| {
        Ok(request.body().form().map(|form| form.all("tag").collect::<Vec<_>>().join("|")))
    });
    let awaited = leaf(async |request: Request| {
        let form = request.body().form().await?;
        Ok(form.all("tag").collect::<Vec<_>>().join("|"))
    });
    for handler in [called, awaited] {
        let server = Server::of(Site::new(handler));
        let send = |fields, body: &[u8]| server.send("POST", "/", fields, body);
        let answer = send(&[URLENCODED], b"tag=a+b&x=y&tag=%C3%A4%26&tag=&tag");
        assert_eq!((answer.status(), answer.text()), (200, "a b|ä&||"));
        assert_eq!(send(&[("Content-Type", "text/plain")], b"tag=a").status(), 415);
        assert_eq!(send(&[], b"tag=a").status(), 415);
        assert_eq!(send(&[URLENCODED], b"tag=%zz").status(), 400);
        assert_eq!(send(&[URLENCODED], b"tag=\xff").status(), 400);
        assert_eq!(send(&[URLENCODED], &vec![b'a'; (1 << 20) + 1]).status(), 413);
    }
}

fn upload(limits: MultipartLimits) -> Server {
    Server::of(Site::new(leaf(async move |request: Request| {
        let mut form = request.body().multipart(limits.clone())?;
        let mut told = String::new();
        while let Some(mut part) = form.next().await? {
            told.push_str(&format!("{} {:?} ", part.head().name(), part.head().file_name()));
            match part.head().name() {
                "skipped" => {}
                "text" => told.push_str(&part.text(10).await?),
                _ => {
                    let mut count = 0;
                    while let Some(chunk) = part.chunk().await? {
                        count += chunk.len();
                    }
                    assert!(part.chunk().await?.is_none(), "the end comes again");
                    told.push_str(&count.to_string());
                }
            }
            told.push('\n');
        }
        Ok(told)
    })))
}

const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=xyz");

fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--xyz\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

#[test]
fn the_parts_of_an_upload_are_streamed_read_whole_or_skipped() {
    let server = upload(MultipartLimits::default());
    let body = [
        part("name=\"skipped\"; filename=\"../../etc/passwd\"", &vec![b'-'; 100_000]),
        part("name=\"file\"; filename=\"a.bin\"", &vec![b'\r'; 300_000]),
        part("name=\"text\"", b"words"),
        part("name=\"file\"", b""),
        b"--xyz--".to_vec(),
    ]
    .concat();
    let answer = server.send("POST", "/", &[MULTIPART], &body);
    let expected = "skipped Some(\"passwd\") \nfile Some(\"a.bin\") 300000\n\
                    text None words\nfile None 0\n";
    assert_eq!((answer.status(), answer.text()), (200, expected));
}

#[test]
fn a_limit_of_an_upload_that_is_met_is_told_with_its_number() {
    let server = upload(MultipartLimits { bytes: 10_000, parts: 2, head: 200 });
    let text = part("name=\"text\"", b"words");
    let long = part(&format!("name=\"{}\"", "x".repeat(200)), b"");
    let parts = [&text[..], &text, &text].concat();
    for (fields, body, status, sentence) in [
        (MULTIPART, part("name=f", &[b'x'; 10_000]), 413, "a form of more than 10000 bytes\n"),
        (MULTIPART, parts, 413, "a form of more than 2 parts\n"),
        (MULTIPART, long, 400, "the head of a form's part has more than 200 bytes\n"),
        (
            MULTIPART,
            part("name=text", b"more than ten"),
            413,
            "the part \"text\" has more than 10 bytes\n",
        ),
        (MULTIPART, text.clone(), 400, "a form ended within a part\n"),
        (MULTIPART, b"--xyzz\r\n".to_vec(), 400, "a boundary of a form ends in no line's end\n"),
        (URLENCODED, text, 415, "the content type is no multipart/form-data with a boundary\n"),
    ] {
        let answer = server.send("POST", "/", &[fields], &body);
        assert_eq!((answer.status(), answer.text()), (status, sentence));
    }
}

#[test]
fn a_cookie_comes_back_by_its_name() {
    let server = Server::of(Site::new(leaf(|request: &Request| {
        let cookie = Cookie::new("seen", "now")?;
        let before = request.cookie("seen").unwrap_or("never").to_owned();
        Ok(Response::from(before).append_header("Set-Cookie", cookie.to_string())?)
    })));
    let answer = server.get("/");
    assert_eq!(answer.field("set-cookie"), Some("seen=now; Path=/; HttpOnly; SameSite=Lax"));
    assert_eq!(answer.text(), "never");
    let answer =
        server.ask("GET", "/", &[("Cookie", "a=b; unseen=x"), ("Cookie", "seen=now; seen=2")]);
    assert_eq!(answer.text(), "now");
}

/// Says who was let in, and what is left of the path.
struct Inside;

impl Resource for Inside {
    fn child(&self, segment: &str, _: &Request) -> Option<Rc<dyn Resource>> {
        (segment == "inner").then(|| Rc::new(Inside) as Rc<dyn Resource>)
    }

    fn render(&self, request: &Request) -> ropewalk::Result<ropewalk::http::Reply> {
        use ropewalk::http::IntoReply;
        let user = request.context::<User>().map(|user| user.name().to_owned());
        Ok(format!("{user:?} {}", request.path()).into_reply())
    }
}

#[test]
fn basic_and_bearer_let_in_who_is_known_now_or_later() {
    let now =
        Guard::basic("a \"realm\"", |name, password| (name, password) == ("ann", "p:w"), Inside);
    let later = Guard::basic(
        "a \"realm\"",
        |name: &str, password: &str| ropewalk::succeed((name, password) == ("ann", "p:w")),
        Inside,
    );
    for guard in [now, later] {
        let server = Server::of(Site::new(guard));
        let ask = |path: &str, value: &str| server.ask("GET", path, &[("Authorization", value)]);
        let answer = server.get("/inner/inner");
        assert_eq!(answer.status(), 401);
        let challenge = "Basic realm=\"a \\\"realm\\\"\", charset=\"UTF-8\"";
        assert_eq!(answer.field("www-authenticate"), Some(challenge));
        // ann:p:w, ann:wrong, and what is none.
        assert_eq!(ask("/inner/inner", "Basic YW5uOnA6dw==").text(), "Some(\"ann\") /inner/inner");
        assert_eq!(ask("/outer", "basic YW5uOnA6dw==").status(), 404);
        for wrong in ["Basic YW5uOndyb25n", "Basic", "Basic YW5u", "Bearer YW5uOnA6dw==", "x"] {
            assert_eq!(ask("/inner", wrong).status(), 401, "{wrong}");
        }
    }
    let server = Server::of(Site::new(Guard::bearer("api", |token| token == "a.b", Inside)));
    assert_eq!(server.get("/").field("www-authenticate"), Some("Bearer realm=\"api\""));
    assert_eq!(server.ask("GET", "/inner", &[("Authorization", "Bearer a.b")]).status(), 200);
    assert_eq!(server.ask("GET", "/inner", &[("Authorization", "Bearer a.c")]).status(), 401);
}

#[test]
fn a_check_that_fails_is_500_and_reported() {
    let reports = Rc::new(std::cell::RefCell::new(Vec::new()));
    let heard = reports.clone();
    ropewalk::on_report(move |report| heard.borrow_mut().push(report.to_string()));
    let check = |_: &str| ropewalk::fail::<bool>(ropewalk::Failure::msg("the database is away"));
    let server = Server::of(Site::new(Guard::bearer("api", check, Inside)));
    assert_eq!(server.ask("GET", "/", &[("Authorization", "Bearer a")]).status(), 500);
    assert!(reports.borrow()[0].contains("the database is away"), "{reports:?}");
}

fn curl(server: &Server, arguments: &[&str]) -> Option<String> {
    let mut command = std::process::Command::new("curl");
    let url = format!("http://{}/inner", server.address);
    command.args(["-s", "--max-time", "20", "-w", " %{http_code}"]).args(arguments).arg(url);
    let running = server.reactor.defer_to_thread(move || command.output().map_err(Into::into));
    let output = server.reactor.run_until(running).ok()?;
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn curl_is_let_in_by_digest_with_its_password_only() {
    let password = |name: &str| (name == "ann").then(|| "sesame".to_owned());
    let server = Server::of(Site::new(Guard::digest("files", password, Inside)));
    let Some(got) = curl(&server, &["--digest", "-u", "ann:sesame"]) else {
        println!("skipped: there is no curl");
        return;
    };
    assert_eq!(got, "Some(\"ann\") /inner 200");
    for wrong in ["ann:wrong", "bob:sesame", "ann:"] {
        assert!(curl(&server, &["--digest", "-u", wrong]).unwrap().ends_with(" 401"), "{wrong}");
    }
    assert!(
        curl(&server, &["-u", "ann:sesame"]).unwrap().ends_with(" 401"),
        "basic is not asked for"
    );
}

#[test]
fn a_challenge_of_digest_offers_the_stronger_hash_first() {
    let server = Server::of(Site::new(Guard::digest("files", |_| None, Inside)));
    let Answer { head, .. } = server.get("/");
    let offers: Vec<_> = head.lines().filter(|line| line.starts_with("WWW-Authenticate")).collect();
    assert_eq!(offers.len(), 2, "{head}");
    assert!(offers[0].contains("algorithm=SHA-256") && offers[1].contains("algorithm=MD5"));
    assert!(offers.iter().all(|offer| offer.contains("qop=\"auth\"") && !offer.contains("stale")));
}

#[cfg(feature = "simulation")]
#[test]
fn events_go_on_until_the_page_or_the_site_is_gone() {
    use futures_util::{AsyncReadExt, AsyncWriteExt};
    use ropewalk::http::ServerEvent;
    use ropewalk::simulation::Simulation;
    use std::time::Duration;

    let simulation = Simulation::new(1);
    let server = simulation.host("server").reactor();
    let streams = Rc::new(std::cell::RefCell::new(Vec::new()));
    let list = streams.clone();
    let site = Site::new(leaf(move |request: &Request| {
        let events = request.event_stream()?;
        let last = request.last_event_id().unwrap_or("none").to_owned();
        let _not_awaited = events.send(ServerEvent::new(format!("since {last}")).name("hello"));
        list.borrow_mut().push(events);
        Ok(())
    }));
    server.listen("0.0.0.0:80", site.clone()).unwrap();
    let opening = simulation.host("client").reactor().open("server:80");
    let got = simulation.run_until(async move {
        let mut stream = opening.await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 7\r\n\r\n").await?;
        ropewalk::sleep(Duration::from_secs(40)).await;
        let _not_awaited = streams.borrow()[0].send("later");
        let drained = site.drain(&server, Duration::from_secs(30));
        let mut got = String::new();
        stream.read_to_string(&mut got).await?;
        drained.await?;
        assert!(streams.borrow()[0].is_lost() || streams.borrow()[0].request().is_finished());
        Ok(got)
    });
    let got = got.unwrap();
    assert!(got.contains("Content-Type: text/event-stream\r\n"), "{got}");
    let mut body = got.split_once("\r\n\r\n").unwrap().1.to_owned();
    // Without the lines that say how long each chunk is.
    body = body.split("\r\n").skip(1).step_by(2).collect();
    assert_eq!(body, "event: hello\ndata: since 7\n\n:\n\n:\n\ndata: later\n\n");
}

/// Asks for the body again when it is dropped.
struct Nosy(Request);

impl ropewalk::http::BodyProtocol for Nosy {
    fn data_received(&mut self, _: &ropewalk::http::Body, _: &[u8]) -> ropewalk::Result {
        Ok(())
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.0.body().resume();
    }
}

#[test]
fn a_receiver_that_another_takes_the_place_of_may_do_anything_when_it_is_dropped() {
    let server = Server::of(Site::new(leaf(|request: &Request| {
        request.body().deliver(Nosy(request.clone()));
        Ok(request.body().bytes().map(|bytes| bytes.len().to_string()))
    })));
    assert_eq!(server.send("POST", "/", &[], b"12345").text(), "5");
}
