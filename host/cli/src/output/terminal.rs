//! Writes to stdout and stderr. Nothing else in this crate does.
//!
//! Colours reach terminals only. When the reader closes the pipe (`| head`), the output ends and the program does not.

use crate::output::text::{Text, styled, text};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::io::{ErrorKind, Write};
use thinkube_engine::model::Untrusted;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
pub(crate) const CARE: Style = AnsiColor::Yellow.on_default();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();

/// The result of a command.
pub(crate) fn to_stdout(text: &Text) {
    write_stdout(text.as_str());
}

/// Progress, warnings, errors and questions.
pub(crate) fn to_stderr(text: &Text) {
    exit_unless_closed(anstream::stderr().write_all(text.as_str().as_bytes()));
}

/// The result of a command, for programs.
pub(crate) fn json_to_stdout(value: &impl Serialize) {
    let json =
        serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"));
    write_stdout(&(escape_json(&json) + "\n"));
}

/// Lines of JSON on stderr: an error, or events of the log.
pub(crate) fn json_to_stderr(json: &str) {
    exit_unless_closed(anstream::stderr().write_all(escape_json(json).as_bytes()));
}

pub(crate) fn warn(message: &Text) {
    to_stderr(&text!("{}: {}\n", styled(CARE.bold(), "warning"), message.clone()));
}

/// The same JSON with `\u` escapes for the characters that [`Untrusted`] escapes: serde_json leaves those above U+001F.
pub(crate) fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    let mut utf16 = [0; 2];
    for character in json.chars() {
        if character == '\n' || is_harmless(character) {
            escaped.push(character);
        } else {
            escaped.extend(character.encode_utf16(&mut utf16).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    escaped
}

/// Whether [`Untrusted`] prints the character as it is.
pub(crate) fn is_harmless(character: char) -> bool {
    let mut utf8 = [0; 4];
    let text: &str = character.encode_utf8(&mut utf8);
    character.is_ascii_graphic() || Untrusted(text).to_string() == text
}

fn write_stdout(text: &str) {
    let mut stdout = anstream::stdout();
    exit_unless_closed(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// A full disk must not pass for success; a closed pipe is the reader's wish.
fn exit_unless_closed(written: std::io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        std::process::exit(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_value_and_holds_no_control_character() {
        let value = serde_json::json!({"a": "\u{9b}2K\u{202e}\u{7f}é\n\u{1f511}"});
        let json = escape_json(&value.to_string());
        assert!(json.chars().all(is_harmless), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("the text is JSON"), value);
    }
}
