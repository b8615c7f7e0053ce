//! What a plugin states about itself before it plans.

use crate::permission::Permission;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// What a plugin states about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Descriptor {
    /// A DNS label; the default name of a release.
    pub name: String,
    /// A semantic version.
    pub version: String,
    /// The title, for people.
    pub title: String,
    /// What it installs, in one sentence.
    pub summary: String,
    /// The licence, as an SPDX expression.
    pub license: String,
    /// The URL of the source.
    pub source: String,
    /// JSON Schema 2020-12 of the settings.
    pub settings_schema: Value,
    /// The setting whose value is the release's namespace. None: the namespace has the release's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_setting: Option<String>,
    /// Secrets that the operator supplies.
    pub secret_inputs: Vec<SecretInput>,
    /// Services that must be installed first.
    pub dependencies: Vec<Dependency>,
    /// The place in the platform's order of services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_order: Option<u32>,
    /// The permissions that it requests; their texts may name settings.
    pub permissions: Vec<Permission>,
}

/// A secret that the operator supplies. A plan holds its name only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretInput {
    /// The name that secret entries refer to.
    pub name: String,
    /// The environment variable that the host reads.
    pub env: String,
    /// The input whose value it takes if its own is not supplied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub falls_back_to: Option<String>,
    /// What it is for.
    pub summary: String,
    /// Whether a plan that uses the input needs a value for it.
    pub required: bool,
}

impl SecretInput {
    /// The permission to use the input.
    pub fn permission(&self) -> Permission {
        let Self { name, env, falls_back_to, .. } = self.clone();
        Permission::SecretInput { name, env, falls_back_to }
    }
}

/// Another service of the platform that the plugin needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dependency {
    /// The service's name.
    pub service: String,
    /// The service's place in the platform's order of services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_order: Option<u32>,
    /// Whether the plugin works without it.
    pub optional: bool,
}

impl Descriptor {
    /// Every permission that the plugin requests, as it states them over settings, and one for each secret input.
    pub fn requested(&self) -> Vec<Permission> {
        self.permissions
            .iter()
            .cloned()
            .chain(self.secret_inputs.iter().map(SecretInput::permission))
            .collect()
    }

    /// What is wrong with the secret inputs.
    pub fn secret_input_fault(&self) -> Option<String> {
        let inputs = &self.secret_inputs;
        let mut names = HashSet::new();
        if let Some(input) = inputs.iter().find(|input| !names.insert(&input.name)) {
            return Some(format!("it has two secret inputs `{}`", input.name));
        }
        inputs.iter().find_map(|SecretInput { name, falls_back_to, .. }| {
            let other = falls_back_to.as_ref()?;
            let is_last = |input: &SecretInput| input.name == *other && input.falls_back_to.is_none();
            (!inputs.iter().any(is_last)).then(|| {
                format!(
                    "its secret input `{name}` falls back to `{other}`, which must be another secret input without a \
                     fallback"
                )
            })
        })
    }

    /// The permissions that the plugin requests for these settings.
    pub fn requested_for(&self, settings: &Value) -> Vec<Permission> {
        self.requested().iter().filter_map(|permission| permission.with_settings(settings)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(inputs: &[(&str, Option<&str>)]) -> Option<String> {
        let inputs: Vec<Value> = inputs
            .iter()
            .map(|(name, other)| {
                json!({"name": name, "env": "E", "summary": "", "required": true, "fallsBackTo": other})
            })
            .collect();
        let descriptor = json!({"name": "a", "version": "1.0.0", "title": "", "summary": "", "license": "", "source": "",
            "settingsSchema": {}, "secretInputs": inputs, "dependencies": [], "permissions": []});
        serde_json::from_value::<Descriptor>(descriptor).expect("a descriptor").secret_input_fault()
    }

    #[test]
    fn a_secret_input_falls_back_once() {
        assert_eq!(fault(&[("a", None), ("b", Some("a")), ("c", Some("a"))]), None);
        for (inputs, expected) in [
            (&[("a", Some("a"))][..], "falls back to `a`"),
            (&[("a", Some("b"))], "falls back to `b`"),
            (&[("a", None), ("b", Some("a")), ("c", Some("b"))], "falls back to `b`"),
            (&[("a", Some("b")), ("b", Some("a"))], "falls back to"),
            (&[("a", None), ("a", None)], "two secret inputs `a`"),
        ] {
            let fault = fault(inputs);
            assert!(fault.as_ref().is_some_and(|fault| fault.contains(expected)), "{inputs:?}: {fault:?}");
        }
    }
}
