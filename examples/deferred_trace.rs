//! Replays a script of Deferred operations from standard input and prints what fired, in order.
//!
//! `echo '{"steps":[{"op":"new","d":0},{"op":"probe","d":0,"id":1},{"op":"callback","d":0,"v":7}]}' |
//! cargo run --example deferred_trace` prints `probe 1 7`. The language is that of the oracle which runs
//! the same script on Twisted; `tests/parity.rs` compares the two.

use std::io::Read;

#[path = "../tests/parity/replay.rs"]
mod replay;

fn main() {
    let mut script = String::new();
    std::io::stdin().read_to_string(&mut script).expect("a script on standard input");
    for line in replay::replay(&script) {
        println!("{line}");
    }
}
