//! A Kubernetes object that the host applies as the plugin wrote it.

use crate::object::ObjectRef;
use crate::plan::rules::{StepFault, reserved_key_fault};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A Kubernetes object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectStep {
    /// The manifest as the plugin wrote it.
    pub manifest: Value,
    /// How the host changes the object.
    pub on_change: OnChange,
    /// What an uninstall does with the object.
    pub on_uninstall: OnUninstall,
    /// The fields that the host fills in from outputs of other steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<Binding>,
}

/// How the host changes an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnChange {
    /// By server-side apply.
    Update,
    /// By deleting and creating it.
    Recreate,
    /// Not at all: the host creates the object if it is absent. Records from before 2026-11-27 call it `keep`.
    #[serde(alias = "keep")]
    CreateOnly,
}

/// What an uninstall does with the result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnUninstall {
    /// It is deleted.
    Delete,
    /// It is retained unless the operator asks for its deletion.
    Retain,
}

/// A field of a manifest that the host fills in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Binding {
    /// JSON Pointer to an existing field of the manifest.
    pub pointer: String,
    /// The output whose value the field gets.
    pub source: OutputRef,
}

/// An output of another step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputRef {
    /// The step's name.
    pub step: String,
    /// The output's name.
    pub output: String,
}

impl ObjectStep {
    /// Every rule that the manifest breaks.
    pub(super) fn rule_faults(&self) -> Vec<StepFault> {
        let manifest = &self.manifest;
        let Some(object) = ObjectRef::of(manifest) else {
            let missing = ["/apiVersion", "/kind", "/metadata/name"]
                .into_iter()
                .find(|pointer| manifest.pointer(pointer).and_then(Value::as_str).is_none())
                .unwrap_or_default();
            return vec![StepFault::at(missing, "every object needs this field, as text")];
        };
        let mut faults = Vec::new();
        if object.kind == "Secret" && object.api_version == "v1" {
            let values =
                ["/data", "/stringData"].into_iter().filter(|field| manifest.pointer(field).is_some());
            let message = "a plan must not hold the values of a Secret; use a secret step";
            faults.extend(values.map(|field| StepFault::at(field, message)));
        }
        let set_by_server =
            ["/status", "/metadata/managedFields", "/metadata/uid", "/metadata/resourceVersion"]
                .into_iter()
                .filter(|field| manifest.pointer(field).is_some_and(|value| !value.is_null()));
        faults.extend(
            set_by_server.map(|field| StepFault::at(field, "the server sets this field; leave it out")),
        );
        if manifest.pointer("/metadata/generateName").is_some() {
            faults.push(StepFault::at("/metadata/generateName", "a planned object needs a fixed name"));
        }
        for field in ["/metadata/labels", "/metadata/annotations"] {
            let keys =
                manifest.pointer(field).and_then(Value::as_object).into_iter().flat_map(|map| map.keys());
            faults.extend(keys.filter_map(|key| reserved_key_fault(field, key)));
        }
        faults
    }
}
