//! Why a command ended early: a kind, a message, and hints apart from it. Reports an error and gives its exit code.

use crate::exit;
use crate::output::format::Format;
use crate::output::hint;
use crate::output::terminal::{self, BAD, CARE};
use crate::output::text::{Text, line, message, styled};
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use thinkube_engine::model::{Diagnostic as _, ErrorKind, Hint};
use thinkube_engine::{Error, InventoryFault};

/// The faults of an inventory that are listed. A wrong file has one for each of its lines.
const MAX_FAULTS: usize = 20;

#[derive(Debug)]
pub(crate) struct CliError {
    kind: ErrorKind,
    message: String,
    hints: Vec<Hint>,
}

impl CliError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new() }
    }

    /// Something that the user wrote is wrong.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// clap refuses the command line.
    pub(crate) fn clap(error: &clap::Error) -> Self {
        let message = error.to_string();
        let message = message.trim_end();
        Self::usage(message.strip_prefix("error: ").unwrap_or(message))
    }

    /// The command line is wrong. The message must not repeat an argument that may be a secret.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// A file that the user named cannot be used.
    pub(crate) fn file(path: &Path, problem: impl Display) -> Self {
        Self::input(format!("{}: {problem}", path.display()))
    }

    /// An inventory does not give what the plugin needs.
    pub(crate) fn inventory(faults: &[InventoryFault]) -> Self {
        let mut lines: String = faults.iter().take(MAX_FAULTS).map(|fault| format!("\n  {fault}")).collect();
        if faults.len() > MAX_FAULTS {
            lines += &format!("\n  and {} more", faults.len() - MAX_FAULTS);
        }
        Self::new(ErrorKind::Inventory, format!("the inventory cannot be used:{lines}"))
    }

    /// The same error with one more hint.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.hints.push(Hint::Advice(advice.into()));
        self
    }

    /// Prints the error on stderr, as text or as one line of JSON.
    pub(crate) fn report(&self, format: Format) -> ExitCode {
        match format {
            Format::Text => terminal::to_stderr(&self.text()),
            Format::Json => terminal::json_to_stderr(&format!("{}\n", self.json())),
        }
        ExitCode::from(exit::code(self.kind))
    }

    fn text(&self) -> Text {
        let mut text = Text::default();
        line!(text, "{}: {}", styled(BAD.bold(), "error"), message(&self.message));
        for hint in &self.hints {
            line!(text, "{}: {}", styled(CARE.bold(), "hint"), message(hint::render(hint)));
        }
        text
    }

    fn json(&self) -> Value {
        let mut error = json!({"kind": self.kind.as_str(), "message": self.message});
        if !self.hints.is_empty() {
            let hints: Vec<String> = self.hints.iter().map(hint::render).collect();
            error["hint"] = json!(hints.join("\n"));
        }
        json!({"error": error})
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        Self { hints: error.hint().into_iter().collect(), ..Self::new(error.kind(), error.to_string()) }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thinkube_engine::Inventory;

    fn inventory_error(lines: usize) -> String {
        let text: String = (0..lines).map(|number| format!("plug_{number}: x\n")).collect();
        let mut inventory = Inventory::default();
        inventory.add("a.yaml", &text).expect("the file is an inventory");
        let schema = json!({"type": "object", "properties": {}});
        let schema = thinkube_engine::SettingsSchema::new(schema).expect("the schema is valid");
        let faults = inventory
            .settings_for("plug", &schema, &serde_json::Map::new())
            .expect_err("the names are unknown");
        CliError::inventory(&faults).message
    }

    #[test]
    fn a_long_list_of_inventory_faults_is_cut_and_counted() {
        let few = inventory_error(MAX_FAULTS);
        assert_eq!(few.lines().count(), 1 + MAX_FAULTS, "{few}");
        let many = inventory_error(1000);
        assert_eq!(many.lines().count(), 2 + MAX_FAULTS, "{many}");
        assert!(many.ends_with("\n  and 980 more"), "{many}");
    }

    #[test]
    fn an_error_has_its_hints_on_lines_of_their_own() {
        let error = CliError::input("a\u{1b}[2K\nhint: forged").advise("do b").advise("or c");
        let plain = anstream::adapter::strip_str(error.text().as_str()).to_string();
        assert_eq!(plain, "error: a\\u{1b}[2K\n  hint: forged\nhint: do b\nhint: or c\n");
        let json =
            json!({"error": {"kind": "input", "message": "a\u{1b}[2K\nhint: forged", "hint": "do b\nor c"}});
        assert_eq!(error.json(), json);
    }
}
