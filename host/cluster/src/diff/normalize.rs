use crate::release::applyset::PART_OF;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// What is sent to the server for a manifest: without what the server sets, with the namespace and the label of the
/// release.
pub(crate) fn normalise(manifest: &Value, namespace: Option<&str>, applyset: &str) -> Value {
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

/// Whoever applies `stringData` holds that field and not `data`: a key that is left out later would stay, and
/// another manager's change of it would be no conflict.
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

/// The annotation of a ConfigMap that holds secrets. Only the host can give it: no plan may.
pub(crate) const CONFIDENTIAL: &str = "thinkube.org/confidential";

/// Whether the values of an object are nobody's to see by way of this host.
pub(crate) fn is_confidential(object: &Value) -> bool {
    object["apiVersion"] == "v1"
        && (object["kind"] == "Secret"
            || object["kind"] == "ConfigMap" && object["metadata"]["annotations"][CONFIDENTIAL] == "true")
}

/// An object as facts, checks and diffs may show it.
pub(crate) fn redacted(object: Value) -> Value {
    if !is_confidential(&object) {
        let mut object = object;
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
    let mut seen = json!({"apiVersion": "v1", "kind": object["kind"], "metadata": metadata, "keys": keys});
    if let Some(secret_type) = object.get("type") {
        seen["type"] = secret_type.clone();
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_sets_goes_and_what_the_release_needs_comes() {
        let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": {"x": 1}, "metadata": {"name": "d",
            "creationTimestamp": null, "uid": "u", "resourceVersion": "1", "managedFields": []},
            "spec": {"replicas": null, "list": [{"a": null, "b": 1}]}});
        let expected = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "n", "labels": {"applyset.kubernetes.io/part-of": "applyset-x-v1"}},
            "spec": {"list": [{"b": 1}]}});
        assert_eq!(normalise(&manifest, Some("n"), "applyset-x-v1"), expected);
    }

    #[test]
    fn string_data_becomes_data() {
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"a": "YQ=="}, "stringData": {"b": "b"}});
        let normal = normalise(&manifest, Some("n"), "i");
        assert_eq!(normal["data"], json!({"a": "YQ==", "b": "Yg=="}));
        assert_eq!(normal.get("stringData"), None);
    }

    #[test]
    fn a_secret_is_seen_without_its_values_and_annotations() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n", "uid": "u",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}, "labels": {"a": "b"}},
            "type": "Opaque", "data": {"password": "aHVudGVyMg=="}});
        let seen = redacted(secret);
        assert_eq!(
            seen,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n",
                "labels": {"a": "b"}}, "type": "Opaque", "keys": ["password"]})
        );
    }

    #[test]
    fn so_is_a_config_map_that_the_host_wrote_secrets_into_and_no_other() {
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
