//! A trace as a sequence diagram in SVG: hosts side by side, what happened downwards, one line each.
//!
//! Time is not to scale: a second of silence takes as much paper as a microsecond in which something
//! happened. An arrow goes from the line where its bytes were sent to the line where they arrived; the
//! texts stand beside the hosts' lines, right of all of them, so that nothing crosses them.

use super::folding::{Row, fold};
use super::trace::{EventKind, Loss, TraceEvent};
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

/// So many lines are drawn: the last ones, for it is the end that one looks for.
const LINES: usize = 300;
/// So much of what happened is looked at for what repeats.
const LOOKED_AT: usize = 20_000;
const ROW: usize = 22;
const COLUMN: usize = 150;
const LEFT: usize = 150;
const TOP: usize = 60;
/// How wide the texts are.
const TEXTS: usize = 640;

pub(super) fn draw(seed: u64, events: &[TraceEvent]) -> String {
    let start = events.len().saturating_sub(LOOKED_AT);
    let is_drawn = |event: &&TraceEvent| !event.host.starts_with('(');
    let mut told: Vec<&TraceEvent> = events[start..].iter().filter(is_drawn).collect();
    accept_first(&mut told);
    let mut rows = fold(&told);
    rows.drain(..rows.len().saturating_sub(LINES));
    let picture = Picture { hosts: columns(&told), told, rows };
    let mut svg = String::new();
    // Writing into a String does not fail.
    let _ = picture.write(&mut svg, seed);
    svg
}

struct Picture<'a> {
    hosts: Vec<Rc<str>>,
    /// All that is told, folded or not.
    told: Vec<&'a TraceEvent>,
    rows: Vec<Row>,
}

/// The hosts in order of appearance.
fn columns(told: &[&TraceEvent]) -> Vec<Rc<str>> {
    let mut hosts: Vec<Rc<str>> = Vec::new();
    for event in told {
        if !event.host.is_empty() && !hosts.contains(&event.host) {
            hosts.push(event.host.clone());
        }
    }
    hosts
}

/// A connection is accepted before its bytes are got, if that is at one time: they come to the system
/// first, but it is the program that one looks at.
fn accept_first(told: &mut [&TraceEvent]) {
    for place in 1..told.len() {
        if told[place].what != EventKind::Accepted {
            continue;
        }
        let accepted = told[place];
        let is_with = |other: &&&TraceEvent| other.at == accepted.at && other.host == accepted.host;
        let together = told[..place].iter().rev().take_while(is_with).count();
        let group = &told[place - together..place];
        let first = group.iter().position(|other| other.connection == accepted.connection);
        if let Some(first) = first {
            told[place - together + first..=place].rotate_right(1);
        }
    }
}

impl Picture<'_> {
    fn write(&self, svg: &mut String, seed: u64) -> std::fmt::Result {
        let width = self.texts_x() + TEXTS;
        let height = TOP + (self.rows.len() + 1) * ROW;
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">"
        )?;
        writeln!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>")?;
        writeln!(svg, "<text x=\"8\" y=\"20\" fill=\"#555\">seed {seed}</text>")?;
        for (color, id) in COLORS {
            writeln!(
                svg,
                "<marker id=\"{id}\" markerWidth=\"8\" markerHeight=\"8\" refX=\"7\" refY=\"4\" \
                 orient=\"auto\"><path d=\"M0,1 L8,4 L0,7 z\" fill=\"{color}\"/></marker>"
            )?;
        }
        self.write_hosts(svg, height)?;
        for (number, row) in self.rows.iter().enumerate() {
            match row {
                Row::One(place) => self.write_row(svg, number, *place)?,
                Row::Folded { lines, times, last } => {
                    self.write_fold(svg, number, (*lines, *times), *last)?;
                }
            }
        }
        svg.push_str("</svg>\n");
        Ok(())
    }

    fn write_hosts(&self, svg: &mut String, height: usize) -> std::fmt::Result {
        for host in &self.hosts {
            let x = self.x(host);
            writeln!(
                svg,
                "<line x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{height}\" stroke=\"#bbb\"/>\
                 <text x=\"{x}\" y=\"44\" text-anchor=\"middle\" font-weight=\"bold\" \
                 font-size=\"14\">{}</text>",
                escape(host)
            )?;
        }
        Ok(())
    }

    fn write_row(&self, svg: &mut String, row: usize, place: usize) -> std::fmt::Result {
        let event = self.told[place];
        let (y, time) = (y(row), event.at.as_secs_f64());
        writeln!(svg, "<text x=\"8\" y=\"{}\" fill=\"#888\">{time:.6} s</text>", y + 4)?;
        let color = match &event.what {
            EventKind::Arrived { from, sent, .. } => {
                self.write_arrow(svg, row, place, (from, *sent), COLORS[0])?
            }
            EventKind::Ended { from, sent } => {
                self.write_arrow(svg, row, place, (from, *sent), COLORS[1])?
            }
            EventKind::Lost { from, why, .. } => {
                self.write_loss(svg, row, place, (from, *why))?;
                FAILED
            }
            EventKind::Reset
            | EventKind::Failed(_)
            | EventKind::Failing(..)
            | EventKind::Repeated => FAILED,
            EventKind::Noted(_) => "#a60",
            _ => "#333",
        };
        self.write_text(svg, row, place, color)
    }

    /// Draws what travelled; returns its colour.
    fn write_arrow<'c>(
        &self,
        svg: &mut String,
        row: usize,
        place: usize,
        (from, sent): (&str, Duration),
        (color, id): (&'c str, &str),
    ) -> Result<&'c str, std::fmt::Error> {
        let (from_x, to_x) = (self.x(from), self.x(&self.told[place].host));
        let (from_y, to_y) = (self.y_of(self.departure(place, from, sent)).min(y(row)), y(row));
        // A host that sends to itself: a short arrow from its side.
        let from_x = if from_x == to_x { to_x - COLUMN / 4 } else { from_x };
        writeln!(
            svg,
            "<line x1=\"{from_x}\" y1=\"{from_y}\" x2=\"{to_x}\" y2=\"{to_y}\" \
             stroke=\"{color}\" stroke-width=\"1.4\" marker-end=\"url(#{id})\"/>"
        )?;
        Ok(color)
    }

    /// Draws what did not arrive, as far as it came: only that of what the link lost is known.
    fn write_loss(
        &self,
        svg: &mut String,
        row: usize,
        place: usize,
        (from, why): (&str, Loss),
    ) -> std::fmt::Result {
        if why != Loss::OnTheWay {
            return Ok(());
        }
        let (from_x, to_x) = (self.x(from), self.x(&self.told[place].host));
        let (middle, y) = (usize::midpoint(from_x, to_x), y(row));
        writeln!(
            svg,
            "<line x1=\"{from_x}\" y1=\"{y}\" x2=\"{middle}\" y2=\"{y}\" stroke=\"{FAILED}\" \
             stroke-dasharray=\"4 3\"/><text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" \
             fill=\"{FAILED}\">\u{d7}</text>",
            y + 4
        )
    }

    fn write_text(
        &self,
        svg: &mut String,
        row: usize,
        place: usize,
        color: &str,
    ) -> std::fmt::Result {
        let event = self.told[place];
        let y = y(row);
        if self.hosts.contains(&event.host) {
            let x = self.x(&event.host);
            writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"2.5\" fill=\"{color}\"/>")?;
        }
        let connection = match event.connection {
            0 => String::new(),
            number => format!("#{number} "),
        };
        let is_early =
            matches!(event.what, EventKind::Arrived { .. }) && self.is_accepted_later(place);
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" fill=\"{color}\"><tspan fill=\"#888\">{}</tspan> \
             {connection}{}{}</text>",
            self.texts_x(),
            y + 4,
            escape(&event.host),
            escape(&event.what.to_string()),
            if is_early { " (before it is accepted)" } else { "" }
        )
    }

    fn write_fold(
        &self,
        svg: &mut String,
        row: usize,
        (lines, times): (usize, usize),
        last: usize,
    ) -> std::fmt::Result {
        let (y, until) = (y(row), self.told[last].at.as_secs_f64());
        let what = if lines == 1 { "this line".into() } else { format!("these {lines} lines") };
        for host in &self.hosts {
            let x = self.x(host);
            writeln!(
                svg,
                "<line x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{}\" stroke=\"white\" \
                 stroke-width=\"3\" stroke-dasharray=\"3 3\"/>",
                y - ROW / 2,
                y + ROW / 2
            )?;
        }
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" fill=\"#888\" font-style=\"italic\">{what} {times} times \
             more, until {until:.6} s</text>",
            self.texts_x(),
            y + 4
        )
    }

    /// Where what arrived at this place was sent.
    fn departure(&self, place: usize, from: &str, sent: Duration) -> Option<usize> {
        let arrived = self.told[place];
        let is_it = |other: &TraceEvent| match (&arrived.what, &other.what) {
            (EventKind::Ended { .. }, EventKind::EndSent | EventKind::Closed) => true,
            (EventKind::Arrived { bytes, .. }, EventKind::Sent(sent)) => bytes == sent,
            (
                EventKind::Arrived { bytes, beginning, .. },
                EventKind::SentTo { bytes: sent, beginning: begins, .. },
            ) => bytes == sent && beginning == begins,
            _ => false,
        };
        let is_same = |other: &TraceEvent| {
            *other.host == *from && other.connection == arrived.connection && other.at == sent
        };
        // The same length may be sent twice at one time: what arrives first was sent first.
        let before = self.told[..place].iter().filter(|other| {
            let is_alike = match (&arrived.what, &other.what) {
                (
                    EventKind::Arrived { bytes, sent, .. },
                    EventKind::Arrived { bytes: others, sent: then, .. },
                ) => bytes == others && sent == then,
                _ => false,
            };
            is_alike && other.host == arrived.host && other.connection == arrived.connection
        });
        let sendings = (0..place).filter(|&it| is_same(self.told[it]) && is_it(self.told[it]));
        let sendings: Vec<usize> = sendings.collect();
        // A datagram that came twice was sent once.
        sendings.get(before.count()).or(sendings.first()).copied()
    }

    fn is_accepted_later(&self, place: usize) -> bool {
        let arrived = self.told[place];
        let is_accepting = |other: &&TraceEvent| {
            other.what == EventKind::Accepted
                && other.connection == arrived.connection
                && other.host == arrived.host
        };
        self.told[place..].iter().any(is_accepting)
    }

    /// The height of the line that tells this, or that folds it; above all others if it is not drawn.
    fn y_of(&self, place: Option<usize>) -> usize {
        let Some(place) = place else { return TOP };
        let row = self.rows.iter().position(|row| match row {
            Row::One(shown) => *shown >= place,
            Row::Folded { last, .. } => *last >= place,
        });
        let is_above = self.rows.first().is_some_and(|row| row.first() > place);
        if is_above { TOP } else { y(row.unwrap_or(0)) }
    }

    /// Where a host's line is; what concerns no host stands at the left.
    fn x(&self, host: &str) -> usize {
        match self.hosts.iter().position(|known| &**known == host) {
            Some(place) => LEFT + place * COLUMN,
            None => LEFT - COLUMN / 4,
        }
    }

    fn texts_x(&self) -> usize {
        LEFT + self.hosts.len().saturating_sub(1) * COLUMN + 40
    }
}

const COLORS: [(&str, &str); 2] = [("#06c", "data"), ("#777", "end")];
const FAILED: &str = "#c00";

fn y(row: usize) -> usize {
    TOP + (row + 1) * ROW
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
