use super::secret_ref;
use crate::{Object, ObjectRef, Secret, Stage};
use serde_json::json;

/// A release's own namespace, with mirrors in it of Secrets that the platform keeps elsewhere. Each mirror needs
/// [`Permission::CopySecret`](crate::Permission) for its source.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: String,
    mirrors: Vec<Secret>,
}

impl Namespace {
    /// A namespace without Secrets.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), mirrors: Vec::new() }
    }

    /// The certificate in the TLS Secret `source`, NAMESPACE/NAME, as a Secret of this name. It follows a renewal.
    pub fn certificate(self, name: impl Into<String>, source: &str) -> Self {
        self.mirror(name, source, "kubernetes.io/tls")
    }

    /// The credentials for a registry in the Secret `source`, NAMESPACE/NAME, as a Secret of this name.
    pub fn pull_secret(self, name: impl Into<String>, source: &str) -> Self {
        self.mirror(name, source, "kubernetes.io/dockerconfigjson")
    }

    /// Any other Secret.
    pub fn mirror(mut self, name: impl Into<String>, source: &str, secret_type: &str) -> Self {
        let mirror = Secret::mirror(&self.name, name, secret_ref(source)).of_type(secret_type);
        self.mirrors.push(mirror);
        self
    }

    /// What checks name it by.
    pub fn reference(&self) -> ObjectRef {
        self.object().reference()
    }

    /// The stage that makes it, called `namespace`.
    pub fn stage(self) -> Stage {
        let stage = Stage::new("namespace").object(self.object());
        self.mirrors.into_iter().fold(stage, Stage::secret)
    }

    fn object(&self) -> Object {
        Object::of(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}}))
    }
}
