//! What single operations cost: tasks, timers and Deferreds, beside tokio's in the same run.
//!
//!     cargo bench --bench micro                under a minute
//!     cargo bench --bench micro -- --quick     a smoke run
//!
//! In each round ropewalk and tokio take turns, and a ratio is made inside its round; each figure is
//! the median over the rounds.

mod deferreds;
mod runtimes;
#[path = "../table/mod.rs"]
mod table;
mod tasks;
mod timers;

use ropewalk::Result;
use table::{Table, median};

/// One operation: what it costs here and there, in nanoseconds unless its name says otherwise.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) ours: Measure,
    pub(crate) peer: &'static str,
    pub(crate) theirs: Measure,
}

/// Does an operation so many times, and gives the cost of one.
pub(crate) type Measure = Box<dyn FnMut(u64) -> f64>;

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Without `--bench` this is `cargo test --benches`: does it work at all?
    let has = |name| arguments.iter().any(|argument| argument == name);
    let quick = has("--quick") || !has("--bench");
    let (rounds, operations) = if quick { (1, 2_000) } else { (9, 200_000) };

    let runtimes = runtimes::Runtimes::new()?;
    let mut cases = tasks::cases(&runtimes);
    cases.extend(timers::cases(&runtimes));
    cases.extend(deferreds::cases(&runtimes));
    let rows = cases.iter_mut().map(|case| row(case, rounds, operations)).collect();

    let title = format!("Nanoseconds per operation (median of {rounds} rounds of {operations})");
    let header = ["operation", "ropewalk", "tokio", "tokio's name for it", "ratio"];
    let header = header.map(str::to_owned).to_vec();
    let path = table::publish("bench-micro.md", &[Table { title, header, rows }])?;
    println!("The same as Markdown: {}", path.display());
    Ok(())
}

fn row(case: &mut Case, rounds: u32, operations: u64) -> Vec<String> {
    eprintln!("{} ...", case.name);
    let pairs: Vec<_> = (0..rounds).map(|round| pair(case, round, operations)).collect();
    let median = |figure: fn(&(f64, f64)) -> f64| median(pairs.iter().map(figure).collect());
    vec![
        case.name.to_owned(),
        nanos(median(|(ours, _)| *ours)),
        nanos(median(|(_, theirs)| *theirs)),
        case.peer.to_owned(),
        format!("x{:.2}", median(|(ours, theirs)| ours / theirs)),
    ]
}

fn nanos(value: f64) -> String {
    if value < 1000.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Who goes first changes with the round.
fn pair(case: &mut Case, round: u32, operations: u64) -> (f64, f64) {
    if round.is_multiple_of(2) {
        let ours = (case.ours)(operations);
        return (ours, (case.theirs)(operations));
    }
    let theirs = (case.theirs)(operations);
    ((case.ours)(operations), theirs)
}
