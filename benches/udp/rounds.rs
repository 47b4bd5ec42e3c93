//! Rounds of every load against every server, and the table made of them.

use std::io;

use ropewalk::Result;

use crate::client::{BURST, Burst, Client, PIECE, SMALL};
use crate::machine::server::{Server, take_turns};
use crate::table::{Table, beside_the_first};
use crate::{machine, servers};

/// How long the bench takes.
#[derive(Clone, Copy)]
pub(crate) struct Length {
    rounds: usize,
    datagrams: usize,
}

// Many short rounds: a ratio is as good as the machine is steady for the length of one.
pub(crate) const FULL: Length = Length { rounds: 15, datagrams: 4_000 };
pub(crate) const QUICK: Length = Length { rounds: 1, datagrams: 640 };

/// Has a server do something with so many datagrams.
type Load = fn(&mut Client, usize) -> io::Result<()>;

const LOADS: [Load; 4] = [
    Client::ping_pong,
    |client, count| client.echo(count, Burst::OneByOne),
    |client, count| client.echo(count, Burst::Train),
    Client::ask,
];

/// Microseconds of CPU for a datagram, in the order of the loads.
type Sample = [f64; LOADS.len()];

fn names() -> [String; LOADS.len()] {
    [
        format!("{SMALL} bytes to and fro"),
        format!("{BURST} of {PIECE}, echoed"),
        "the same, come as a train".to_owned(),
        format!("{BURST} of {PIECE}, out"),
    ]
}

pub(crate) fn run(length: Length) -> Result<Table> {
    let cpus = machine::two_cpus()?;
    machine::stay_on(cpus.1)?;
    let rounds = take_turns(length.rounds, servers::ALL, |name| measure(name, length, cpus.0))?;
    let Length { rounds: count, datagrams } = length;
    let title = format!(
        "UDP: CPU time of the server per datagram, us (server on CPU {}, client on CPU {}; median of \
         {count} rounds of {datagrams}, ratios to mio)",
        cpus.0, cpus.1
    );
    let header = std::iter::once("datagrams").chain(servers::ALL).map(str::to_owned).collect();
    let rows = names().into_iter().enumerate().map(|(row, name)| {
        let cells = (0..servers::ALL.len()).map(|server| {
            let pairs = rounds.iter().map(|round| (round[server][row], round[0][row]));
            beside_the_first(pairs)
        });
        std::iter::once(name).chain(cells).collect()
    });
    Ok(Table { title, header, rows: rows.collect() })
}

fn measure(name: &str, length: Length, cpu: usize) -> Result<Sample> {
    let server = Server::start(name, cpu, &[])?;
    let mut client = Client::connect(server.address)?;
    let mut sample = Sample::default();
    for (load, figure) in LOADS.iter().zip(&mut sample) {
        load(&mut client, length.datagrams / 10)?;
        let taken = server.cpu_of(|| Ok(load(&mut client, length.datagrams)?))?;
        *figure = taken / length.datagrams as f64;
    }
    Ok(sample)
}
