use crate::bindings::plugin::thinkube::plugin::plan::{
    OutputRef, SecretContent, SecretEntry, SecretSource, SecretStep,
};
use crate::{Encoding, ObjectRef, OnUninstall, RandomText, SecretKey, Step, TypeMeta};

/// A Secret that the host composes. The plugin says where each value comes from and sees none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    target: ObjectRef,
    secret_type: String,
    labels: Vec<(String, String)>,
    content: SecretContent,
    on_uninstall: OnUninstall,
}

impl Secret {
    /// A Secret of type Opaque without entries. It is deleted on uninstall.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            target: TypeMeta::new("v1", "Secret").namespaced(namespace, name),
            secret_type: "Opaque".to_owned(),
            labels: Vec::new(),
            content: SecretContent::Entries(Vec::new()),
            on_uninstall: OnUninstall::Delete,
        }
    }

    /// Every key of another Secret, followed when it changes. Say its type with [`of_type`](Self::of_type): it must be of
    /// that type. An entry that is added makes this no mirror any more. Needs
    /// [`Permission::CopySecret`](crate::Permission).
    pub fn mirror(namespace: impl Into<String>, name: impl Into<String>, of: ObjectRef) -> Self {
        Self { content: SecretContent::Mirror(of), ..Self::new(namespace, name) }
    }

    /// A ConfigMap that holds secrets in clear, for consumers that read no Secret. Whoever may read ConfigMaps there then
    /// knows them, so let a setting ask for it. Needs [`Permission::Disclose`](crate::Permission).
    pub fn disclosed(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let target = TypeMeta::new("v1", "ConfigMap").namespaced(namespace, name);
        Self { target, secret_type: String::new(), ..Self::new("", "") }
    }

    /// A label.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// Another type, for example `kubernetes.io/basic-auth`.
    pub fn of_type(mut self, secret_type: impl Into<String>) -> Self {
        self.secret_type = secret_type.into();
        self
    }

    /// A secret input that the descriptor states.
    pub fn input(self, key: impl Into<String>, input: impl Into<String>) -> Self {
        self.entry(key, SecretSource::Input(input.into()))
    }

    /// So many bytes of randomness, made once and kept for ever.
    pub fn random(self, key: impl Into<String>, bytes: u32, encoding: Encoding) -> Self {
        self.entry(key, SecretSource::Random(RandomText { bytes, encoding }))
    }

    /// Only in an operation: so many bytes of randomness, made anew in place of those that are there. The keys of the
    /// release's Secret that the operation does not name stay.
    pub fn rotated(self, key: impl Into<String>, bytes: u32, encoding: Encoding) -> Self {
        self.entry(key, SecretSource::Rotated(RandomText { bytes, encoding }))
    }

    /// A key of another Secret, followed when it changes. Needs [`Permission::CopySecret`](crate::Permission).
    pub fn copy(self, key: impl Into<String>, from: SecretKey) -> Self {
        self.entry(key, SecretSource::Copy(from))
    }

    /// What another step of the plan yields.
    pub fn output(self, key: impl Into<String>, step: impl Into<String>, output: impl Into<String>) -> Self {
        self.entry(key, SecretSource::Output(OutputRef { step: step.into(), output: output.into() }))
    }

    /// Text with `${key}` for the values of other entries of this Secret, `${key:json}` for them as JSON strings, which are
    /// YAML too; `$$` is a dollar sign.
    pub fn template(self, key: impl Into<String>, text: impl Into<String>) -> Self {
        self.entry(key, SecretSource::Template(text.into()))
    }

    /// Text that is no secret and belongs next to one, such as a user name.
    pub fn plain(self, key: impl Into<String>, text: impl Into<String>) -> Self {
        self.entry(key, SecretSource::Plain(text.into()))
    }

    /// Outlives an uninstall, because data that outlives it is locked with it.
    pub fn retain(mut self) -> Self {
        self.on_uninstall = OnUninstall::Retain;
        self
    }

    /// What checks name it by.
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
