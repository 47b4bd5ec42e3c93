//! What repeats in a trace, told once, and how often.
//!
//! Lines that come again and again in the same order are the first time told in full, the last time too,
//! and in between counted. Two lines are the same if the same kind of thing happened at the same host;
//! the numbers of connections, lengths and contents may differ.

use super::trace::{EventKind, TraceEvent};
use std::mem::{Discriminant, discriminant};

/// A line of a picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// What happened at this place.
    One(usize),
    /// So many lines before this one came so many times more, the last of them from this place.
    Folded { lines: usize, times: usize, last: usize },
}

impl Row {
    /// The place of the first thing that it tells or counts.
    pub(super) fn first(&self) -> usize {
        match self {
            Row::One(place) => *place,
            Row::Folded { lines, times, last } => last + 1 - lines * times,
        }
    }
}

/// So many lines at most are looked for again behind themselves.
const LONGEST: usize = 24;
/// So often at least they come: the first and the last, and more than one to be counted.
const FEWEST: usize = 4;

pub(super) fn fold(told: &[&TraceEvent]) -> Vec<Row> {
    let keys: Vec<_> = told.iter().map(|event| key(event)).collect();
    let (mut rows, mut place) = (Vec::new(), 0);
    while place < keys.len() {
        let Some((lines, times)) = repetition(&keys[place..]) else {
            rows.push(Row::One(place));
            place += 1;
            continue;
        };
        let last_time = place + lines * (times - 1);
        rows.extend((place..place + lines).map(Row::One));
        rows.push(Row::Folded { lines, times: times - 2, last: last_time - 1 });
        rows.extend((last_time..last_time + lines).map(Row::One));
        place = last_time + lines;
    }
    rows
}

type Key<'a> = (&'a str, Discriminant<EventKind>, Option<&'a str>);

fn key(event: &TraceEvent) -> Key<'_> {
    let text = match &event.what {
        // A note is the same if it says the same.
        EventKind::Noted(text) => Some(&**text),
        EventKind::Arrived { from, .. } | EventKind::Ended { from, .. } => Some(&**from),
        _ => None,
    };
    (&event.host, discriminant(&event.what), text)
}

/// How many lines at the beginning come how often, if that is often enough: what saves most.
fn repetition(keys: &[Key<'_>]) -> Option<(usize, usize)> {
    let candidates = (1..=LONGEST.min(keys.len() / FEWEST)).filter_map(|lines| {
        let mut blocks = keys.chunks_exact(lines);
        let first = blocks.next()?;
        let times = 1 + blocks.take_while(|block| *block == first).count();
        (times >= FEWEST).then_some((lines, times))
    });
    // Of those that save as much the shortest: the first.
    candidates.rev().max_by_key(|(lines, times)| lines * (times - 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn events(text: &str) -> Vec<TraceEvent> {
        let event = |letter: char| TraceEvent {
            at: Duration::ZERO,
            host: letter.to_string().into(),
            connection: 0,
            what: EventKind::Opened,
        };
        text.chars().map(event).collect()
    }

    /// The lines of a text as they are told, and how much was folded.
    fn folded(text: &str) -> String {
        let events = events(text);
        let told: Vec<&TraceEvent> = events.iter().collect();
        let tell = |row: &Row| match row {
            Row::One(place) => told[*place].host.to_string(),
            Row::Folded { lines, times, .. } => format!("({lines}x{times})"),
        };
        fold(&told).iter().map(tell).collect()
    }

    #[test]
    fn what_comes_four_times_or_more_is_told_twice_and_counted_in_between() {
        assert_eq!(folded("aaab"), "aaab");
        assert_eq!(folded("aaaab"), "a(1x2)ab");
        assert_eq!(folded("xabababababy"), "xab(2x3)aby");
        assert_eq!(folded(&"abcd".repeat(50)), "abcd(4x48)abcd");
        assert_eq!(folded(""), "");
    }

    #[test]
    fn nothing_is_lost_by_folding() {
        let mut random = super::super::Random::new(1);
        for _ in 0..200 {
            let length = random.below(60);
            let text: String = (0..length).map(|_| ["a", "b"][random.below(2) as usize]).collect();
            let events = events(&text);
            let told: Vec<&TraceEvent> = events.iter().collect();
            let mut next = 0;
            for row in fold(&told) {
                assert_eq!(row.first(), next, "{text}");
                next += match row {
                    Row::One(_) => 1,
                    Row::Folded { lines, times, .. } => lines * times,
                };
            }
            assert_eq!(next, told.len(), "{text}");
        }
    }
}
