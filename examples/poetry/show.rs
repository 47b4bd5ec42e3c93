//! The show: three slow servers on one reactor, the five clients in turn, a table of the times.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ropewalk::{Reactor, Result};

use crate::arguments::{Client, Pace};
use crate::recital::{INTERRUPTED, Recital};
use crate::serve::slow_poetry;
use crate::voice::{AllAtOnce, Bars, OneByOne, Voice, say};

struct Poem {
    title: &'static str,
    text: &'static str,
    delay: Duration,
}

const POEMS: [Poem; 3] = [
    Poem {
        title: "The Ropewalk",
        text: include_str!("ropewalk.txt"),
        delay: Duration::from_millis(100),
    },
    Poem { title: "Strands", text: include_str!("strands.txt"), delay: Duration::from_millis(120) },
    Poem { title: "Made Fast", text: include_str!("sea.txt"), delay: Duration::from_millis(120) },
];

const NUM_BYTES: usize = 30;

/// What one client needed for each poem, and for all.
struct Row {
    client: Client,
    poems: Vec<Duration>,
    all: Duration,
}

pub(crate) fn run() -> Result<ExitCode> {
    let addresses = start_servers()?;
    say(format_args!("Three servers, three poems, {NUM_BYTES} bytes at a time."));
    let mut rows = Vec::new();
    for client in Client::ALL {
        say(format_args!("\nget-{}: {}", client.name(), client.means()));
        let recital = Rc::new(Recital::new(addresses.clone(), voice(client)));
        client.get(&recital)?;
        let status = recital.close();
        let Some(poems) = recital.times() else { return Ok(status) };
        rows.push(Row { client, poems, all: recital.elapsed() });
    }
    print_table(&rows);
    Ok(ExitCode::SUCCESS)
}

/// Starts the servers, on a thread of their own because one of the clients blocks.
fn start_servers() -> Result<Vec<String>> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let served = listen().map(|(reactor, addresses)| (tell.send(Ok(addresses)), reactor));
        // Only Ctrl-C ends this reactor, and then all of the show at once.
        match served.and_then(|(_, reactor)| reactor.run()) {
            Ok(()) => std::process::exit(INTERRUPTED.into()),
            Err(failure) => tell.send(Err(failure)),
        }
    });
    told.recv()?
}

fn listen() -> Result<(Reactor, Vec<String>)> {
    let reactor = Reactor::new()?;
    let mut addresses = Vec::new();
    for poem in &POEMS {
        let pace = Pace { num_bytes: NUM_BYTES, delay: poem.delay };
        let any_port = ([127, 0, 0, 1], 0).into();
        let port = slow_poetry(&reactor, any_port, poem.text.into(), pace)?;
        addresses.push(port.host().to_string());
    }
    reactor.on_shutdown(|| -> Result { std::process::exit(INTERRUPTED.into()) });
    Ok((reactor, addresses))
}

fn voice(client: Client) -> Box<dyn Voice> {
    if io::stdout().is_terminal() {
        return Box::new(Bars::new(&POEMS.each_ref().map(|poem| (poem.title, poem.text.len()))));
    }
    match client {
        Client::Blocking => Box::new(OneByOne),
        _ => Box::new(AllAtOnce),
    }
}

fn print_table(rows: &[Row]) {
    let titles = POEMS.each_ref().map(|poem| format!("{:>14}", poem.title)).concat();
    say(format_args!("\n  {:9}{titles}{:>14}", "client", "all three"));
    let blocking = rows[0].all;
    for row in rows {
        let poems: String = row.poems.iter().copied().map(cell).collect();
        let times = blocking.as_secs_f64() / row.all.as_secs_f64();
        let (name, all) = (row.client.name(), cell(row.all));
        match row.client {
            Client::Blocking => say(format_args!("  {name:9}{poems}{all}")),
            _ => say(format_args!("  {name:9}{poems}{all}   {times:.1} times as fast")),
        }
    }
    say("\nThe same servers, the same poems, one thread: four of the five wait for all at once.");
}

fn cell(time: Duration) -> String {
    format!("{:>12.2} s", time.as_secs_f64())
}
