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
    let mut stdout = anstream::stdout();
    ignore_closed(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
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
    to_stderr(&format!("{}: {}\n", styled(BAD.bold(), "error"), clean(message)));
}

pub(crate) fn warn(message: &str) {
    to_stderr(&format!("{}: {}\n", styled(CARE.bold(), "warning"), clean(message)));
}

/// A reader that has gone away has all it wants. Anything else, a full disk above all, must not pass for success.
fn ignore_closed(written: std::io::Result<()>) {
    if let Err(error) = written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        // There is nobody left to tell, but the exit code tells.
        std::process::exit(1);
    }
}

/// `text` of a plugin or a server, made fit for a terminal: what could move the cursor, colour or hide is shown, not
/// done. Ends of lines stay.
pub(crate) fn clean(text: &str) -> String {
    let shown = |c: char| {
        c == '\n'
            || !(c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    };
    text.chars().flat_map(|c| if shown(c) { vec![c] } else { c.escape_unicode().collect() }).collect()
}

/// [`clean`] for what must stay on one line.
pub(crate) fn clean_line(text: &str) -> String {
    clean(&text.replace(['\n', '\r'], " "))
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
    fn text_of_others_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Kb\nc\u{202e}"), "a\\u{1b}[2Kb\nc\\u{202e}");
        assert_eq!(clean_line("a\nb"), "a b");
    }

    #[test]
    fn colours_do_not_count_for_the_width_of_a_column() {
        let rows = [vec![styled(GOOD, "ab"), "x".to_owned()], vec!["abcd".to_owned(), "y".to_owned()]];
        assert_eq!(anstream::adapter::strip_str(&table(&rows)).to_string(), "  ab    x\n  abcd  y\n");
    }
}
