use crate::bindings::plugin::thinkube::plugin::plan::{SecretContent, SecretEntry, SecretSource, SecretStep};
use crate::{Encoding, Kind, ObjectRef, OnUninstall, RandomText, SecretKey, Step};

/// A Secret that the host composes. The plugin says where each value comes from and sees none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    target: ObjectRef,
    secret_type: String,
    entries: Vec<SecretEntry>,
    on_uninstall: OnUninstall,
}

impl Secret {
    /// A Secret of type Opaque without entries. It is deleted on uninstall.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            target: Kind::new("v1", "Secret").namespaced(namespace, name),
            secret_type: "Opaque".to_owned(),
            entries: Vec::new(),
            on_uninstall: OnUninstall::Delete,
        }
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

    /// A key of another Secret, followed when it changes. Needs [`Permission::CopySecret`](crate::Permission).
    pub fn copy(self, key: impl Into<String>, from: SecretKey) -> Self {
        self.entry(key, SecretSource::Copy(from))
    }

    /// Text with `${key}` for the values of other entries of this Secret; `$$` is a dollar sign.
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
        self.entries.push(SecretEntry { key: key.into(), source });
        self
    }
}

impl From<Secret> for Step {
    fn from(secret: Secret) -> Self {
        Self::Secret(SecretStep {
            name: secret.target.name.clone(),
            target: secret.target,
            secret_type: secret.secret_type,
            content: SecretContent::Entries(secret.entries),
            on_uninstall: secret.on_uninstall,
        })
    }
}

impl From<&Secret> for ObjectRef {
    fn from(secret: &Secret) -> Self {
        secret.reference()
    }
}
