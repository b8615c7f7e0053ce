//! Kubernetes objects as steps of a plan, and the names by which checks and queries refer to them.

use crate::bindings::plugin::thinkube::plugin::plan::{Binding, ObjectStep, OutputRef};
use crate::contract::{ObjectRef, OnChange, OnUninstall, Selection, Step, TypeMeta};
use k8s_openapi::Resource;
use serde::Serialize;
use serde_json::Value;

/// A desired Kubernetes object.
///
/// ```
/// use thinkube_sdk::serde_json::json;
/// use thinkube_sdk::{Object, Stage};
///
/// let data = Object::of(&json!({
///     "apiVersion": "v1", "kind": "PersistentVolumeClaim",
///     "metadata": {"name": "data", "namespace": "demo"},
///     "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
/// }))
/// .retain();
/// assert_eq!(data.reference().name, "data");
/// let stage = Stage::new("storage").object(data);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    reference: ObjectRef,
    step: ObjectStep,
}

impl Object {
    /// Takes a k8s-openapi type, the result of `json!`, or any other value that serialises to a whole manifest. By default
    /// the host updates the object by server-side apply and deletes it at uninstall.
    ///
    /// # Panics
    /// If the manifest lacks `apiVersion`, `kind` or `metadata.name`. Only the plugin's author can cause this, and the
    /// first test finds it.
    pub fn of(object: &impl Serialize) -> Self {
        let manifest = serde_json::to_value(object).expect("a manifest serialises to JSON");
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let required = |pointer: &str| text(pointer).unwrap_or_else(|| panic!("a manifest has no {pointer}"));
        let reference = ObjectRef {
            api_version: required("/apiVersion"),
            kind: required("/kind"),
            namespace: text("/metadata/namespace"),
            name: required("/metadata/name"),
        };
        let step = ObjectStep {
            manifest: manifest.to_string(),
            on_change: OnChange::Update,
            on_uninstall: OnUninstall::Delete,
            bindings: Vec::new(),
        };
        Self { reference, step }
    }

    /// The object outlives an uninstall, because it holds data.
    pub fn retain(mut self) -> Self {
        self.step.on_uninstall = OnUninstall::Retain;
        self
    }

    /// The host creates the object if it is absent, and never changes it.
    pub fn create_only(mut self) -> Self {
        self.step.on_change = OnChange::CreateOnly;
        self
    }

    /// The host deletes and creates the object to change it, because one of its fields is immutable.
    pub fn recreate(mut self) -> Self {
        self.step.on_change = OnChange::Recreate;
        self
    }

    /// Replaces a value of the manifest with an output of another step. `pointer` is a JSON Pointer (RFC 6901) to an
    /// existing value.
    pub fn bind(
        mut self,
        pointer: impl Into<String>,
        step: impl Into<String>,
        output: impl Into<String>,
    ) -> Self {
        let source = OutputRef { step: step.into(), output: output.into() };
        self.step.bindings.push(Binding { pointer: pointer.into(), source });
        self
    }

    /// The name by which checks and queries refer to the object.
    pub fn reference(&self) -> ObjectRef {
        self.reference.clone()
    }
}

impl From<Object> for Step {
    fn from(object: Object) -> Self {
        Self::Object(object.step)
    }
}

impl From<&Object> for ObjectRef {
    fn from(object: &Object) -> Self {
        object.reference()
    }
}

impl TypeMeta {
    /// The kind of a k8s-openapi type.
    pub fn of<T: Resource>() -> Self {
        Self::new(T::API_VERSION, T::KIND)
    }

    /// A kind by its names, for example of a custom resource.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { api_version: api_version.into(), kind: kind.into() }
    }

    /// Names an object of this kind in `namespace`.
    pub fn namespaced(self, namespace: impl Into<String>, name: impl Into<String>) -> ObjectRef {
        ObjectRef {
            api_version: self.api_version,
            kind: self.kind,
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }

    /// Names an object of this cluster-scoped kind.
    pub fn cluster_scoped(self, name: impl Into<String>) -> ObjectRef {
        ObjectRef { api_version: self.api_version, kind: self.kind, namespace: None, name: name.into() }
    }

    /// Selects all objects of this kind, in all namespaces.
    pub fn all(self) -> Selection {
        Selection {
            api_version: self.api_version,
            kind: self.kind,
            namespace: None,
            label_selector: String::new(),
        }
    }
}
