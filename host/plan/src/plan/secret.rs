//! A Secret that the host composes when it applies. The step says where each value comes from and holds none.

use crate::object::ObjectRef;
use crate::plan::object::{OnUninstall, OutputRef};
use crate::plan::rules::{StepFault, StepRules, reserved_key_fault};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// A Secret that the host composes, or a ConfigMap with secrets in clear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretStep {
    /// Unique among the steps.
    pub name: String,
    /// The Secret or ConfigMap.
    pub target: ObjectRef,
    /// The `type` of the Secret; empty for a ConfigMap.
    pub secret_type: String,
    /// The labels, beside those of the host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where the values come from.
    pub content: SecretContent,
    /// What an uninstall does with the object.
    pub on_uninstall: OnUninstall,
}

/// Where the values of a Secret come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretContent {
    /// From one source for each key.
    Entries(Vec<SecretEntry>),
    /// From another Secret of the same type, with all of its keys.
    Mirror(ObjectRef),
}

/// One key of a composed Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretEntry {
    /// The key.
    pub key: String,
    /// Where the value comes from.
    pub source: SecretSource,
}

/// Where the value of a key comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretSource {
    /// A secret input, by name.
    Input(String),
    /// A random value that is made once and kept.
    Random(RandomText),
    /// A new random value in place of the present one; only in an operation. Records from before 2026-11-27 call it `renewed`.
    #[serde(alias = "renewed")]
    Rotated(RandomText),
    /// The present value; only in an operation, where the host writes it (see [`crate::overlay`]).
    Kept,
    /// A key of another Secret.
    Copy(SecretKey),
    /// An output of another step.
    Output(OutputRef),
    /// Text with `${KEY}` for other keys of the Secret, and `${KEY:json}` for their JSON strings.
    Template(String),
    /// Text that is not secret.
    Plain(String),
}

/// A random text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RandomText {
    /// Bytes of randomness before encoding.
    pub bytes: u32,
    /// How the bytes are written.
    pub encoding: Encoding,
}

/// How random bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Lower-case hexadecimal.
    Hex,
    /// RFC 4648 section 4, padded.
    Base64,
    /// RFC 4648 section 5, padded.
    Base64Url,
}

/// One key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKey {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub name: String,
    /// The key.
    pub key: String,
}

impl SecretStep {
    /// Whether the target is a ConfigMap, which every reader of ConfigMaps can read.
    pub fn discloses(&self) -> bool {
        self.target.kind == "ConfigMap"
    }

    /// Every rule that the step breaks.
    pub(super) fn rule_faults(&self, rules: &StepRules<'_>) -> Vec<StepFault> {
        let mut faults = Vec::new();
        if let SecretContent::Entries(entries) = &self.content {
            let keys: HashSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
            if keys.len() < entries.len() {
                faults.push("it has the same key twice".into());
            }
            faults.extend(entries.iter().filter_map(|entry| self.entry_fault(entry, rules)));
        }
        faults.extend(self.target_fault());
        faults.extend(self.labels.keys().filter_map(|key| reserved_key_fault("/metadata/labels", key)));
        if let SecretContent::Mirror(source) = &self.content
            && (!is_secret(source) || *source == self.target)
        {
            faults.push("the source of a mirror must be another v1 Secret in a namespace".into());
        }
        faults
    }

    fn entry_fault(&self, entry: &SecretEntry, rules: &StepRules<'_>) -> Option<StepFault> {
        let path = format!("/{}", entry.key);
        match &entry.source {
            SecretSource::Input(name) => rules.input_fault(&path, name),
            // A random value exists only in its target. People delete and edit ConfigMaps without care.
            SecretSource::Random(_) | SecretSource::Rotated(_) if self.discloses() => {
                Some(StepFault::at(path, "a ConfigMap must not hold a random value; copy it from a Secret"))
            }
            SecretSource::Rotated(_) if !rules.is_operation => Some(StepFault::at(
                path,
                "only an operation rotates a value; a release would rotate it at every apply",
            )),
            _ => None,
        }
    }

    fn target_fault(&self) -> Option<StepFault> {
        if !self.discloses() {
            return (!is_secret(&self.target))
                .then(|| "its target must be a v1 Secret or a v1 ConfigMap in a namespace".into());
        }
        let is_plain = self.target.api_version == "v1"
            && self.target.namespace.is_some()
            && self.secret_type.is_empty()
            && matches!(self.content, SecretContent::Entries(_));
        (!is_plain).then(|| {
            "a ConfigMap with secrets must be a v1 object in a namespace, with entries and without a type"
                .into()
        })
    }
}

/// Whether `object` is a Secret of the core group in a namespace.
pub(crate) fn is_secret(object: &ObjectRef) -> bool {
    object.namespace.is_some() && object.kind == "Secret" && object.api_version == "v1"
}
