//! Everything that is printed goes through here. Colours reach terminals only; a reader that has gone away (`| head`)
//! ends the output, not the program.

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::fmt::{Display, Write as _};
use std::io::Write;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
pub(crate) const CARE: Style = AnsiColor::Yellow.on_default();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();

/// `text` in `style`.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The result of a command.
pub(crate) fn to_stdout(text: &str) {
    ignore_closed(anstream::stdout().write_all(text.as_bytes()));
}

/// Progress, warnings and errors.
pub(crate) fn to_stderr(text: &str) {
    ignore_closed(anstream::stderr().write_all(text.as_bytes()));
}

/// The result of a command, for programs.
pub(crate) fn json(value: &impl Serialize) {
    let text =
        serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"));
    to_stdout(&format!("{text}\n"));
}

pub(crate) fn error(message: &str) {
    to_stderr(&format!("{}: {message}\n", styled(BAD.bold(), "error")));
}

pub(crate) fn warn(message: &str) {
    to_stderr(&format!("{}: {message}\n", styled(CARE.bold(), "warning")));
}

fn ignore_closed(written: std::io::Result<()>) {
    // There is nobody left to tell.
    drop(written);
}

/// Rows of equally wide columns, indented by two. The last column is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| visible(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let padding =
                if column + 1 == row.len() { 0 } else { widths[column].saturating_sub(visible(cell)) };
            // Writing to a String cannot fail.
            let _: std::fmt::Result = write!(line, " {cell}{:padding$} ", "");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn visible(cell: &str) -> usize {
    anstream::adapter::strip_str(cell).to_string().chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_do_not_count_for_the_width_of_a_column() {
        let rows = [vec![styled(GOOD, "ab"), "x".to_owned()], vec!["abcd".to_owned(), "y".to_owned()]];
        assert_eq!(anstream::adapter::strip_str(&table(&rows)).to_string(), "  ab    x\n  abcd  y\n");
    }
}
