//! What the rules of one step may know of the plan around it, and how they report what is wrong.

use std::collections::BTreeMap;

/// Prefixes of the labels and annotations that only the host sets. A plugin that could set them could take over the objects
/// of another release (KEP-3659).
const RESERVED_PREFIXES: [&str; 2] = ["applyset.kubernetes.io/", "thinkube.org/"];

/// What a step's rules may know of the plan around it.
#[derive(Default)]
pub(crate) struct StepRules<'a> {
    /// The secret inputs that the plan may use.
    pub(crate) secret_inputs: &'a [&'a str],
    /// Whether the plan is that of an operation.
    pub(crate) is_operation: bool,
    /// The outputs of the steps before this one, by step and output: whether each is secret.
    pub(crate) outputs: BTreeMap<(String, String), bool>,
}

/// A rule that a step breaks.
#[derive(Debug)]
pub(crate) struct StepFault {
    /// JSON Pointer into the manifest or the Secret; empty for the step as a whole.
    pub(crate) path: String,
    /// What is wrong and what is expected.
    pub(crate) message: String,
}

impl From<String> for StepFault {
    fn from(message: String) -> Self {
        Self { path: String::new(), message }
    }
}

impl From<&str> for StepFault {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl StepFault {
    pub(crate) fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl StepRules<'_> {
    /// The fault of a secret input that the plan may not use.
    pub(crate) fn input_fault(&self, path: &str, name: &str) -> Option<StepFault> {
        let owner = if self.is_operation { "operation" } else { "plugin" };
        (!self.secret_inputs.contains(&name)).then(|| {
            let known = self.secret_inputs.join(", ");
            StepFault::at(
                path,
                format!("`{name}` is not a secret input of the {owner}; expected one of: {known}"),
            )
        })
    }
}

/// The fault of a label or annotation that only the host sets.
pub(crate) fn reserved_key_fault(path: &str, key: &str) -> Option<StepFault> {
    let is_reserved = RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
    is_reserved.then(|| StepFault::at(path, format!("`{key}` is reserved for the host; leave it out")))
}
