use crate::args::Output;
use crate::{exit, out};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use thinkube_engine::{Class, Error, InventoryFault};

/// The faults of an inventory that are listed. A wrong file has one for each of its lines.
const LISTED: usize = 20;

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
        let mut lines: String = faults.iter().take(LISTED).map(|fault| format!("\n  {fault}")).collect();
        if faults.len() > LISTED {
            lines += &format!("\n  and {} more", faults.len() - LISTED);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use thinkube_engine::Inventory;

    fn message(lines: usize) -> String {
        let text: String = (0..lines).map(|number| format!("plug_{number}: x\n")).collect();
        let mut inventory = Inventory::default();
        inventory.add("a.yaml", &text).expect("it is an inventory");
        let schema = json!({"type": "object", "properties": {}});
        let schema = thinkube_engine::SettingsSchema::new(schema).expect("it is a schema");
        let faults = inventory.take("plug", &schema, &serde_json::Map::new()).expect_err("refused");
        Failure::inventory(&faults).message
    }

    #[test]
    fn a_wrong_inventory_does_not_flood_the_terminal_and_says_how_many_faults_are_not_listed() {
        let few = message(LISTED);
        assert_eq!(few.lines().count(), 1 + LISTED, "{few}");
        let many = message(1000);
        assert_eq!(many.lines().count(), 2 + LISTED, "{many}");
        assert!(many.ends_with("\n  and 980 more"), "{many}");
    }
}
