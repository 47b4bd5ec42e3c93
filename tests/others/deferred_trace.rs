//! Replays a script of Deferred operations from standard input and prints what fired, in order.
//!
//! `echo '{"steps":[{"op":"new","d":0},{"op":"probe","d":0,"id":1},{"op":"callback","d":0,"v":7}]}' |
//! cargo run --example deferred_trace` prints `probe 1 7`. The language is that of the oracle which runs
//! the same script on Twisted; `parity.rs` compares the two.

use ropewalk::{Failure, Result};
use std::io::{Write, read_to_string, stdin, stdout};

#[path = "parity/replay.rs"]
mod replay;

fn main() -> Result {
    let script = read_to_string(stdin())?;
    let script = serde_json::from_str(&script)
        .map_err(|error| Failure::msg(format!("no script on standard input: {error}")))?;
    for line in replay::replay(&script) {
        writeln!(stdout(), "{line}")?;
    }
    Ok(())
}
