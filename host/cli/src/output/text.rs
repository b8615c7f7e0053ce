//! Text that is safe to print.
//!
//! A `String` becomes [`Text`] only through [`untrusted`] and [`untrusted_lines`], which escape it, and the terminal takes
//! nothing but [`Text`]. So no text of a plugin, a server or a record can reach the terminal raw.

use anstyle::Style;
use std::fmt::{self, Display, Write as _};
use thinkube_engine::model::{Digest, ErrorKind, Untrusted};

/// Text without any control character but line breaks and the host's own colours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(String);

/// What [`text!`](text) takes as it is: text of the host itself, numbers, and types whose characters are known.
pub(crate) trait Printable: Display {}

impl Printable for &'static str {}
impl Printable for Text {}
impl Printable for Digest {}
impl Printable for ErrorKind {}
impl Printable for char {}
impl Printable for u8 {}
impl Printable for u32 {}
impl Printable for u64 {}
impl Printable for usize {}
impl Printable for f64 {}

/// Only for the macros: a value that may be printed as it is.
pub(crate) fn printable<T: Printable>(value: &T) -> &T {
    value
}

/// Formats [`Text`] like `format!`, but takes only [`Printable`] values, and none captured inside the braces.
macro_rules! text {
    ($format:literal $(, $value:expr)* $(,)?) => {
        // `concat!` disables captured variables, which would pass the trait by.
        $crate::output::text::Text::formatted(format_args!(
            concat!($format) $(, $crate::output::text::printable(&$value))*
        ))
    };
}

/// Appends a line to a [`Text`]; the arguments are those of [`text!`](text).
macro_rules! line {
    ($text:expr, $format:literal $(, $value:expr)* $(,)?) => {
        $text.push_line(&$crate::output::text::text!($format $(, $value)*))
    };
}

pub(crate) use {line, text};

impl Text {
    /// Only for the macros.
    pub(crate) fn formatted(arguments: fmt::Arguments<'_>) -> Self {
        Self(arguments.to_string())
    }

    pub(crate) fn push(&mut self, more: &Self) {
        self.0.push_str(&more.0);
    }

    pub(crate) fn push_line(&mut self, line: &Self) {
        self.push(line);
        self.0.push('\n');
    }

    /// The text with its colours as ANSI sequences.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = Self> {
        self.0.lines().map(|line| Self(line.to_owned()))
    }

    /// All of `parts`, with `separator` between them.
    pub(crate) fn join(parts: &[Self], separator: &'static str) -> Self {
        Self(parts.iter().map(Self::as_str).collect::<Vec<_>>().join(separator))
    }

    /// The columns that the text takes on a terminal, colours left out.
    fn width(&self) -> usize {
        anstream::adapter::strip_str(&self.0).to_string().chars().count()
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(text.to_owned())
    }
}

/// Text of a plugin, a server, a record or a file, escaped and on one line.
pub(crate) fn untrusted(text: impl Display) -> Text {
    Text(Untrusted(&text.to_string()).to_string())
}

/// The same with its line breaks kept.
pub(crate) fn untrusted_lines(text: impl Display) -> Text {
    Text(Untrusted(&text.to_string()).lines().to_string())
}

/// Foreign text of several lines, each indented by two: no line of it looks like one of the host's own.
pub(crate) fn indented(text: impl Display) -> Text {
    let mut indented = Text::default();
    for line in untrusted_lines(text).lines() {
        indented.push_line(&Text(format!("  {line}")));
    }
    indented
}

/// A message whose first line follows a label of the host, such as `error:`. Later lines are indented, if they are not
/// already, so that none of them can pass for a line with a label.
pub(crate) fn message(text: impl Display) -> Text {
    let text = untrusted_lines(text);
    let lines = text.lines().enumerate().map(|(index, line)| {
        let indent = if index == 0 || line.0.starts_with(' ') { "" } else { "  " };
        Text(format!("{indent}{line}"))
    });
    Text::join(&lines.collect::<Vec<_>>(), "\n")
}

/// `text` in `style`.
pub(crate) fn styled(style: Style, text: impl Printable) -> Text {
    Text(format!("{style}{text}{style:#}"))
}

/// Rows of equally wide columns, indented by two. The last column is not padded.
pub(crate) fn table(rows: &[Vec<Text>]) -> Text {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(Text::width).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut table = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let padding =
                if column + 1 == row.len() { 0 } else { widths[column].saturating_sub(cell.width()) };
            // Writing to a String cannot fail.
            let _: fmt::Result = write!(line, " {cell}{:padding$} ", "");
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    Text(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstyle::AnsiColor;

    #[test]
    fn foreign_text_cannot_control_the_terminal() {
        let text = "a\u{1b}[2Kb\nc\u{202e}";
        assert_eq!(untrusted(text).as_str(), "a\\u{1b}[2Kb\\nc\\u{202e}");
        assert_eq!(untrusted_lines(text).as_str(), "a\\u{1b}[2Kb\nc\\u{202e}");
    }

    #[test]
    fn colours_do_not_widen_a_column() {
        let green = AnsiColor::Green.on_default();
        let rows = [vec![styled(green, "ab"), "x".into()], vec!["abcd".into(), "y".into()]];
        let plain = anstream::adapter::strip_str(table(&rows).as_str()).to_string();
        assert_eq!(plain, "  ab    x\n  abcd  y\n");
    }
}
