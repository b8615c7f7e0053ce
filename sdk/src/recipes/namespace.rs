//! The namespace of a release, with copies of the platform's Secrets.

use super::secret_ref;
use crate::contract::{ObjectRef, Stage};
use crate::object::Object;
use crate::secret::Secret;
use serde_json::json;

/// The namespace of a release, with mirrors of Secrets from the platform's namespaces. Each mirror needs
/// [`Permission::CopySecret`](crate::Permission) for its source.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: String,
    mirrors: Vec<Secret>,
}

impl Namespace {
    /// A namespace without mirrors.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), mirrors: Vec::new() }
    }

    /// Mirrors the TLS Secret `source`, NAMESPACE/NAME. Every apply copies a renewed certificate.
    pub fn certificate(self, name: impl Into<String>, source: &str) -> Self {
        self.mirror(name, source, "kubernetes.io/tls")
    }

    /// Mirrors the registry credentials in the Secret `source`, NAMESPACE/NAME.
    pub fn pull_secret(self, name: impl Into<String>, source: &str) -> Self {
        self.mirror(name, source, "kubernetes.io/dockerconfigjson")
    }

    /// Mirrors the Secret `source`, NAMESPACE/NAME, of any type.
    pub fn mirror(mut self, name: impl Into<String>, source: &str, secret_type: &str) -> Self {
        let mirror = Secret::mirror(&self.name, name, secret_ref(source)).of_type(secret_type);
        self.mirrors.push(mirror);
        self
    }

    /// The name by which checks refer to the namespace.
    pub fn reference(&self) -> ObjectRef {
        self.object().reference()
    }

    /// The stage `namespace`, with the Namespace and the mirrors.
    pub fn stage(self) -> Stage {
        let stage = Stage::new("namespace").object(self.object());
        self.mirrors.into_iter().fold(stage, Stage::secret)
    }

    fn object(&self) -> Object {
        Object::of(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}}))
    }
}
