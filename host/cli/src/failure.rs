use crate::args::Output;
use crate::{exit, out};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use thinkube_engine::{Class, Error, InventoryFault};

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    /// None: the command line is wrong.
    class: Option<Class>,
    kind: &'static str,
    message: String,
}

impl Failure {
    /// Something the person wrote is wrong.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self { class: Some(Class::Input), kind: "input", message: message.into() }
    }

    /// The command line itself is wrong.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        Self { class: None, kind: "usage", message: error.to_string().trim_end().to_owned() }
    }

    /// The command line itself is wrong, in words that do not repeat it.
    pub(crate) fn command_line(message: impl Into<String>) -> Self {
        Self { class: None, kind: "usage", message: message.into() }
    }

    /// An inventory does not give what the plugin needs.
    pub(crate) fn inventory(faults: &[InventoryFault]) -> Self {
        let lines: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        let message = format!("the inventory cannot be used:{lines}");
        Self { class: Some(Class::Input), kind: "inventory", message }
    }

    /// A file the person named cannot be used.
    pub(crate) fn file(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::input(format!("{}: {problem}", path.display()))
    }

    /// The same, and what is done of the rest.
    pub(crate) fn and(mut self, rest: &str) -> Self {
        self.message = format!("{}\n{rest}", self.message);
        self
    }

    /// Says it on stderr: a sentence, or JSON when JSON was asked for.
    pub(crate) fn report(self, output: Output) -> ExitCode {
        match output {
            Output::Text => out::error(&self.message),
            Output::Json => {
                out::to_stderr(&format!(
                    "{}\n",
                    json!({"error": {"kind": self.kind, "message": self.message}})
                ));
            }
        }
        self.class.map_or(ExitCode::from(exit::USAGE), exit::code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { class: Some(error.class()), kind: error.kind(), message: error.to_string() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { class: Some(Class::Failure), kind: "io", message: error.to_string() }
    }
}
