//! The fields of a live object that this host manages: `metadata.managedFields` (FieldsV1) applied to the object.

use crate::api::confidential::is_confidential;
use crate::api::request::MANAGER;
use crate::api::resource::array;
use crate::release::record::Fingerprint;
use serde_json::{Map, Value, json};
use thinkube_plan::{Digest, canonical_bytes};

/// The part of `object` that this host manages. An empty object if it manages nothing.
pub(crate) fn managed(object: &Value) -> Value {
    let mut merged = Value::Object(Map::new());
    for entry in array(&object["metadata"]["managedFields"]) {
        let ours = entry["manager"] == MANAGER
            && entry["operation"] == "Apply"
            && entry["subresource"].as_str().unwrap_or_default().is_empty();
        if ours && let Value::Object(fields) = &entry["fieldsV1"] {
            merge(&mut merged, project(object, fields));
        }
    }
    merged
}

/// The fingerprint of an applied object. None for a confidential one: a hash lets a reader test guesses of its values.
pub(crate) fn fingerprint(desired: &Value, live: &Value) -> Option<Fingerprint> {
    if is_confidential(desired) || is_confidential(live) {
        return None;
    }
    Some(Fingerprint { desired: hash(desired), live: hash(&managed(live)) })
}

pub(crate) fn hash(value: &Value) -> String {
    Digest::of(&canonical_bytes(value)).hex()[..32].to_owned()
}

fn project(value: &Value, fields: &Map<String, Value>) -> Value {
    match value {
        Value::Object(map) => {
            let mut managed = Map::new();
            for (path, below) in fields {
                let Some(name) = path.strip_prefix("f:") else { continue };
                if let (Some(child), Value::Object(below)) = (map.get(name), below) {
                    managed.insert(name.to_owned(), leaf_or(child, below));
                }
            }
            Value::Object(managed)
        }
        Value::Array(list) => {
            let mut managed = Vec::new();
            // In the order of the paths, because items of other managers may move ours in the list.
            for (path, below) in fields {
                let Value::Object(below) = below else { continue };
                if let Some(item) = find(list, path) {
                    managed.push(leaf_or(item, below));
                }
            }
            Value::Array(managed)
        }
        other => other.clone(),
    }
}

/// An empty set of fields means the whole value: a scalar, or an atomic list or map.
fn leaf_or(value: &Value, below: &Map<String, Value>) -> Value {
    if below.is_empty() { value.clone() } else { project(value, below) }
}

fn find<'a>(list: &'a [Value], path: &str) -> Option<&'a Value> {
    let (kind, selector) = path.split_once(':')?;
    match kind {
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(selector).ok()?;
            list.iter().find(|item| keys.iter().all(|(key, value)| item.get(key) == Some(value)))
        }
        "v" => {
            let wanted: Value = serde_json::from_str(selector).ok()?;
            list.iter().find(|item| **item == wanted)
        }
        "i" => list.get(selector.parse::<usize>().ok()?),
        _ => None,
    }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => {
            for item in from {
                if !into.contains(&item) {
                    into.push(item);
                }
            }
        }
        (into, from) => *into = from,
    }
}

/// Whether the fields that this host manages of a live Secret are exactly the desired ones.
pub(crate) fn secret_is(desired: &Value, live: &Value) -> bool {
    let mut desired = desired.clone();
    if let Value::Object(map) = &mut desired {
        map.remove("apiVersion");
        map.remove("kind");
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            metadata.remove("name");
            metadata.remove("namespace");
        }
        if map.get("data") == Some(&json!({})) {
            map.remove("data");
        }
    }
    managed(live) == desired
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(fields: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "1", "b": "2"},
                "finalizers": ["x/y", "z/w"],
                "managedFields": [
                    {"manager": "thinkube-host", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields},
                    {"manager": "thinkube-host", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
                    {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "d"}}, "template": {"spec": {"containers": [
                {"name": "side", "image": "s"},
                {"name": "main", "image": "m", "ports": [{"containerPort": 80, "protocol": "TCP"}], "args": ["a", "b"]}]}}},
            "status": {"replicas": 3}})
    }

    #[test]
    fn only_fields_that_this_host_applies_are_managed() {
        let fields = json!({"f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {".": {}, "v:\"z/w\"": {}}},
            "f:spec": {"f:selector": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {".": {},
                "f:name": {}, "f:image": {}, "f:args": {}, "f:ports": {
                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}});
        let expected = json!({"metadata": {"labels": {"a": "1"}, "finalizers": ["z/w"]},
            "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": {"spec": {"containers": [
                {"name": "main", "image": "m", "args": ["a", "b"], "ports": [{"containerPort": 80}]}]}}}});
        assert_eq!(managed(&live(fields)), expected);
    }

    #[test]
    fn a_changed_or_lost_field_changes_the_fingerprint() {
        let fields = json!({"f:spec": {"f:replicas": {}}});
        let before = live(fields.clone());
        let desired = json!({"spec": {"replicas": 3}});
        let print = fingerprint(&desired, &before).unwrap();
        assert_eq!(fingerprint(&desired, &before).unwrap(), print);
        let mut status = before.clone();
        status["status"]["replicas"] = json!(9);
        status["metadata"]["resourceVersion"] = json!("77");
        assert_eq!(fingerprint(&desired, &status).unwrap(), print);
        let mut changed = before.clone();
        changed["spec"]["replicas"] = json!(4);
        assert_ne!(fingerprint(&desired, &changed).unwrap(), print);
        assert_ne!(fingerprint(&desired, &live(json!({}))).unwrap(), print);
    }

    #[test]
    fn a_secret_has_no_fingerprint_and_is_compared_by_value() {
        let desired = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n", "labels": {"l": "1"}},
            "type": "Opaque", "data": {"a": "eA=="}});
        let fields =
            json!({"f:metadata": {"f:labels": {"f:l": {}}}, "f:type": {}, "f:data": {".": {}, "f:a": {}}});
        let live = |data: Value, fields: Value| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n", "labels": {"l": "1", "m": "2"},
                "managedFields": [{"manager": "thinkube-host", "operation": "Apply", "fieldsV1": fields}]},
                "type": "Opaque", "data": data})
        };
        assert!(secret_is(&desired, &live(json!({"a": "eA==", "others": "eQ=="}), fields.clone())));
        assert!(!secret_is(&desired, &live(json!({"a": "eQ=="}), fields.clone())));
        let mut more = fields.clone();
        more["f:data"]["f:old"] = json!({});
        assert!(!secret_is(&desired, &live(json!({"a": "eA==", "old": "eQ=="}), more)));
        assert!(fingerprint(&desired, &live(json!({"a": "eA=="}), fields)).is_none());
    }
}
