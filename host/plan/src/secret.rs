//! Values that no plan holds. A plan names them; whoever carries it out is handed them beside it.

use crate::OutputRef;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// A secret's text. It cannot be printed, compared or serialised, and is overwritten when it is dropped.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one place that sends it where the plan says.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// The secrets that the operator supplied, by the name of the input.
#[derive(Clone, Default)]
pub struct SecretInputs(BTreeMap<String, SecretText>);

impl SecretInputs {
    /// Adds one.
    pub fn insert(&mut self, name: impl Into<String>, text: SecretText) {
        self.0.insert(name.into(), text);
    }

    /// Adds others.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The names, without the values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&SecretText> {
        self.0.get(name)
    }
}

impl FromIterator<(String, SecretText)> for SecretInputs {
    fn from_iter<I: IntoIterator<Item = (String, SecretText)>>(inputs: I) -> Self {
        Self(inputs.into_iter().collect())
    }
}

/// What a step has yielded.
#[derive(Clone)]
pub enum Output {
    /// Text that anybody may see, an image's digest for example.
    Open(String),
    /// Text that only a Secret may hold.
    Secret(SecretText),
}

/// What a plan needs and does not hold.
#[derive(Clone, Default)]
pub struct Values {
    /// From the operator.
    pub inputs: SecretInputs,
    /// From the plan's own steps.
    pub outputs: Outputs,
}

/// What steps have yielded so far, by step and output.
#[derive(Clone, Default)]
pub struct Outputs(BTreeMap<(String, String), Output>);

impl Outputs {
    /// Adds one.
    pub fn insert(&mut self, step: &str, output: &str, value: Output) {
        self.0.insert((step.to_owned(), output.to_owned()), value);
    }

    /// Adds those of another run, which are the newer ones.
    pub fn extend(&mut self, newer: Self) {
        self.0.extend(newer.0);
    }

    /// One of them; None: its step has not run, or has not yielded it.
    pub fn get(&self, at: &OutputRef) -> Option<&Output> {
        self.0.get(&(at.step.clone(), at.output.clone()))
    }
}
