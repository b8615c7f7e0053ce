//! Which objects hold secret values, and how they are shown without them.

use serde_json::{Map, Value, json};

/// The annotation of a ConfigMap that holds secret values. Only the host sets it; validation refuses it in a plan.
pub(crate) const CONFIDENTIAL: &str = "thinkube.org/confidential";

/// Whether an object holds secret values: a Secret, or a ConfigMap with [`CONFIDENTIAL`].
pub(crate) fn is_confidential(object: &Value) -> bool {
    object["apiVersion"] == "v1"
        && (object["kind"] == "Secret"
            || object["kind"] == "ConfigMap" && object["metadata"]["annotations"][CONFIDENTIAL] == "true")
}

/// An object as facts, checks and diffs may show it: a confidential one with the names of its keys only, any other without
/// `managedFields`.
pub(crate) fn redacted(mut object: Value) -> Value {
    if !is_confidential(&object) {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        return object;
    }
    let mut metadata = Map::new();
    for field in ["name", "namespace", "labels"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata.insert(field.into(), value.clone());
        }
    }
    let keys: Vec<&String> = object["data"].as_object().map(|data| data.keys().collect()).unwrap_or_default();
    let mut shown = json!({"apiVersion": "v1", "kind": object["kind"], "metadata": metadata, "keys": keys});
    if let Some(secret_type) = object.get("type") {
        shown["type"] = secret_type.clone();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_without_values_and_annotations() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n", "uid": "u",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}, "labels": {"a": "b"}},
            "type": "Opaque", "data": {"password": "aHVudGVyMg=="}});
        let shown = redacted(secret);
        assert_eq!(
            shown,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n",
                "labels": {"a": "b"}}, "type": "Opaque", "keys": ["password"]})
        );
    }

    #[test]
    fn a_confidential_config_map_is_shown_without_values() {
        let map = |annotations: Value| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"password": "hunter2"},
                "metadata": {"name": "c", "namespace": "n", "annotations": annotations}})
        };
        assert_eq!(
            redacted(map(json!({CONFIDENTIAL: "true"}))),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"},
                "keys": ["password"]})
        );
        for annotations in [Value::Null, json!({}), json!({"other": "true"})] {
            assert_eq!(redacted(map(annotations.clone())), map(annotations));
        }
    }
}
