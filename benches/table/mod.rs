//! What the benches end in: medians, and a table for the terminal that is also Markdown in the
//! target folder.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The middle one, or the mean of the two in the middle; NaN of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => f64::NAN,
        (middle, 1) => values[middle],
        (middle, _) => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// What one of several came to, and how that is to the first of them: the medians over the rounds.
#[allow(dead_code, reason = "micro and simulation have no first")]
pub(crate) fn beside_the_first(rounds: impl Iterator<Item = (f64, f64)> + Clone) -> String {
    let value = median(rounds.clone().map(|(own, _)| own).collect());
    let ratio = median(rounds.map(|(own, first)| own / first).collect());
    let value = if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") };
    format!("{value} (x{ratio:.2})")
}

/// Rows of cells under a header; the first column is text, the others are figures.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.title);
        for row in self.all_rows() {
            text.push_str(&self.aligned(row, "  ", "  ", ""));
        }
        text
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.title);
        for (number, row) in self.all_rows().enumerate() {
            text.push_str(&self.aligned(row, "| ", " | ", " |"));
            if number == 0 {
                let figures = "---:|".repeat(self.header.len() - 1);
                let _ = writeln!(text, "|---|{figures}");
            }
        }
        text
    }

    fn all_rows(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.header).chain(&self.rows)
    }

    fn aligned(&self, row: &[String], before: &str, between: &str, after: &str) -> String {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = self.width(column);
            if column == 0 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        format!("{before}{}{after}\n", cells.collect::<Vec<_>>().join(between))
    }

    fn width(&self, column: usize) -> usize {
        self.all_rows().map(|row| row[column].chars().count()).max().unwrap_or_default()
    }
}

/// Prints the tables, and writes them as Markdown beside cargo's own output.
pub(crate) fn publish(name: &str, tables: &[Table]) -> io::Result<PathBuf> {
    for table in tables {
        println!("\n{}", table.text());
    }
    let markdown: Vec<_> = tables.iter().map(Table::markdown).collect();
    // Cargo gives benches a folder of their own inside the target folder, wherever that is.
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name(name);
    fs::write(&path, markdown.join("\n"))?;
    Ok(path)
}
