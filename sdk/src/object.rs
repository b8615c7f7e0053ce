use crate::bindings::plugin::thinkube::plugin::plan::{Binding, ObjectStep, OutputRef};
use crate::{ObjectRef, OnChange, OnUninstall, Selection, Step, TypeMeta};
use k8s_openapi::Resource;
use serde::Serialize;
use serde_json::Value;

/// A Kubernetes object that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    reference: ObjectRef,
    step: ObjectStep,
}

impl Object {
    /// Takes a k8s-openapi type, the result of `json!`, or anything else that serialises to a whole manifest.
    /// When it changes it is updated by server-side apply, and it is deleted on uninstall.
    ///
    /// # Panics
    /// If it is no manifest: without apiVersion, kind or metadata.name. That is a mistake of the plugin's author which
    /// its first test finds, and no operator's input can cause it.
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

    /// Outlives an uninstall, because it holds data.
    pub fn retain(mut self) -> Self {
        self.step.on_uninstall = OnUninstall::Retain;
        self
    }

    /// Is created when it is not there, and never touched again.
    pub fn keep(mut self) -> Self {
        self.step.on_change = OnChange::CreateOnly;
        self
    }

    /// Is deleted and created anew when it changes, because a field of it cannot be changed in place.
    pub fn recreate(mut self) -> Self {
        self.step.on_change = OnChange::Recreate;
        self
    }

    /// A place of the manifest that the host fills in when another step has yielded the text. `pointer` is a JSON Pointer
    /// (RFC 6901) to a value that is there, and that only holds the place.
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

    /// What checks and queries name it by.
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

    /// The object of this kind with this name in `namespace`.
    pub fn namespaced(self, namespace: impl Into<String>, name: impl Into<String>) -> ObjectRef {
        ObjectRef {
            api_version: self.api_version,
            kind: self.kind,
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }

    /// The object of this cluster-scoped kind with this name.
    pub fn cluster_wide(self, name: impl Into<String>) -> ObjectRef {
        ObjectRef { api_version: self.api_version, kind: self.kind, namespace: None, name: name.into() }
    }

    /// All objects of this kind, in all namespaces.
    pub fn all(self) -> Selection {
        Selection {
            api_version: self.api_version,
            kind: self.kind,
            namespace: None,
            label_selector: String::new(),
        }
    }
}
