//! How a recital is told: in the lines of a blocking client, in those of an asynchronous one, or as
//! a bar for each poem on a terminal.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use crate::recital::{Clock, Task};

pub(crate) trait Voice {
    fn started(&mut self, _task: Task, _address: &str) {}
    fn piece(&mut self, _task: Task, _address: &str, _bytes: &[u8]) {}
    fn finished(&mut self, _task: Task, _address: &str, _bytes: usize, _took: Duration) {}
    fn closed(&mut self, _task: Task, _bytes: usize) {}
}

/// One poem after the other: a line when it starts, a line when it is there.
pub(crate) struct OneByOne;

impl Voice for OneByOne {
    fn started(&mut self, task: Task, address: &str) {
        say(format_args!("{task}: get poetry from: {address}"));
    }

    fn finished(&mut self, task: Task, address: &str, bytes: usize, took: Duration) {
        let took = Clock(took);
        say(format_args!("{task}: got {bytes} bytes of poetry from {address} in {took}"));
    }
}

/// All poems at once: a line for each piece, and at the end one for each poem.
pub(crate) struct AllAtOnce;

impl Voice for AllAtOnce {
    fn piece(&mut self, task: Task, address: &str, bytes: &[u8]) {
        say(format_args!("{task}: got {} bytes of poetry from {address}", bytes.len()));
    }

    fn closed(&mut self, task: Task, bytes: usize) {
        say(format_args!("{task}: {bytes} bytes of poetry"));
    }
}

/// A bar for each poem, redrawn in place, with the line of verse that is coming in beside it.
pub(crate) struct Bars {
    bars: Vec<Bar>,
}

struct Bar {
    title: &'static str,
    total: usize,
    poem: Vec<u8>,
}

/// Cells of a full bar.
const WIDTH: usize = 20;
/// A narrow terminal cuts what is too long for it, so that every bar stays one line.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

impl Bars {
    /// Draws the empty bars; each poem has a title and a length in bytes.
    pub(crate) fn new(poems: &[(&'static str, usize)]) -> Bars {
        let bar = |&(title, total)| Bar { title, total, poem: Vec::with_capacity(total) };
        let bars = Bars { bars: poems.iter().map(bar).collect() };
        say(bars.format().trim_end_matches('\n'));
        bars
    }

    fn format(&self) -> String {
        let lines = self.bars.iter().map(|bar| format!("{NO_WRAP}\x1b[2K{bar}{WRAP}\n"));
        lines.collect()
    }
}

impl Voice for Bars {
    fn piece(&mut self, task: Task, _address: &str, bytes: &[u8]) {
        self.bars[task.0].poem.extend_from_slice(bytes);
        let up = self.bars.len();
        say(format_args!("\x1b[{up}A{}", self.format().trim_end_matches('\n')));
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let got = self.poem.len();
        let full = (got * WIDTH / self.total.max(1)).min(WIDTH);
        let (done, left) = ("█".repeat(full), "░".repeat(WIDTH - full));
        let text = String::from_utf8_lossy(&self.poem);
        let verse = text.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
        write!(out, "  {:12} {done}{left} {got:>4} bytes  {verse}", self.title)
    }
}

/// Prints a line; ends the program when nobody reads it any more (as `poetry ... | head` does).
pub(crate) fn say(line: impl fmt::Display) {
    if writeln!(io::stdout(), "{line}").is_err() {
        std::process::exit(1);
    }
}
