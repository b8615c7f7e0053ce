//! Values that a plan names and never holds: secret inputs and the outputs of steps.

use crate::plan::object::OutputRef;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The text of a secret. It cannot be printed, compared or serialized, and its memory is overwritten on drop.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes ownership of the text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the code that sends it to the destination in the plan.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// The secrets that the operator supplied, by input name.
#[derive(Clone, Default)]
pub struct SecretInputs(BTreeMap<String, SecretText>);

impl SecretInputs {
    /// Adds the value of an input.
    pub fn insert(&mut self, name: impl Into<String>, text: SecretText) {
        self.0.insert(name.into(), text);
    }

    /// Adds the inputs of `others`; they replace inputs of the same name.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The names of the inputs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value of an input.
    pub fn get(&self, name: &str) -> Option<&SecretText> {
        self.0.get(name)
    }
}

impl FromIterator<(String, SecretText)> for SecretInputs {
    fn from_iter<I: IntoIterator<Item = (String, SecretText)>>(inputs: I) -> Self {
        Self(inputs.into_iter().collect())
    }
}

/// The value of an output.
#[derive(Clone)]
pub enum Output {
    /// Text that is not secret, for example the digest of an image.
    Open(String),
    /// Text that only a Secret may contain.
    Secret(SecretText),
}

/// The values that a plan needs.
#[derive(Clone, Default)]
pub struct Values {
    /// The secret inputs.
    pub inputs: SecretInputs,
    /// The outputs of the plan's steps.
    pub outputs: Outputs,
}

/// The outputs that steps have yielded, by step and output.
#[derive(Clone, Default)]
pub struct Outputs(BTreeMap<(String, String), Output>);

impl Outputs {
    /// Adds an output.
    pub fn insert(&mut self, step: &str, output: &str, value: Output) {
        self.0.insert((step.to_owned(), output.to_owned()), value);
    }

    /// Adds the outputs of a newer run; they replace older ones.
    pub fn extend(&mut self, newer: Self) {
        self.0.extend(newer.0);
    }

    /// The value of an output. None if its step has not yielded it.
    pub fn get(&self, at: &OutputRef) -> Option<&Output> {
        self.0.get(&(at.step.clone(), at.output.clone()))
    }
}
