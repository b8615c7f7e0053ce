//! What a plugin can request and an operator can grant.
//!
//! The submodules decide: `gate` compares a plan with the grants, `grant_policy` says which permissions a release has, and
//! `placeholder` resolves the settings that a permission names.

pub(crate) mod gate;
pub(crate) mod grant_policy;
pub(crate) mod placeholder;

use crate::object::TypeMeta;
use placeholder::SettingText;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Something that a plugin requests and an operator grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Permission {
    /// To apply objects of a kind.
    Emit(KindPermission),
    /// To read objects of a kind.
    Read(KindPermission),
    /// To copy from a Secret, as `NAMESPACE/NAME`.
    CopySecret(String),
    /// To write secrets in clear into a ConfigMap, as `NAMESPACE/NAME`.
    Disclose(String),
    /// To send HTTP requests to an origin, for example `https://auth.example.org`.
    Connect(String),
    /// To push images to repositories below a prefix, for example `registry.example.org/library`.
    PushImage(String),
    /// To write files into pods of a namespace.
    WritePodFiles(String),
    /// To write files below a path that is relative to the operator's home directory.
    WriteHome(String),
    /// To build images from a git URL or an absolute folder, and from what lies below it.
    BuildFrom(String),
    /// To install a Python package into a virtual environment of the release. `WriteHome` does not cover it, because an
    /// installation runs code of the package.
    PythonPackage(String),
    /// To use an environment variable of the operator in Secrets. The contract has no such case: the host derives one from
    /// each secret input of the descriptor, because a plugin could name any variable.
    SecretInput {
        /// The input's name.
        name: String,
        /// The environment variable.
        env: String,
        /// The input whose value it takes if its own is not supplied.
        #[serde(default, rename = "fallsBackTo", skip_serializing_if = "Option::is_none")]
        falls_back_to: Option<String>,
    },
}

/// Objects of a kind, within a scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KindPermission {
    /// Group and version, for example `apps/v1`.
    pub api_version: String,
    /// The kind, for example `Deployment`.
    pub kind: String,
    /// Where the objects may be.
    pub scope: Scope,
}

impl KindPermission {
    /// The kind with its group and version.
    pub fn type_meta(&self) -> TypeMeta {
        TypeMeta { api_version: self.api_version.clone(), kind: self.kind.clone() }
    }
}

/// Where objects of a kind may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Every namespace, and cluster-scoped objects.
    Cluster,
    /// These namespaces, and the Namespace objects of these names.
    Namespaces(Vec<String>),
    /// The release's namespace, and the Namespace object of its name.
    OwnNamespace,
}

impl Permission {
    /// Every text of the permission that may name settings. A kind may not: an operator must know what can be applied
    /// before any setting is known.
    fn setting_texts(&mut self) -> Vec<&mut String> {
        match self {
            Self::Emit(KindPermission { scope, .. }) | Self::Read(KindPermission { scope, .. }) => {
                match scope {
                    Scope::Namespaces(names) => names.iter_mut().collect(),
                    Scope::Cluster | Scope::OwnNamespace => Vec::new(),
                }
            }
            Self::CopySecret(text)
            | Self::Disclose(text)
            | Self::Connect(text)
            | Self::PushImage(text)
            | Self::WritePodFiles(text)
            | Self::WriteHome(text)
            | Self::BuildFrom(text)
            | Self::PythonPackage(text) => vec![text],
            Self::SecretInput { .. } => Vec::new(),
        }
    }

    /// The settings that the permission names, those of its conditions included.
    ///
    /// # Errors
    /// What is wrong with one of its texts.
    pub fn settings(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for text in self.clone().setting_texts() {
            names.extend(text.parse::<SettingText>()?.names().map(str::to_owned));
        }
        Ok(names)
    }

    /// The permission for these settings. None if a setting that it names is not set or one of its conditions does not
    /// hold: then the plugin does not request it.
    ///
    /// ```
    /// use serde_json::json;
    /// use thinkube_plan::Permission;
    ///
    /// let stated = Permission::Connect("https://auth.${domain}".into());
    /// let requested = Permission::Connect("https://auth.example.org".into());
    /// assert_eq!(stated.with_settings(&json!({"domain": "example.org"})), Some(requested));
    /// assert_eq!(stated.with_settings(&json!({})), None);
    /// ```
    pub fn with_settings(&self, settings: &Value) -> Option<Self> {
        let mut filled = self.clone();
        for text in filled.setting_texts() {
            *text = placeholder::with_settings(text, settings).filter(|text| !text.is_empty())?;
        }
        Some(filled)
    }

    /// The permission for people, as the plugin states it over settings: `connect to ${url}, if ${sign_on}`.
    pub fn describe(&self) -> String {
        let mut bare = self.clone();
        let mut conditions = Vec::new();
        for text in bare.setting_texts() {
            // The host loads no plugin with a text that does not parse; shown as it stands.
            let Ok(parsed) = text.parse::<SettingText>() else { continue };
            conditions.extend(parsed.conditions());
            *text = parsed.without_conditions();
        }
        if conditions.is_empty() { bare.to_string() } else { format!("{bare}, {}", conditions.join(" and ")) }
    }
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

/// The permissions of `wanted` that `held` lacks, in the order of `wanted`.
pub fn widened<'a>(held: &[Permission], wanted: &'a [Permission]) -> Vec<&'a Permission> {
    wanted.iter().filter(|permission| !held.contains(permission)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{emit, read};
    use serde_json::json;

    #[test]
    fn a_permission_over_an_unset_setting_is_not_requested() {
        let stated = Permission::Connect("${keycloak_url}".into());
        assert_eq!(stated.with_settings(&json!({})), None);
        assert_eq!(stated.with_settings(&json!({"keycloak_url": ""})), None);
        assert_eq!(
            stated.with_settings(&json!({"keycloak_url": "https://a"})),
            Some(Permission::Connect("https://a".into()))
        );
    }

    #[test]
    fn a_condition_decides_whether_a_permission_is_requested() {
        let when = Permission::Connect("${a:if}https://x".into());
        let unless = Permission::Connect("https://x${a:unless}".into());
        let requested = Some(Permission::Connect("https://x".into()));
        for yes in [json!(true), json!("no"), json!(0), json!(["b"])] {
            let settings = json!({ "a": yes });
            assert_eq!(when.with_settings(&settings), requested, "{settings}");
            assert_eq!(unless.with_settings(&settings), None, "{settings}");
        }
        for no in [json!({"a": false}), json!({"a": ""}), json!({"a": null}), json!({"a": []}), json!({})] {
            assert_eq!(when.with_settings(&no), None, "{no}");
            assert_eq!(unless.with_settings(&no), requested, "{no}");
        }
    }

    #[test]
    fn every_condition_must_hold_and_some_text_must_remain() {
        let both = Permission::Connect("${a:if}${b:unless}${url}".into());
        let settings = |a, b| json!({"a": a, "b": b, "url": "https://x"});
        assert!(both.with_settings(&settings(true, false)).is_some());
        assert_eq!(both.with_settings(&settings(true, true)), None);
        assert_eq!(both.with_settings(&settings(false, false)), None);
        assert_eq!(Permission::Connect("${a:if}".into()).with_settings(&json!({"a": true})), None);
    }

    #[test]
    fn the_settings_of_a_permission_are_known_before_their_values() {
        let namespaces = Scope::Namespaces(vec!["${a}".into(), "b-${c:dashed}".into()]);
        assert_eq!(read("v1", "Secret", namespaces).settings(), Ok(vec!["a".into(), "c".into()]));
        assert_eq!(emit("v1", "Secret", Scope::Cluster).settings(), Ok(vec![]));
        let conditional = Permission::Connect("${d:if}${e:unless}https://x".into());
        assert_eq!(conditional.settings(), Ok(vec!["d".into(), "e".into()]));
        assert!(Permission::Connect("https://$x".into()).settings().is_err());
        assert!(Permission::Connect("https://${steps.a.b}".into()).settings().is_err());
    }

    #[test]
    fn a_permission_is_described_with_its_conditions_at_the_end() {
        for (text, shown) in [
            ("https://${host:dashed}$$", "connect to https://${host:dashed}$$"),
            ("${sign_on:if}${url}", "connect to ${url}, if ${sign_on}"),
            ("${url}${sign_on:if}${image:unless}", "connect to ${url}, if ${sign_on} and unless ${image}"),
            // Escaped text must not be shown as a condition.
            ("https://x$${a:if}", "connect to https://x$${a:if}"),
        ] {
            assert_eq!(Permission::Connect(text.into()).describe(), shown);
        }
    }
}
