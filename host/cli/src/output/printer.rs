//! Prints what a command has to tell: its result as text or JSON, and notes unless `--quiet` is set.

use crate::output::format::Format;
use crate::output::terminal;
use crate::output::text::Text;
use serde::Serialize;

/// What the global options say about output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    /// How many times `-v` was given.
    pub(crate) verbose: u8,
}

impl Printer {
    /// Prints the result of the command, in the format that the user chose.
    pub(crate) fn result<T: Serialize>(self, text: impl FnOnce() -> Text, json: impl FnOnce() -> T) {
        match self.format {
            Format::Text => terminal::to_stdout(&text()),
            Format::Json => terminal::json_to_stdout(&json()),
        }
    }

    pub(crate) fn note(self, text: &Text) {
        if !self.quiet {
            terminal::to_stderr(text);
        }
    }

    pub(crate) fn warn(self, message: &Text) {
        if !self.quiet {
            terminal::warn(message);
        }
    }
}
