//! A trace as a sequence diagram in SVG: hosts side by side, what happened downwards, one line each.
//!
//! Time is not to scale: a second of silence takes as much paper as a microsecond in which something
//! happened. An arrow begins at the line where its bytes were sent.

use super::trace::{Happening, What};
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

/// So many lines are drawn: the last ones, for it is the end that one looks for.
const LINES: usize = 300;
const ROW: usize = 22;
const COLUMN: usize = 330;
const LEFT: usize = 200;
const TOP: usize = 60;

pub(super) fn draw(seed: u64, happenings: &[Happening]) -> String {
    let start = happenings.len().saturating_sub(LINES);
    let shown: Vec<&Happening> = happenings[start..].iter().collect();
    let picture = Picture { hosts: columns(&shown), shown };
    let mut svg = String::new();
    // Writing into a String does not fail.
    let _ = picture.write(&mut svg, seed);
    svg
}

struct Picture<'a> {
    hosts: Vec<Rc<str>>,
    shown: Vec<&'a Happening>,
}

/// The hosts in order of appearance; the one that only waits for a result is left out.
fn columns(shown: &[&Happening]) -> Vec<Rc<str>> {
    let mut hosts: Vec<Rc<str>> = Vec::new();
    for happening in shown {
        let is_host = !happening.host.is_empty() && !happening.host.starts_with('(');
        if is_host && !hosts.contains(&happening.host) {
            hosts.push(happening.host.clone());
        }
    }
    hosts
}

impl Picture<'_> {
    fn write(&self, svg: &mut String, seed: u64) -> std::fmt::Result {
        let width = LEFT + self.hosts.len().max(1) * COLUMN;
        let height = TOP + (self.shown.len() + 1) * ROW;
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
        for (row, happening) in self.shown.iter().enumerate() {
            self.write_row(svg, row, happening)?;
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

    fn write_row(&self, svg: &mut String, row: usize, happening: &Happening) -> std::fmt::Result {
        let y = y(row);
        let time = happening.at.as_secs_f64();
        writeln!(svg, "<text x=\"8\" y=\"{}\" fill=\"#888\">{time:.6} s</text>", y + 4)?;
        match &happening.what {
            What::Arrived { from, sent, .. } => {
                self.write_arrow(svg, row, happening, (from, *sent), COLORS[0])
            }
            What::Ended { from, sent } => {
                self.write_arrow(svg, row, happening, (from, *sent), COLORS[1])
            }
            What::Reset | What::Failed(_) | What::Failing(..) | What::Repeated => {
                self.write_text(svg, row, happening, "#c00")
            }
            What::Noted(_) => self.write_text(svg, row, happening, "#a60"),
            _ => self.write_text(svg, row, happening, "#333"),
        }
    }

    fn write_arrow(
        &self,
        svg: &mut String,
        row: usize,
        happening: &Happening,
        (from, sent): (&str, Duration),
        (color, id): (&str, &str),
    ) -> std::fmt::Result {
        let (from_x, to_x) = (self.x(from), self.x(&happening.host));
        let (from_y, to_y) = (y(self.row_of(sent).min(row)), y(row));
        writeln!(
            svg,
            "<line x1=\"{from_x}\" y1=\"{from_y}\" x2=\"{to_x}\" y2=\"{to_y}\" \
             stroke=\"{color}\" stroke-width=\"1.4\" marker-end=\"url(#{id})\"/>"
        )?;
        self.write_text(svg, row, happening, color)
    }

    fn write_text(
        &self,
        svg: &mut String,
        row: usize,
        happening: &Happening,
        color: &str,
    ) -> std::fmt::Result {
        let (x, y) = (self.x(&happening.host), y(row));
        let connection = match happening.connection {
            0 => String::new(),
            number => format!("#{number} "),
        };
        writeln!(
            svg,
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"2.5\" fill=\"{color}\"/><text x=\"{}\" y=\"{}\" \
             fill=\"{color}\">{connection}{}</text>",
            x + 6,
            y + 4,
            escape(&happening.what.to_string())
        )
    }

    /// The first line at or after a time.
    fn row_of(&self, time: Duration) -> usize {
        self.shown.partition_point(|happening| happening.at < time)
    }

    /// Where a host's line is; what concerns no host stands at the left.
    fn x(&self, host: &str) -> usize {
        match self.hosts.iter().position(|known| &**known == host) {
            Some(place) => LEFT + place * COLUMN,
            None => LEFT - 60,
        }
    }
}

const COLORS: [(&str, &str); 2] = [("#06c", "data"), ("#777", "end")];

fn y(row: usize) -> usize {
    TOP + (row + 1) * ROW
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
