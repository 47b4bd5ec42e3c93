//! Three services: a clock, a client that follows it and comes back, and a server that says what it heard.
//!
//!     cargo run --release --example services            # and: nc 127.0.0.1 8007
//!
//! Ctrl-C while somebody is connected shows it drain, a second one ends the waiting; `--once` stops by itself.

use ropewalk::application::Application;
use ropewalk::prelude::*;
use ropewalk::service::{ClientService, Restart, Service, TcpServer, TimerService};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

fn main() -> Result {
    let is_once = std::env::args().any(|argument| argument == "--once");
    let ports = if is_once { ["127.0.0.1:0"; 2] } else { ["127.0.0.1:8008", "127.0.0.1:8007"] };
    let (ticks, heard) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let reactor = Reactor::new()?;

    let tick = ticks.clone();
    let clock = TimerService::new(Duration::from_millis(200), move || tick.set(tick.get() + 1));
    // Hangs up after each answer, so that who follows it has to come back.
    let source = reactor.serve(ports[0], async move |mut stream| {
        Ok(stream.write_all(format!("{}\n", ticks.get()).as_bytes()).await?)
    })?;
    let follows = heard.clone();
    let follower = ClientService::serve(source.host(), async move |mut stream| {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        follows.set(line.trim().parse()?);
        Ok(())
    });
    let server = TcpServer::serve(ports[1], async move |mut stream| {
        stream.write_all(format!("tick {}; a line, please\n", heard.get()).as_bytes()).await?;
        let mut line = String::new();
        match stream.draining().or(stream.read_line(&mut line)).await {
            Some(read) => drop(read?),
            None => return Ok(stream.write_all(b"we are closing\n").await?),
        }
        Ok(stream.write_all(line.as_bytes()).await?)
    })
    .on_listening(|port| println!("serves at {}", port.host()));

    let application = Application::new("ticking")
        .restart(Restart::rest_for_one())
        .add_service(clock.named("clock"))
        .add_service(follower.named("follower"))
        .add_service(server);
    let running = reactor.run_until(application.run_on(&reactor))?;
    println!(
        "ready: {}",
        running.services().iter().map(|it| it.name()).collect::<Vec<_>>().join(", ")
    );
    reactor.on_shutdown(|| println!("stops, in reverse"));
    let stopper = reactor.clone();
    if is_once {
        reactor.call_when_running(move || stopper.stop());
    }
    reactor.run()?;
    println!("stopped");
    Ok(())
}
