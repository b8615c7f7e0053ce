//! A manifest as it is sent: without what the server sets, with the release's namespace and label.

use crate::release::applyset::PART_OF;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The manifest as it is sent to the server.
pub(crate) fn normalize(manifest: &Value, namespace: Option<&str>, applyset: &str) -> Value {
    let mut object = manifest.clone();
    drop_nulls(&mut object);
    let is_secret = object["kind"] == "Secret" && object["apiVersion"] == "v1";
    if let Value::Object(map) = &mut object {
        map.remove("status");
        if is_secret {
            encode_string_data(map);
        }
        let metadata = map.entry("metadata").or_insert_with(|| json!({}));
        if let Value::Object(metadata) = metadata {
            for field in
                ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"]
            {
                metadata.remove(field);
            }
            match namespace {
                Some(namespace) => metadata.insert("namespace".into(), json!(namespace)),
                None => metadata.remove("namespace"),
            };
            let labels = metadata.entry("labels").or_insert_with(|| json!({}));
            if let Value::Object(labels) = labels {
                labels.insert(PART_OF.into(), json!(applyset));
            }
        }
    }
    object
}

/// A manager that applies `stringData` owns that field and not `data`: a key that is removed later would stay, and another
/// manager's change of it would not be a conflict.
fn encode_string_data(map: &mut Map<String, Value>) {
    let Some(Value::Object(texts)) = map.remove("stringData") else { return };
    let data = map.entry("data").or_insert_with(|| json!({}));
    if let Value::Object(data) = data {
        for (key, value) in texts {
            if let Value::String(text) = value {
                data.insert(key, json!(STANDARD.encode(text)));
            }
        }
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, child| !child.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_fields_are_dropped_and_release_fields_added() {
        let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": {"x": 1}, "metadata": {"name": "d",
            "creationTimestamp": null, "uid": "u", "resourceVersion": "1", "managedFields": []},
            "spec": {"replicas": null, "list": [{"a": null, "b": 1}]}});
        let expected = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "n", "labels": {"applyset.kubernetes.io/part-of": "applyset-x-v1"}},
            "spec": {"list": [{"b": 1}]}});
        assert_eq!(normalize(&manifest, Some("n"), "applyset-x-v1"), expected);
    }

    #[test]
    fn string_data_becomes_data() {
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"a": "YQ=="}, "stringData": {"b": "b"}});
        let normal = normalize(&manifest, Some("n"), "i");
        assert_eq!(normal["data"], json!({"a": "YQ==", "b": "Yg=="}));
        assert_eq!(normal.get("stringData"), None);
    }
}
