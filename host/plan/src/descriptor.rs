use crate::{Digest, TypeMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Descriptor {
    /// A DNS label; the default name of a release.
    pub name: String,
    /// A semantic version.
    pub version: String,
    /// For people.
    pub title: String,
    /// One sentence.
    pub summary: String,
    /// An SPDX expression.
    pub license: String,
    /// Where the source is.
    pub source: String,
    /// JSON Schema 2020-12 of the settings.
    pub settings_schema: Value,
    /// The setting that names the release's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_setting: Option<String>,
    /// Secrets that the operator supplies.
    pub secret_inputs: Vec<SecretInput>,
    /// Services that must be there first.
    pub dependencies: Vec<Dependency>,
    /// The place in the platform's order of services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_order: Option<u32>,
    /// What it asks to be allowed; texts may name settings.
    pub permissions: Vec<Permission>,
}

/// Which plugin made a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The descriptor's name.
    pub name: String,
    /// The descriptor's version.
    pub version: String,
    /// The digest of the component's bytes: what a plugin is known by.
    pub digest: Digest,
}

/// A secret that the operator supplies; only its name is ever in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretInput {
    /// The name that secret entries refer to.
    pub name: String,
    /// The environment variable it is read from.
    pub env: String,
    /// The input whose value it has where it is not supplied itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub falls_back_to: Option<String>,
    /// What it is for.
    pub summary: String,
    /// Whether a plan that uses it can be applied without it.
    pub required: bool,
}

impl SecretInput {
    /// What it takes to read it.
    pub fn permission(&self) -> Permission {
        let Self { name, env, falls_back_to, .. } = self.clone();
        Permission::SecretInput { name, env, falls_back_to }
    }
}

/// Another service that must be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dependency {
    /// Its name.
    pub service: String,
    /// Its place in the platform's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_order: Option<u32>,
    /// Whether the plugin can do without it.
    pub optional: bool,
}

/// Something a plugin asks for and an operator grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Permission {
    /// Objects of this kind may be applied.
    Emit(KindPermission),
    /// Objects of this kind may be read.
    Read(KindPermission),
    /// A Secret, as NAMESPACE/NAME, may be copied from.
    CopySecret(String),
    /// A ConfigMap, as NAMESPACE/NAME, may hold secrets in clear.
    Disclose(String),
    /// An HTTP origin may be spoken to.
    Connect(String),
    /// Images may be pushed below this prefix.
    PushImage(String),
    /// Files may be written into pods of this namespace.
    WritePodFiles(String),
    /// Files may be written below this path of the operator's home.
    WriteHome(String),
    /// Images may be built from this git URL or absolute folder, and from what lies below it.
    BuildFrom(String),
    /// This Python package may be installed, in a virtual environment of the release's own. A case of its own beside
    /// `WriteHome`, because what an installation runs is somebody else's code.
    PythonPackage(String),
    /// An environment variable of the operator may be composed into Secrets. The contract has no such case: the host
    /// makes one for each secret input, because a plugin could name any variable.
    SecretInput {
        /// The input's name.
        name: String,
        /// The variable.
        env: String,
        /// The input whose value it may have instead.
        #[serde(default, rename = "fallsBackTo", skip_serializing_if = "Option::is_none")]
        falls_back_to: Option<String>,
    },
}

impl Descriptor {
    /// Everything the plugin asks for, over settings that are not known yet: what it states, and its secret inputs.
    pub fn asks(&self) -> Vec<Permission> {
        self.permissions
            .iter()
            .cloned()
            .chain(self.secret_inputs.iter().map(SecretInput::permission))
            .collect()
    }

    /// What is wrong with the secret inputs, in words.
    pub fn secret_input_fault(&self) -> Option<String> {
        let inputs = &self.secret_inputs;
        let twice = |index: usize| inputs[..index].iter().any(|other| other.name == inputs[index].name);
        if let Some(index) = (0..inputs.len()).find(|index| twice(*index)) {
            return Some(format!("it has two secret inputs `{}`", inputs[index].name));
        }
        inputs.iter().find_map(|SecretInput { name, falls_back_to, .. }| {
            let other = falls_back_to.as_ref()?;
            let ends = |input: &SecretInput| input.name == *other && input.falls_back_to.is_none();
            (!inputs.iter().any(ends)).then(|| {
                format!("its secret input `{name}` falls back to `{other}`, which is no input that falls back to none")
            })
        })
    }

    /// Everything the plugin asks for with these settings.
    pub fn requests(&self, settings: &Value) -> Vec<Permission> {
        self.asks().iter().filter_map(|permission| permission.with_settings(settings)).collect()
    }
}

/// Objects of a kind, somewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KindPermission {
    /// Group and version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Where.
    pub scope: Scope,
}

impl KindPermission {
    /// The kind alone.
    pub fn type_meta(&self) -> TypeMeta {
        TypeMeta { api_version: self.api_version.clone(), kind: self.kind.clone() }
    }
}

/// Where objects of a kind may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Cluster-scoped objects and every namespace.
    Cluster,
    /// These namespaces, and the Namespace objects of these names.
    Namespaces(Vec<String>),
    /// The release's namespace, and that Namespace itself.
    OwnNamespace,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Emit(kind) => write!(f, "apply {kind}"),
            Self::Read(kind) => write!(f, "read {kind}"),
            Self::CopySecret(name) => write!(f, "copy from Secret {name}"),
            Self::Disclose(name) => write!(f, "write secrets in clear into ConfigMap {name}"),
            Self::Connect(origin) => write!(f, "connect to {origin}"),
            Self::PushImage(prefix) => write!(f, "push images to {prefix}"),
            Self::WritePodFiles(namespace) => write!(f, "write files in pods of {namespace}"),
            Self::WriteHome(path) => write!(f, "write ~/{path}"),
            Self::BuildFrom(source) => write!(f, "build an image from {source}"),
            Self::PythonPackage(name) => write!(f, "install the Python package {name}"),
            Self::SecretInput { name, env, falls_back_to } => {
                write!(f, "use ${env} as the secret input {name}")?;
                match falls_back_to {
                    Some(other) => write!(f, ", or else the secret input {other}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for KindPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) in ", self.kind, self.api_version)?;
        match &self.scope {
            Scope::Cluster => f.write_str("the whole cluster"),
            Scope::Namespaces(names) => f.write_str(&names.join(", ")),
            Scope::OwnNamespace => f.write_str("its own namespace"),
        }
    }
}

/// The permissions of `wanted` that `held` does not have, in the order of `wanted`: what an upgrade must ask about.
pub fn widened<'a>(held: &[Permission], wanted: &'a [Permission]) -> Vec<&'a Permission> {
    wanted.iter().filter(|permission| !held.contains(permission)).collect()
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
        serde_json::from_value::<Descriptor>(descriptor).unwrap().secret_input_fault()
    }

    #[test]
    fn a_secret_input_falls_back_to_another_one_and_no_further() {
        assert_eq!(fault(&[("a", None), ("b", Some("a")), ("c", Some("a"))]), None);
        for (inputs, said) in [
            (&[("a", Some("a"))][..], "falls back to `a`"),
            (&[("a", Some("b"))], "falls back to `b`"),
            (&[("a", None), ("b", Some("a")), ("c", Some("b"))], "falls back to `b`"),
            (&[("a", Some("b")), ("b", Some("a"))], "falls back to"),
            (&[("a", None), ("a", None)], "two secret inputs `a`"),
        ] {
            let fault = fault(inputs);
            assert!(fault.as_ref().is_some_and(|fault| fault.contains(said)), "{inputs:?}: {fault:?}");
        }
    }
}
