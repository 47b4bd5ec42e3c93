//! A bar, on a terminal.

use std::io::{IsTerminal, Write, stdout};

const WIDTH: u64 = 40;

pub(crate) fn show(done: u64, all: u64) {
    if !stdout().is_terminal() && done < all {
        return;
    }
    let full = (done * WIDTH / all) as usize;
    let (full, left) = ("#".repeat(full), ".".repeat(WIDTH as usize - full));
    // A closed standard output is nobody's loss.
    let _ = write!(stdout(), "\r[{full}{left}] {done}/{all}");
    let _ = stdout().flush();
}
