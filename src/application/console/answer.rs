// Answers, as text for people and as JSON for programs. Whatever stands in them is escaped here.

use crate::application::log::{escape, push_string};

/// An answer is cut off behind so many bytes.
const MOST: usize = 1024 * 1024;

/// What a command answers: rows under names, or text.
#[derive(Clone, Debug)]
pub struct Answer(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Text(String),
    Rows(&'static [&'static str], Vec<Vec<String>>),
}

impl Answer {
    /// Lines of text.
    ///
    /// ```
    /// use ropewalk::application::console::Answer;
    ///
    /// let answer = Answer::text("one\n\x1b[2Jtwo");
    /// assert_eq!(answer.to_text(), "one\n\\x1b[2Jtwo\n");
    /// assert_eq!(answer.to_json(), "{\"text\":\"one\\n\\u001b[2Jtwo\"}\n");
    /// ```
    pub fn text(text: impl Into<String>) -> Answer {
        Answer(Kind::Text(text.into()))
    }

    /// Rows, each with a cell for each name.
    ///
    /// ```
    /// use ropewalk::application::console::Answer;
    ///
    /// let row = |name: &str, size: &str| vec![name.to_owned(), size.to_owned()];
    /// let answer = Answer::rows(&["name", "size"], vec![row("a", "10"), row("long", "9")]);
    /// assert_eq!(answer.to_text(), "name  size\na     10\nlong  9\n");
    /// assert!(answer.to_json().starts_with(r#"[{"name":"a","size":"10"},"#));
    /// ```
    pub fn rows(names: &'static [&'static str], rows: Vec<Vec<String>>) -> Answer {
        Answer(Kind::Rows(names, rows))
    }

    /// As lines for people.
    pub fn to_text(&self) -> String {
        let lines = match &self.0 {
            Kind::Text(text) => text.lines().map(escaped).collect(),
            Kind::Rows(names, rows) => aligned(names, rows),
        };
        let (mut text, all) = (String::new(), lines.len());
        for (place, line) in lines.into_iter().enumerate() {
            if text.len() + line.len() > MOST - 100 {
                text.push_str(&format!("and {} lines more\n", all - place));
                break;
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// As one line for programs.
    pub fn to_json(&self) -> String {
        let mut json = String::new();
        match &self.0 {
            Kind::Text(text) => push_object(&mut json, [("text", &**text)]),
            Kind::Rows(names, rows) => {
                json.push('[');
                for row in rows {
                    let mut object = if json.len() > 1 { "," } else { "" }.to_owned();
                    let cells = row.iter().map(|cell| &**cell);
                    push_object(&mut object, names.iter().copied().zip(cells));
                    if json.len() + object.len() > MOST - 100 {
                        break;
                    }
                    json.push_str(&object);
                }
                json.push(']');
            }
        }
        json.push('\n');
        if json.len() > MOST { error_json("the answer is longer than 1 MiB") } else { json }
    }
}

pub(super) fn error_text(error: &str) -> String {
    format!("error: {}\n", escaped(error))
}

pub(super) fn error_json(error: &str) -> String {
    let mut json = String::new();
    push_object(&mut json, [("error", error)]);
    json.push('\n');
    json
}

fn escaped(text: &str) -> String {
    let mut line = String::new();
    escape(&mut line, text);
    line
}

fn push_object<'t>(json: &mut String, members: impl IntoIterator<Item = (&'t str, &'t str)>) {
    json.push('{');
    for (place, (name, value)) in members.into_iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        push_string(json, name);
        json.push(':');
        push_string(json, value);
    }
    json.push('}');
}

fn aligned(names: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let head = names.iter().map(|name| (*name).to_owned()).collect();
    let cells = rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect());
    let all: Vec<Vec<String>> = std::iter::once(head).chain(cells).collect();
    let width = |column: usize| {
        let of = |row: &Vec<String>| row.get(column).map_or(0, |cell| cell.chars().count());
        all.iter().map(of).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..names.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}
