//! Secrets that the host composes. The plugin states where each value comes from and never sees one.

use crate::bindings::plugin::thinkube::plugin::plan::{
    OutputRef, SecretContent, SecretEntry, SecretSource, SecretStep,
};
use crate::contract::{Encoding, ObjectRef, OnUninstall, RandomText, SecretKey, Step, TypeMeta};

/// A Secret that the host composes.
///
/// ```
/// use thinkube_sdk::{Encoding, Secret, Stage};
///
/// let database = Secret::new("demo", "database")
///     .plain("username", "app")
///     .random("password", 24, Encoding::Base64url)
///     .template("url", "postgres://${username}:${password}@db/app");
/// let stage = Stage::new("database").secret(database);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    target: ObjectRef,
    secret_type: String,
    labels: Vec<(String, String)>,
    content: SecretContent,
    on_uninstall: OnUninstall,
}

impl Secret {
    /// A Secret of type Opaque without entries. The host deletes it at uninstall.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            target: TypeMeta::new("v1", "Secret").namespaced(namespace, name),
            secret_type: "Opaque".to_owned(),
            labels: Vec::new(),
            content: SecretContent::Entries(Vec::new()),
            on_uninstall: OnUninstall::Delete,
        }
    }

    /// A copy of every key of another Secret. Every apply copies again. The types must be equal: see
    /// [`of_type`](Self::of_type). An added entry replaces the mirror. Needs
    /// [`Permission::CopySecret`](crate::Permission).
    pub fn mirror(namespace: impl Into<String>, name: impl Into<String>, of: ObjectRef) -> Self {
        Self { content: SecretContent::Mirror(of), ..Self::new(namespace, name) }
    }

    /// A ConfigMap that holds secrets in clear text, for a consumer that cannot read a Secret. Every account that may read
    /// the ConfigMap can then read them, so let a setting decide. Needs [`Permission::Disclose`](crate::Permission).
    pub fn disclosed(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let target = TypeMeta::new("v1", "ConfigMap").namespaced(namespace, name);
        Self { target, secret_type: String::new(), ..Self::new("", "") }
    }

    /// Adds a label.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// Sets the type, for example `kubernetes.io/basic-auth`.
    pub fn of_type(mut self, secret_type: impl Into<String>) -> Self {
        self.secret_type = secret_type.into();
        self
    }

    /// The value of a secret input of the descriptor.
    pub fn input(self, key: impl Into<String>, input: impl Into<String>) -> Self {
        self.entry(key, SecretSource::Input(input.into()))
    }

    /// `bytes` of randomness, generated once and kept.
    pub fn random(self, key: impl Into<String>, bytes: u32, encoding: Encoding) -> Self {
        self.entry(key, SecretSource::Random(RandomText { bytes, encoding }))
    }

    /// `bytes` of new randomness that replace the present value. Valid only in an operation. Keys of the release's Secret
    /// that the operation does not list stay.
    pub fn rotated(self, key: impl Into<String>, bytes: u32, encoding: Encoding) -> Self {
        self.entry(key, SecretSource::Rotated(RandomText { bytes, encoding }))
    }

    /// A key of another Secret. Every apply copies again. Needs [`Permission::CopySecret`](crate::Permission).
    pub fn copy(self, key: impl Into<String>, from: SecretKey) -> Self {
        self.entry(key, SecretSource::Copy(from))
    }

    /// An output of another step of the plan.
    pub fn output(self, key: impl Into<String>, step: impl Into<String>, output: impl Into<String>) -> Self {
        self.entry(key, SecretSource::Output(OutputRef { step: step.into(), output: output.into() }))
    }

    /// Text with placeholders for other entries of this Secret: `${key}` is the value, `${key:json}` the value as a JSON
    /// string, which is also YAML. `$$` is a dollar sign.
    pub fn template(self, key: impl Into<String>, text: impl Into<String>) -> Self {
        self.entry(key, SecretSource::Template(text.into()))
    }

    /// Text that is not secret, such as a user name.
    pub fn plain(self, key: impl Into<String>, text: impl Into<String>) -> Self {
        self.entry(key, SecretSource::Plain(text.into()))
    }

    /// The Secret outlives an uninstall, because retained data cannot be read without it.
    pub fn retain(mut self) -> Self {
        self.on_uninstall = OnUninstall::Retain;
        self
    }

    /// The name by which checks refer to the Secret.
    pub fn reference(&self) -> ObjectRef {
        self.target.clone()
    }

    fn entry(mut self, key: impl Into<String>, source: SecretSource) -> Self {
        let entry = SecretEntry { key: key.into(), source };
        match &mut self.content {
            SecretContent::Entries(entries) => entries.push(entry),
            SecretContent::Mirror(_) => self.content = SecretContent::Entries(vec![entry]),
        }
        self
    }
}

impl From<Secret> for Step {
    fn from(secret: Secret) -> Self {
        Self::Secret(SecretStep {
            name: secret.target.name.clone(),
            target: secret.target,
            secret_type: secret.secret_type,
            labels: secret.labels,
            content: secret.content,
            on_uninstall: secret.on_uninstall,
        })
    }
}

impl From<&Secret> for ObjectRef {
    fn from(secret: &Secret) -> Self {
        secret.reference()
    }
}
