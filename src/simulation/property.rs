//! Properties: what must hold for any bytes, in any pieces, at any times, under any faults.
//!
//! # Theory
//! A property is a function that draws its own input and fails, or does not. What is drawn comes
//! from a list of small numbers, which the seed makes; so there are no strategies to combine: a
//! function that draws is one. And there is one way to make a smaller case of anything: to leave out
//! some of the numbers, and to lower others. Every method of [`Draw`] therefore makes the simplest
//! value of the number 0: nothing, the whole, no fault, the first.
//!
//! # Invariants
//! * The same numbers draw the same values; where they end, 0 follows.
//! * A case that is kept fails, and is shorter or lower than the one before it.

use super::random::nanos;
use super::reports::{judge, place_of};
use super::rerun::command;
use super::sweep::{Story, chosen_seed};
use super::{Faults, Random};
use crate::failure::{Failure, Place, Result};
use std::fmt::{self, Debug};
use std::ops::Range;
use std::panic::Location;
use std::time::Duration;

/// Checks a property for each of the seeds; a failure is made as small as it gets.
///
/// A case fails by what the property returns, by a panic, or by what is reported in it and not allowed
/// ([`Simulation::allow_reports`](super::Simulation::allow_reports)). The error is [`PropertyError`]: it shows what was drawn in the smallest case that still fails, the
/// seed that found it, and the command that finds it again. A panic is a failure; one that is returned
/// makes less noise, for the property is called some hundred times more to find that case.
///
/// If `ROPEWALK_SEED` is set, that seed is run instead of all.
///
/// ```
/// use ropewalk::Failure;
/// use ropewalk::simulation::for_all;
///
/// let outcome = for_all(0..100, |draw| {
///     let bytes = draw.bytes(64);
///     if bytes.iter().any(|&byte| byte >= 128) {
///         return Err(Failure::msg("not ASCII"));
///     }
///     Ok(())
/// });
/// let told = outcome.unwrap_err().to_string();
/// assert!(told.contains(r#"bytes b"\x80""#), "one byte, and none lower: {told}");
/// ```
#[track_caller]
pub fn for_all(seeds: Range<u64>, property: impl Fn(&mut Draw) -> Result) -> Result {
    let seeds = chosen_seed().map_or(seeds, |seed| seed..seed + 1);
    let caller = Location::caller();
    let try_case = |draw: &mut Draw| judge(caller, || property(draw));
    for seed in seeds {
        let mut draw = Draw::new(Source::Random(Random::new(seed)));
        let Err(failure) = try_case(&mut draw) else { continue };
        let smallest = shrink(Case { draw, failure }, &try_case);
        return Err(falsified(seed, smallest, caller));
    }
    Ok(())
}

/// What a property draws its input from; see [`for_all`].
///
/// ```
/// use ropewalk::simulation::{Simulation, for_all};
/// use std::time::Duration;
///
/// for_all(0..20, |draw| {
///     let simulation = Simulation::new(draw.seed());
///     let hosts = ["a", "b", "c"];
///     let [a, ..] = hosts.map(|name| simulation.host(name));
///     a.set_faults(draw.faults(false));
///     let (most, within) = (draw.below(4) as usize, draw.duration(Duration::from_secs(9)));
///     simulation.script(&draw.script(&hosts, most, within, true))?;
///
///     let lines = draw.list(5, |draw| draw.bytes_of(b"abc", 10));
///     let text = lines.join(&b'\n');
///     draw.show("text", &text.escape_ascii().to_string());
///     for (wait, piece) in draw.schedule(&text, Duration::from_millis(5)) {
///         simulation.run_for(wait)?;
///         assert!(!piece.is_empty()); // ... and is sent
///     }
///     assert_eq!(draw.split(&text).concat(), text);
///     let (is_short, host) = (draw.flag(), draw.pick(&hosts));
///     assert!(hosts.contains(host) && (is_short || draw.bytes(7).len() <= 7));
///     Ok(())
/// })?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug)]
pub struct Draw {
    source: Source,
    /// What was drawn so far.
    numbers: Vec<u64>,
    /// The values made of it, as text.
    shown: Vec<String>,
    /// A value is being made of others, which are not shown themselves.
    is_inside: bool,
}

#[derive(Debug)]
enum Source {
    Random(Random),
    Fixed(Vec<u64>),
}

impl Draw {
    fn new(source: Source) -> Draw {
        Draw { source, numbers: Vec::new(), shown: Vec::new(), is_inside: false }
    }

    fn number(&mut self, limit: u64) -> u64 {
        let number = match &mut self.source {
            Source::Random(random) => random.below(limit),
            Source::Fixed(numbers) => numbers.get(self.numbers.len()).copied().unwrap_or(0),
        };
        let number = number.min(limit.saturating_sub(1));
        self.numbers.push(number);
        number
    }

    /// Shows a value beside what was drawn, if the case turns out to be the smallest.
    pub fn show(&mut self, name: &str, value: &dyn Debug) {
        if !self.is_inside {
            self.shown.push(format!("{name} {value:?}"));
        }
    }

    fn make<T: Debug>(&mut self, name: &str, make: impl FnOnce(&mut Draw) -> T) -> T {
        let was_inside = std::mem::replace(&mut self.is_inside, true);
        let value = make(self);
        self.is_inside = was_inside;
        self.show(name, &value);
        value
    }

    /// A number below `limit`; the simplest is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.make("number", |draw| draw.number(limit))
    }

    /// A seed for a [`Simulation`](super::Simulation) of the case's own.
    pub fn seed(&mut self) -> u64 {
        self.make("seed", |draw| draw.number(u64::MAX))
    }

    /// Yes or no; the simplest is no.
    pub fn flag(&mut self) -> bool {
        self.make("flag", |draw| draw.number(2) == 1)
    }

    /// One of some; the simplest is the first. Panics if there are none.
    pub fn pick<'a, T: Debug>(&mut self, items: &'a [T]) -> &'a T {
        let choice = self.number(items.len() as u64) as usize;
        self.show("choice", &items[choice]);
        &items[choice]
    }

    /// At most so many of what `item` draws; the simplest are none.
    pub fn list<T>(&mut self, most: usize, mut item: impl FnMut(&mut Draw) -> T) -> Vec<T> {
        let mut list = Vec::new();
        // A number before each, so that leaving out one and what follows it leaves out an item.
        while list.len() < most && self.number(most as u64 / 2 + 2) > 0 {
            list.push(item(self));
        }
        list
    }

    /// At most so many bytes, of any value; the simplest are none, and the simplest of one is 0.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let make = |draw: &mut Draw| Bytes(draw.list(most, |draw| draw.number(256) as u8));
        self.make("bytes", make).0
    }

    /// At most so many bytes of these; the simplest of one is the first. None of none.
    pub fn bytes_of(&mut self, these: &[u8], most: usize) -> Vec<u8> {
        let most = if these.is_empty() { 0 } else { most };
        let any = |draw: &mut Draw| these[draw.number(these.len() as u64) as usize];
        self.make("bytes", |draw| Bytes(draw.list(most, any))).0
    }

    /// A duration up to `most`, in whole microseconds; the simplest is none.
    pub fn duration(&mut self, most: Duration) -> Duration {
        let make = |draw: &mut Draw| Duration::from_micros(draw.number(nanos(most) / 1_000 + 1));
        self.make("duration", make)
    }

    /// The bytes in pieces, none of them empty; the simplest is one piece.
    pub fn split<'a>(&mut self, data: &'a [u8]) -> Vec<&'a [u8]> {
        let make = |draw: &mut Draw| draw.pieces(data).into_iter().map(Slice).collect::<Vec<_>>();
        self.make("pieces", make).into_iter().map(|Slice(piece)| piece).collect()
    }

    fn pieces<'a>(&mut self, mut rest: &'a [u8]) -> Vec<&'a [u8]> {
        let longest = [rest.len(), 16, 2][self.number(3) as usize];
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let count = match self.number(rest.len().min(longest) as u64 + 1) {
                0 => rest.len(),
                count => count as usize,
            };
            let (piece, others) = rest.split_at(count);
            pieces.push(piece);
            rest = others;
        }
        pieces
    }

    /// The bytes in pieces, each after a wait of up to `most`; the simplest is one piece at once.
    pub fn schedule<'a>(&mut self, data: &'a [u8], most: Duration) -> Vec<(Duration, &'a [u8])> {
        let make = |draw: &mut Draw| {
            let pieces = draw.pieces(data).into_iter();
            pieces.map(|piece| (draw.duration(most), Slice(piece))).collect::<Vec<_>>()
        };
        let schedule = self.make("schedule", make).into_iter();
        schedule.map(|(wait, Slice(piece))| (wait, piece)).collect()
    }

    /// What a host's system does wrong; the simplest is nothing. Without resets and failures to
    /// connect or accept unless `may_break`.
    pub fn faults(&mut self, may_break: bool) -> Faults {
        self.make("faults", |draw| {
            let mut rate = |most: u64| draw.number(most + 1) as f64 / 100.0;
            let mut faults = Faults {
                short_reads: rate(50),
                short_writes: rate(50),
                would_block: rate(30),
                interrupted: rate(20),
                ..Faults::none()
            };
            if may_break {
                (faults.accepts, faults.connects, faults.resets) = (rate(20), rate(20), rate(3));
            }
            faults
        })
    }

    /// At most so many troubles of these hosts within so much time, as a script for
    /// [`Simulation::script`](super::Simulation::script); the simplest is an empty one.
    ///
    /// Each ends, in half as much time again at the latest. Pauses and cuts only, unless `may_break`.
    pub fn script(
        &mut self,
        hosts: &[&str],
        most: usize,
        within: Duration,
        may_break: bool,
    ) -> String {
        let most = if hosts.is_empty() { 0 } else { most };
        let line = |draw: &mut Draw| draw.trouble(hosts, within, may_break);
        self.make("script", |draw| draw.list(most, line).concat())
    }

    fn trouble(&mut self, hosts: &[&str], within: Duration, may_break: bool) -> String {
        let one = self.number(hosts.len() as u64) as usize;
        let other = (one + 1 + self.number(hosts.len() as u64 - 1) as usize) % hosts.len();
        let (one, other) = (hosts[one], hosts[other]);
        let others: Vec<&str> = hosts.iter().copied().filter(|host| *host != one).collect();
        let kinds = [
            format!("pause {one}"),
            format!("cut {one}-{other}"),
            format!("cut {one}>{other}"),
            format!("crash {one}"),
            format!("reset {one}-{other}"),
            format!("partition {one} | {}", others.join(", ")),
        ];
        let is_possible = |kind: &usize| match kind {
            0 => true,
            3 => may_break,
            4 => may_break && hosts.len() > 1,
            5 => hosts.len() > 2,
            _ => hosts.len() > 1,
        };
        let possible: Vec<usize> = (0..kinds.len()).filter(is_possible).collect();
        let what = &kinds[possible[self.number(possible.len() as u64) as usize]];
        let at = self.number(within.as_millis() as u64 + 1);
        let lasts = 1 + self.number(within.as_millis() as u64 / 2 + 1);
        format!("{what} at {at} ms for {lasts} ms\n")
    }
}

/// Bytes that show themselves as text.
struct Bytes(Vec<u8>);

struct Slice<'a>(&'a [u8]);

impl Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Slice(&self.0).fmt(f)
    }
}

impl Debug for Slice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

// ---- smaller cases ----

/// A case that fails.
struct Case {
    draw: Draw,
    failure: Failure,
}

/// So often a property is called to find a smaller case.
const TRIES: usize = 2_000;

fn falsified(seed: u64, Case { draw, failure }: Case, caller: Place) -> Failure {
    let place = place_of(&failure, caller);
    Failure::at(place, PropertyError { seed, drawn: draw.shown, failure })
}

fn shrink(case: Case, try_case: &impl Fn(&mut Draw) -> Result) -> Case {
    let mut shrinking = Shrinking { best: case, tries: 0, try_case };
    while shrinking.leave_out() | shrinking.lower() {}
    shrinking.best
}

struct Shrinking<'a, P> {
    best: Case,
    tries: usize,
    try_case: &'a P,
}

impl<P: Fn(&mut Draw) -> Result> Shrinking<'_, P> {
    fn numbers(&self) -> &[u64] {
        &self.best.draw.numbers
    }

    /// Runs these numbers; keeps them if they fail and are fewer or lower.
    fn try_numbers(&mut self, numbers: Vec<u64>) -> bool {
        if self.tries == TRIES {
            return false;
        }
        self.tries += 1;
        let mut draw = Draw::new(Source::Fixed(numbers));
        let Err(failure) = (self.try_case)(&mut draw) else { return false };
        let key = |numbers: &[u64]| (numbers.len(), numbers.to_vec());
        let is_smaller = key(&draw.numbers) < key(self.numbers());
        if is_smaller {
            self.best = Case { draw, failure };
        }
        is_smaller
    }

    /// Tries without some numbers in a row, many at a time at first, the last ones first.
    fn leave_out(&mut self) -> bool {
        let mut did = false;
        // One item of a list is some few numbers: all of them go, or none.
        for width in [64, 16, 8, 7, 6, 5, 4, 3, 2, 1] {
            let mut end = self.numbers().len();
            while end >= width {
                let mut numbers = self.numbers().to_vec();
                numbers.drain(end - width..end);
                let is_smaller = self.try_numbers(numbers);
                did |= is_smaller;
                end = if is_smaller { self.numbers().len().min(end) } else { end - 1 };
            }
        }
        did
    }

    /// Tries each number as 0, and then as the least that will do.
    fn lower(&mut self) -> bool {
        let mut did = false;
        let mut place = 0;
        while place < self.numbers().len() {
            did |= self.lower_one(place);
            place += 1;
        }
        did
    }

    fn lower_one(&mut self, place: usize) -> bool {
        let (mut low, mut did) = (0, false);
        while let Some(&number) = self.numbers().get(place)
            && low < number
        {
            let mut numbers = self.numbers().to_vec();
            let middle = low + (number - low) / 2;
            numbers[place] = middle;
            if self.try_numbers(numbers) {
                did = true;
            } else {
                low = middle + 1;
            }
        }
        did
    }
}

/// A property does not hold; tells the smallest case that was found.
///
/// ```
/// use ropewalk::Failure;
/// use ropewalk::simulation::{PropertyError, for_all};
///
/// let outcome = for_all(0..50, |draw| match draw.below(1000) {
///     0..=9 => Ok(()),
///     _ => Err(Failure::msg("more than nine")),
/// });
/// let failure = outcome.unwrap_err();
/// let error = failure.check::<PropertyError>().unwrap();
/// assert_eq!(error.failure().to_string(), "more than nine");
/// println!("seed {}: {}", error.seed(), error.drawn().join(", ")); // the smallest such number
/// ```
#[derive(Debug)]
pub struct PropertyError {
    seed: u64,
    drawn: Vec<String>,
    failure: Failure,
}

impl PropertyError {
    /// The seed that it was found under.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What was drawn, in order.
    pub fn drawn(&self) -> &[String] {
        &self.drawn
    }

    /// What the smallest case fails with.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}

impl fmt::Display for PropertyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PropertyError { seed, drawn, failure } = self;
        write!(
            f,
            "the property fails under seed {seed}: {}\nthe smallest case drew:",
            Story(failure)
        )?;
        drawn.iter().try_for_each(|value| write!(f, "\n  {value}"))?;
        write!(f, "\nfind it again: ROPEWALK_SEED={seed} {}", command())
    }
}

impl std::error::Error for PropertyError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the smallest failing case drew.
    fn smallest(property: impl Fn(&mut Draw) -> Result) -> Vec<String> {
        let failure = for_all(0..1_000, property).expect_err("it fails somewhere");
        failure.check::<PropertyError>().expect("that is the error").drawn().to_vec()
    }

    fn require(holds: bool) -> Result {
        if holds { Ok(()) } else { Err(Failure::msg("it does not hold")) }
    }

    #[test]
    fn a_failing_list_loses_what_does_not_matter() {
        let drawn = smallest(|draw| {
            let bytes = draw.bytes(100);
            require(bytes.iter().filter(|&&byte| byte > 9).count() < 2)
        });
        assert_eq!(drawn, [r#"bytes b"\n\n""#]);
    }

    #[test]
    fn a_split_keeps_the_cut_that_matters() {
        let drawn = smallest(|draw| {
            let pieces = draw.split(b"hello, world\r\n");
            require(!pieces.iter().any(|piece| piece.ends_with(b"\r")))
        });
        assert_eq!(drawn, [r#"pieces [b"hello, world\r", b"\n"]"#]);
    }

    #[test]
    fn a_schedule_loses_its_waits() {
        let second = Duration::from_secs(1);
        let drawn = smallest(|draw| {
            let schedule = draw.schedule(b"abcd", second);
            require(schedule.iter().all(|(wait, _)| *wait < second / 2))
        });
        assert_eq!(drawn, [r#"schedule [(500ms, b"abcd")]"#]);
    }

    #[test]
    fn pieces_are_never_empty_and_lose_nothing() {
        let data: Vec<u8> = (0..=255).collect();
        let held = for_all(0..500, |draw| {
            let pieces = draw.split(&data);
            require(pieces.concat() == data && pieces.iter().all(|piece| !piece.is_empty()))
        });
        held.unwrap();
    }

    #[test]
    fn a_property_that_panics_is_one_that_fails() {
        let drawn = smallest(|draw| {
            assert!(draw.below(1_000_000) < 999_000, "on purpose");
            Ok(())
        });
        assert_eq!(drawn, ["number 999000"]);
    }

    #[test]
    fn a_script_makes_sense_and_loses_its_lines() {
        let drawn = smallest(|draw| {
            let simulation = super::super::Simulation::new(1);
            let _hosts = ["a", "b", "c"].map(|name| simulation.host(name));
            let script = draw.script(&["a", "b", "c"], 8, Duration::from_secs(2), true);
            simulation.script(&script)?;
            require(!script.contains("crash"))
        });
        assert_eq!(drawn, [r#"script "crash a at 0 ms for 1 ms\n""#]);
    }

    #[test]
    fn the_same_seed_finds_the_same_case() {
        let find = || smallest(|draw| require(draw.faults(true).resets == 0.0));
        assert_eq!(find(), find());
    }
}
