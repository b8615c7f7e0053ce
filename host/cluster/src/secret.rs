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

    pub(crate) fn expose(&self) -> &str {
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

    /// The names, without the values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&SecretText> {
        self.0.get(name)
    }
}

impl FromIterator<(String, SecretText)> for SecretInputs {
    fn from_iter<I: IntoIterator<Item = (String, SecretText)>>(inputs: I) -> Self {
        Self(inputs.into_iter().collect())
    }
}
