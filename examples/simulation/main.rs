//! A key-value service and its reconnecting client, over a bad network, under 200 seeds.
//!
//! ```sh
//! cargo run --release --features simulation --example simulation               # all is well
//! cargo run --release --features simulation --example simulation -- --planted  # finds a bug, replays it, draws it
//! ```
//!
//! A client puts twenty values, one after the other, each until it is answered, and asks in the end
//! how many are there. The network loses packets, the link is cut, the server crashes and comes back
//! with what it had synced to its disk. With `--planted` the client takes a put whose connection was reset for
//! done: the first seed that shows it is found, run again and drawn.

mod client;
mod progress;
mod scenario;
mod service;
mod store;

use ropewalk::simulation::{FailedSeed, Simulation, chosen_seed, for_each_seed};
use ropewalk::{Failure, Result};
use std::cell::Cell;
use std::io::{Write, stdout};

const SEEDS: u64 = 200;

fn main() -> Result {
    let option = std::env::args().nth(1);
    if let Some(other) = option.as_ref().filter(|option| *option != "--planted") {
        return Err(Failure::msg(format!("no option {other}; usage: simulation [--planted]")));
    }
    let (is_planted, done) = (option.is_some(), Cell::new(0));
    let outcome = for_each_seed(0..SEEDS, |simulation| {
        if chosen_seed().is_some() {
            simulation.keep_trace();
        }
        scenario::play(simulation, is_planted)?;
        done.set(done.get() + 1);
        progress::show(done.get(), SEEDS);
        Ok(())
    });
    writeln!(stdout())?;
    match outcome {
        Ok(report) => Ok(writeln!(stdout(), "all is well: {report}")?),
        Err(failure) => {
            writeln!(stdout(), "{failure}")?;
            replay(failure.trap::<FailedSeed>()?.seed(), is_planted)
        }
    }
}

fn replay(seed: u64, is_planted: bool) -> Result {
    let simulation = Simulation::new(seed);
    simulation.keep_trace();
    let again = scenario::play(&simulation, is_planted).err();
    let again = again.map_or("it did not fail".into(), |failure| failure.to_string());
    writeln!(stdout(), "again: {again}")?;
    let file = std::env::temp_dir().join(format!("ropewalk-seed-{seed}.svg"));
    std::fs::write(&file, simulation.to_svg())?;
    Ok(writeln!(stdout(), "drawn: {}", file.display())?)
}
