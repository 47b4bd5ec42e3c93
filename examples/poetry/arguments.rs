//! The command line: what may be asked for, and nothing about how it is done.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use lexopt::prelude::*;
use ropewalk::Result;

use crate::recital::Recital;
use crate::{get_async, get_bare, get_blocking, get_deferred, get_protocol};

pub(crate) const USAGE: &str = "\
usage: poetry                                  the show: three servers, five clients, a table
       poetry serve [OPTIONS] [POEM-FILE]      a slow server (without a file: a poem of our own)
       poetry serve-blocking [OPTIONS] [POEM-FILE]
       poetry get-blocking [HOST:]PORT...      poems, one after the other
       poetry get-bare     [HOST:]PORT...      poems, all at once, on bare descriptors
       poetry get-protocol [HOST:]PORT...      ... on Protocol and ClientFactory
       poetry get-deferred [HOST:]PORT...      ... on Deferreds
       poetry get-async    [HOST:]PORT...      ... on async/await

options of a server:
  --port PORT         port to listen on (default: one picked by the system)
  --iface HOST        interface to listen on (default: localhost)
  --num-bytes N       bytes per write (default: 10)
  --delay SECONDS     time between two writes (default: 0.7)";

pub(crate) enum Command {
    Show,
    Help,
    Serve(Serve),
    ServeBlocking(Serve),
    Get(Client, Vec<String>),
}

/// What a server was asked to do.
pub(crate) struct Serve {
    pub(crate) iface: String,
    pub(crate) port: u16,
    pub(crate) pace: Pace,
    pub(crate) file: Option<PathBuf>,
}

/// How slowly a poem is sent.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Bytes per write; never zero.
    pub(crate) num_bytes: usize,
    pub(crate) delay: Duration,
}

#[derive(Clone, Copy)]
pub(crate) enum Client {
    Blocking,
    Bare,
    Protocol,
    Deferred,
    Async,
}

impl Command {
    pub(crate) fn from_env() -> Result<Command, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        let Some(first) = parser.next()? else {
            return Ok(Command::Show);
        };
        match first {
            Short('h') | Long("help") => Ok(Command::Help),
            Value(name) => Command::named(&name.string()?, parser),
            other => Err(other.unexpected()),
        }
    }

    fn named(name: &str, parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
        match name {
            "serve" => Serve::parse(parser, Command::Serve),
            "serve-blocking" => Serve::parse(parser, Command::ServeBlocking),
            _ => match Client::ALL
                .into_iter()
                .find(|it| name.strip_prefix("get-") == Some(it.name()))
            {
                Some(client) => addresses(parser, client),
                None => Err(format!("there is no subcommand '{name}'").into()),
            },
        }
    }
}

impl Serve {
    fn parse(
        mut parser: lexopt::Parser,
        command: fn(Serve) -> Command,
    ) -> Result<Command, lexopt::Error> {
        let pace = Pace { num_bytes: 10, delay: Duration::from_millis(700) };
        let mut options = Serve { iface: "localhost".into(), port: 0, pace, file: None };
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(Command::Help),
                Long("port") => options.port = parser.value()?.parse_with(port)?,
                Long("iface") => options.iface = parser.value()?.string()?,
                Long("num-bytes") => {
                    options.pace.num_bytes = parser.value()?.parse_with(num_bytes)?
                }
                Long("delay") => options.pace.delay = parser.value()?.parse_with(seconds)?,
                Value(file) if options.file.is_none() => options.file = Some(file.into()),
                other => return Err(other.unexpected()),
            }
        }
        Ok(command(options))
    }
}

impl Client {
    pub(crate) const ALL: [Client; 5] =
        [Client::Blocking, Client::Bare, Client::Protocol, Client::Deferred, Client::Async];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Client::Blocking => "blocking",
            Client::Bare => "bare",
            Client::Protocol => "protocol",
            Client::Deferred => "deferred",
            Client::Async => "async",
        }
    }

    pub(crate) fn means(self) -> &'static str {
        match self {
            Client::Blocking => "the standard library, one poem after the other",
            Client::Bare => "descriptors on the reactor, all poems at once",
            Client::Protocol => "Protocol and ClientFactory, all poems at once",
            Client::Deferred => "a Deferred for each poem, all at once",
            Client::Async => "a task for each poem, all at once",
        }
    }

    pub(crate) fn get(self, recital: &Rc<Recital>) -> Result {
        match self {
            Client::Blocking => get_blocking::get(recital),
            Client::Bare => get_bare::get(recital),
            Client::Protocol => get_protocol::get(recital),
            Client::Deferred => get_deferred::get(recital),
            Client::Async => get_async::get(recital),
        }
    }
}

fn addresses(mut parser: lexopt::Parser, client: Client) -> Result<Command, lexopt::Error> {
    let mut addresses = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Value(address) => addresses.push(address.parse_with(host_and_port)?),
            other => return Err(other.unexpected()),
        }
    }
    if addresses.is_empty() {
        return Err("give at least one address, as [HOST:]PORT".into());
    }
    Ok(Command::Get(client, addresses))
}

/// `10000` means `127.0.0.1:10000`.
fn host_and_port(address: &str) -> Result<String, &'static str> {
    let (host, port) = address.rsplit_once(':').unwrap_or(("127.0.0.1", address));
    match port.parse() {
        Ok(1..=u16::MAX) if !host.is_empty() => Ok(format!("{host}:{port}")),
        _ => Err("an address is [HOST:]PORT, with a port from 1 to 65535"),
    }
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().or(Err("--port is a number up to 65535"))
}

fn num_bytes(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err("--num-bytes is a whole number, at least 1"),
        Ok(number) => Ok(number),
    }
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok();
    let delay = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    delay.ok_or("--delay is a time in seconds, such as 0.1")
}
