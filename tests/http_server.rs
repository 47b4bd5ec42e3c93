//! The server of HTTP over a simulated network: what a client sends, byte by byte, and what it gets.
#![cfg(all(feature = "http", feature = "simulation"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::http::{Request, Response, Site, Status, leaf};
use ropewalk::simulation::Simulation;
use ropewalk::{Reactor, Result};
use std::time::Duration;

fn bodies(answer: &str) -> String {
    let date = answer.find("date: ").map(|at| &answer[at..at + 37]);
    date.map_or(answer.to_owned(), |date| answer.replace(date, ""))
}

/// Sends all of it, ends its half, and gives what comes back, without the dates.
fn talk(site: Site, sent: &'static str) -> String {
    let simulation = Simulation::new(1);
    simulation.host("server").reactor().listen("0.0.0.0:80", site).unwrap();
    let client = simulation.host("client").reactor();
    let opening = client.open("server:80");
    let got = simulation.run_until(async move {
        let mut stream = opening.await?;
        stream.write_all(sent.as_bytes()).await?;
        let mut got = String::new();
        stream.read_to_string(&mut got).await?;
        Ok(got)
    });
    bodies(&got.unwrap())
}

const CLOSE: &str = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn a_callback_answers_with_what_it_returns() {
    let site = Site::new(leaf(|request: &Request| Ok(format!("you asked for {}", request.path()))));
    assert_eq!(
        talk(site, CLOSE),
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 19\r\n\
         connection: close\r\n\r\nyou asked for /last"
    );
}

#[test]
fn an_async_handler_reads_the_body_and_answers_later() {
    let site = Site::new(leaf(async |request: Request| {
        let text = request.body().text().await?;
        ropewalk::sleep(Duration::from_secs(3)).await;
        Ok(text.to_uppercase())
    }));
    let got = talk(
        site,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
         POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nyo\r\n0\r\n\r\n",
    );
    assert!(
        got.contains("\r\n\r\nHELLOHTTP/1.1 200 OK\r\n") && got.ends_with("\r\n\r\nYO"),
        "{got}"
    );
}

#[test]
fn a_request_that_is_forgotten_is_answered_with_500_and_reported_with_its_line() {
    let reports = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let heard = reports.clone();
    ropewalk::on_report(move |report| heard.borrow_mut().push(report.to_string()));
    let reactor = Reactor::new().unwrap();
    let line = line!() + 1;
    let site = Site::new(leaf(|_: &Request| Ok(())));
    let port = reactor.listen("127.0.0.1:0", site).unwrap();
    let opening = reactor.open(port.host());
    let got = reactor.run_until(async move {
        let mut stream = opening.await?;
        stream.write_all(CLOSE.as_bytes()).await?;
        let mut got = String::new();
        stream.read_to_string(&mut got).await?;
        Ok(got)
    });
    assert!(got.unwrap().starts_with("HTTP/1.1 500 "));
    let reports = reports.take();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].contains("GET /last was not answered"), "{reports:?}");
    assert!(reports[0].ends_with(&format!("arose at tests/http_server.rs:{line}")), "{reports:?}");
}

#[test]
fn pieces_go_out_in_chunks_and_to_an_old_peer_until_the_end() -> Result {
    let site = || {
        Site::new(leaf(async |request: Request| {
            request.set_header("X-Mood", "good")?;
            for piece in ["one ", "two ", "three"] {
                request.write(piece).await?;
                ropewalk::sleep(Duration::from_secs(1)).await;
            }
            request.finish();
            Ok(())
        }))
    };
    assert_eq!(
        talk(site(), CLOSE),
        "HTTP/1.1 200 OK\r\nX-Mood: good\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
         4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"
    );
    assert_eq!(
        talk(site(), "GET / HTTP/1.0\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nX-Mood: good\r\nconnection: close\r\n\r\none two three"
    );
    Ok(())
}

#[test]
fn what_is_no_http_is_refused_with_a_sentence() {
    let site = Site::new(leaf(|_: &Request| Ok(Response::new(Status::NO_CONTENT))));
    assert_eq!(
        talk(site, "GET / HTTP/1.1\nHost: a\n\n"),
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 39\r\n\
         connection: close\r\n\r\nbare LF at the end of a line (byte 14)\n"
    );
}
