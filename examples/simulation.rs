//! A key-value service and its reconnecting client, over a bad network, under 200 seeds.
//!
//! ```sh
//! cargo run --release --example simulation               # all is well
//! cargo run --release --example simulation -- --planted  # finds a bug, replays it, draws it
//! ```
//!
//! A client puts twenty values, one after the other, each until it is answered, and asks in the end
//! how many are there. The network loses packets, the link is cut, the server crashes and comes back
//! with what it had stored. With `--planted` the client takes a put whose connection was reset for
//! done: the first seed that shows it is found, run again and drawn.

use futures_util::io::BufReader;
use futures_util::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use ropewalk::simulation::{Host, Latency, Link, Simulation, chosen_seed, for_each_seed};
use ropewalk::{Failure, Reactor, Result, Stream};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::rc::Rc;
use std::time::Duration;

const SEEDS: u64 = 200;
const PUTS: u32 = 20;

/// What survives a crash.
type Disk = Rc<RefCell<BTreeMap<String, String>>>;

async fn serve(stream: Stream, disk: Disk) -> Result {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read);
    let mut line = String::new();
    while lines.read_line(&mut line).await? > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["put", key, value] => {
                disk.borrow_mut().insert(key.to_owned(), value.to_owned());
                "ok\n".to_owned()
            }
            ["get", key] => format!("{}\n", disk.borrow().get(key).map_or("-", String::as_str)),
            ["count"] => format!("{}\n", disk.borrow().len()),
            _ => "what?\n".to_owned(),
        };
        write.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

/// One request on one connection, made anew for every attempt.
async fn attempt(reactor: &Reactor, request: &str) -> Result<String> {
    let mut stream = reactor.open_tcp("server:6000").await?;
    stream.write_all(request.as_bytes()).await?;
    stream.close().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    match answer.strip_suffix('\n') {
        Some(answer) => Ok(answer.to_owned()),
        None => Err(Failure::msg("the answer was cut short")),
    }
}

/// Asks until there is an answer.
async fn ask(reactor: &Reactor, request: &str, is_planted: bool) -> Result<String> {
    loop {
        let limit = Box::pin(reactor.sleep(Duration::from_secs(2)));
        let asking = Box::pin(attempt(reactor, request));
        let asked = match futures_util::future::select(asking, limit).await {
            futures_util::future::Either::Left((outcome, _)) => outcome,
            futures_util::future::Either::Right(_) => Err(Failure::msg("no answer in time")),
        };
        match asked {
            Ok(answer) => return Ok(answer),
            // The planted bug: a server that resets is thought to have done its work before.
            Err(failure) if is_planted && is_reset(&failure) => return Ok("ok".into()),
            Err(_) => reactor.sleep(Duration::from_millis(200)).await,
        }
    }
}

fn is_reset(failure: &Failure) -> bool {
    let error = failure.check::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

fn boot(server: &Host) {
    let disk = Disk::default();
    server.boot(move |reactor| {
        let disk = disk.clone();
        reactor.serve_tcp("0.0.0.0:6000", async move |stream| serve(stream, disk.clone()).await)?;
        Ok(())
    });
}

fn scenario(simulation: &Simulation, is_planted: bool) -> Result {
    let (client, server) = (simulation.host("client"), simulation.host("server"));
    boot(&server);
    let radio = Latency::LongTailed(Duration::from_millis(5), Duration::from_millis(20));
    simulation.set_link(&client, &server, Link::new().latency(radio).loss(0.005));
    simulation.plan_troubles(&[server], 1, Duration::from_secs(5));
    simulation.script("cut client-server at 700 ms for 150 ms")?;
    let reactor = client.reactor();
    let count = client.reactor().spawn(async move {
        for number in 1..=PUTS {
            ask(&reactor, &format!("put key{number} {number}\n"), is_planted).await?;
            reactor.sleep(Duration::from_millis(100)).await;
        }
        ask(&reactor, "count\n", is_planted).await
    });
    let count = simulation.run_until(count)?;
    if count == PUTS.to_string() {
        return Ok(());
    }
    Err(Failure::msg(format!("{PUTS} puts were answered, but {count} are stored")))
}

fn main() -> Result {
    ropewalk::on_report(|_| {}); // A handler whose peer has gone is the point here.
    let is_planted = std::env::args().any(|argument| argument == "--planted");
    let done = Cell::new(0);
    let outcome = for_each_seed(0..SEEDS, |simulation| {
        if chosen_seed().is_some() {
            simulation.keep_trace();
        }
        scenario(simulation, is_planted)?;
        done.set(done.get() + 1);
        show_progress(done.get());
        Ok(())
    });
    println!();
    let failure = match outcome {
        Ok(survey) => {
            println!("all is well: {survey}");
            return Ok(());
        }
        Err(failure) => failure,
    };
    println!("{failure}");
    let fallen = failure.check::<ropewalk::simulation::Fallen>().ok_or(Failure::msg("no seed"))?;
    replay(fallen.seed(), is_planted)
}

fn show_progress(done: u64) {
    const WIDTH: u64 = 40;
    if !std::io::stdout().is_terminal() && done < SEEDS {
        return;
    }
    let full = (done * WIDTH / SEEDS) as usize;
    print!("\r[{}{}] {done}/{SEEDS}", "#".repeat(full), ".".repeat(WIDTH as usize - full));
    // A closed standard output is nobody's loss.
    let _ = std::io::stdout().flush();
}

fn replay(seed: u64, is_planted: bool) -> Result {
    let simulation = Simulation::new(seed);
    simulation.keep_trace();
    let again = scenario(&simulation, is_planted).err();
    println!("again: {}", again.map_or("it did not fail".into(), |failure| failure.to_string()));
    let file = std::env::temp_dir().join(format!("ropewalk-seed-{seed}.svg"));
    std::fs::write(&file, simulation.picture())?;
    println!("drawn: {}", file.display());
    Ok(())
}
