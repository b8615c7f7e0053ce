//! The fields in which two JSON documents differ.

use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// The path of the field, for people: `spec.containers[devpi].image`.
    pub path: String,
    /// What happens to the field.
    #[serde(flatten)]
    pub change: FieldEdit,
}

/// What happens to a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "change")]
pub enum FieldEdit {
    /// The field is added.
    Add {
        /// The new value.
        after: Value,
    },
    /// The field is removed.
    Remove {
        /// The old value.
        before: Value,
    },
    /// The value is replaced.
    Replace {
        /// The old value.
        before: Value,
        /// The new value.
        after: Value,
    },
}

/// The fields in which `after` differs from `before`, in the order of their paths.
///
/// A list whose elements all have a unique string `name` is compared by name, as Kubernetes merges most of its lists. Any
/// other list is compared by position.
///
/// ```
/// use serde_json::json;
/// let changes = thinkube_plan::diff(&json!({"spec": {"replicas": 1}}), &json!({"spec": {"replicas": 2}}));
/// assert_eq!(changes[0].path, "spec.replicas");
/// ```
pub fn diff(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    walk(String::new(), Some(before), Some(after), &mut changes);
    changes
}

fn walk(path: String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            walk_object(&path, before, after, changes)
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => walk_list(&path, before, after, changes),
        (None, Some(after)) => {
            changes.push(FieldChange { path, change: FieldEdit::Add { after: after.clone() } })
        }
        (Some(before), None) => {
            changes.push(FieldChange { path, change: FieldEdit::Remove { before: before.clone() } })
        }
        (Some(before), Some(after)) => {
            let change = FieldEdit::Replace { before: before.clone(), after: after.clone() };
            changes.push(FieldChange { path, change });
        }
        (None, None) => {}
    }
}

fn walk_object(
    path: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    changes: &mut Vec<FieldChange>,
) {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let plain =
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let child = match (plain, path.is_empty()) {
            (true, true) => key.clone(),
            (true, false) => format!("{path}.{key}"),
            (false, _) => format!("{path}[{key:?}]"),
        };
        walk(child, before.get(key), after.get(key), changes);
    }
}

fn walk_list(path: &str, before: &[Value], after: &[Value], changes: &mut Vec<FieldChange>) {
    if let (Some(old), Some(new)) = (by_name(before), by_name(after)) {
        let names: std::collections::BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        for name in names {
            walk(format!("{path}[{name}]"), old.get(name).copied(), new.get(name).copied(), changes);
        }
        return;
    }
    for index in 0..before.len().max(after.len()) {
        walk(format!("{path}[{index}]"), before.get(index), after.get(index), changes);
    }
}

fn by_name(list: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let named: Option<BTreeMap<&str, &Value>> =
        list.iter().map(|item| Some((item.get("name")?.as_str()?, item))).collect();
    named.filter(|named| named.len() == list.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(before: Value, after: Value) -> Vec<String> {
        diff(&before, &after).into_iter().map(|change| change.path).collect()
    }

    #[test]
    fn equal_values_have_no_changes() {
        assert_eq!(
            paths(json!({"a": [1, {"b": null}]}), json!({"a": [1, {"b": null}]})),
            Vec::<String>::new()
        );
    }

    #[test]
    fn containers_are_compared_by_name_not_by_position() {
        let before = json!({"c": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]});
        let after = json!({"c": [{"name": "b", "image": "3"}, {"name": "a", "image": "1"}]});
        assert_eq!(paths(before, after), ["c[b].image"]);
    }

    #[test]
    fn a_list_with_a_name_twice_is_compared_by_position() {
        let before = json!([{"name": "a", "port": 1}, {"name": "a", "port": 2}]);
        let after = json!([{"name": "a", "port": 1}, {"name": "a", "port": 3}]);
        assert_eq!(paths(before, after), ["[1].port"]);
    }

    #[test]
    fn a_key_with_a_dot_is_quoted() {
        let (before, after) =
            (json!({"metadata": {"labels": {}}}), json!({"metadata": {"labels": {"a.b/c": "1"}}}));
        assert_eq!(paths(before, after), [r#"metadata.labels["a.b/c"]"#]);
    }

    #[test]
    fn additions_removals_and_replacements_are_distinguished() {
        let changes = diff(&json!({"a": 1, "b": 2}), &json!({"b": "2", "c": null}));
        assert_eq!(changes[0].change, FieldEdit::Remove { before: json!(1) });
        assert_eq!(changes[1].change, FieldEdit::Replace { before: json!(2), after: json!("2") });
        assert_eq!(changes[2].change, FieldEdit::Add { after: Value::Null });
    }
}
