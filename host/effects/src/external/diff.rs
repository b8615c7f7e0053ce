//! Compares an external resource with the fields that a plan desires.
//!
//! Fields that only the server has are no difference. A value that may be secret is not shown.

use serde_json::{Map, Value};
use std::collections::HashMap;
use thinkube_plan::{FieldChange, FieldEdit, diff};

/// The fields of `desired` that differ in `found`. Further fields of `found` are ignored.
pub(crate) fn differences(desired: &Value, found: &Value) -> Vec<FieldChange> {
    let mut changes = diff(&comparable(desired, found), desired);
    for change in &mut changes {
        let secret = is_secret(&change.path);
        if let FieldEdit::Remove { before } | FieldEdit::Replace { before, .. } = &mut change.change {
            hide(before, secret);
        }
    }
    changes
}

/// `found` with the fields of `desired` only, and with the values of `desired` where both are equivalent.
fn comparable(desired: &Value, found: &Value) -> Value {
    match (desired, found) {
        (Value::Object(desired), Value::Object(found)) => {
            let field = |(key, desired): (&String, &Value)| match found.get(key) {
                Some(found) => Some((key.clone(), comparable(desired, found))),
                // Servers omit fields that are not set.
                None => desired.is_null().then(|| (key.clone(), Value::Null)),
            };
            Value::Object(desired.iter().filter_map(field).collect::<Map<_, _>>())
        }
        (Value::Array(wanted), Value::Array(items)) => {
            if wanted.iter().chain(items).all(|item| !item.is_object() && !item.is_array()) {
                return if are_same_items(wanted, items) { desired.clone() } else { found.clone() };
            }
            let named = by_name(wanted).filter(|_| by_name(items).is_some());
            let counterpart = |at: usize, item: &Value| match &named {
                Some(named) => named.get(item["name"].as_str().unwrap_or_default()).copied(),
                None => wanted.get(at),
            };
            let item = |(at, item): (usize, &Value)| match counterpart(at, item) {
                Some(wanted) => comparable(wanted, item),
                None => item.clone(),
            };
            items.iter().enumerate().map(item).collect()
        }
        _ if is_same(desired, found) => desired.clone(),
        _ => found.clone(),
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    one == other
        || matches!((one, other), (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64())
}

fn are_same_items(wanted: &[Value], items: &[Value]) -> bool {
    let mut left: Vec<&Value> = items.iter().collect();
    wanted.len() == items.len()
        && wanted.iter().all(|wanted| {
            let at = left.iter().position(|item| is_same(wanted, item));
            at.is_some_and(|at| {
                left.swap_remove(at);
                true
            })
        })
}

/// The items by name, if every item has a name of its own, as in [`diff`].
fn by_name(list: &[Value]) -> Option<HashMap<&str, &Value>> {
    let named: Option<HashMap<&str, &Value>> =
        list.iter().map(|item| Some((item.get("name")?.as_str()?, item))).collect();
    named.filter(|named| named.len() == list.len())
}

/// A field whose name contains one of these may be secret: its value is not shown.
const SECRET_NAMES: [&str; 7] =
    ["secret", "password", "passwd", "token", "credential", "privatekey", "apikey"];

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_', '.'], "");
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

fn hide(value: &mut Value, secret: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, secret)),
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(key, value)| hide(value, secret || is_secret(key)));
        }
        Value::Null | Value::Bool(_) => {}
        Value::Number(_) | Value::String(_) if secret => *value = "(not shown)".into(),
        Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(desired: Value, found: Value) -> Vec<String> {
        differences(&desired, &found).into_iter().map(|change| change.path).collect()
    }

    #[test]
    fn fields_that_the_server_adds_are_no_difference() {
        let desired = json!({"clientId": "a", "enabled": true, "baseUrl": null,
            "attributes": {"post.logout.redirect.uris": "+"}, "defaultMaxAge": 1});
        let found = json!({"id": "0-1", "clientId": "a", "enabled": true, "defaultMaxAge": 1.0,
            "attributes": {"post.logout.redirect.uris": "+", "realm_client": "false"}});
        assert_eq!(paths(desired, found), Vec::<String>::new());
    }

    #[test]
    fn each_field_that_differs_is_named() {
        let desired = json!({"enabled": true, "attributes": {"a.b": "+"}, "new": 1, "empty": null});
        let found = json!({"enabled": false, "attributes": {}, "empty": "x"});
        assert_eq!(paths(desired, found), [r#"attributes["a.b"]"#, "empty", "enabled", "new"]);
    }

    #[test]
    fn a_list_of_plain_values_is_an_unordered_multiset() {
        let uris = |list: Value| json!({"redirectUris": list});
        assert_eq!(paths(uris(json!(["a", "b"])), uris(json!(["b", "a"]))), Vec::<String>::new());
        assert_eq!(paths(uris(json!(["a"])), uris(json!(["a", "b"]))), ["redirectUris[1]"]);
        assert_eq!(paths(uris(json!(["a", "a"])), uris(json!(["a", "b"]))), ["redirectUris[1]"]);
        assert_eq!(paths(uris(json!(["a"])), uris(json!([]))), ["redirectUris[0]"]);
    }

    #[test]
    fn objects_are_compared_by_name_or_else_by_position() {
        let desired = json!([{"name": "a", "on": true}, {"name": "b"}]);
        let found = json!([{"name": "b", "id": 2}, {"name": "a", "on": true, "id": 1}]);
        assert_eq!(paths(desired.clone(), found), Vec::<String>::new());
        assert_eq!(
            paths(desired, json!([{"name": "c"}, {"name": "a", "on": false}])),
            ["[a].on", "[b]", "[c]"]
        );
        assert_eq!(paths(json!([{"x": 1}]), json!([{"x": 1, "y": 2}, {"x": 2}])), ["[1]"]);
    }

    #[test]
    fn a_field_with_the_name_of_a_secret_is_not_shown() {
        let desired = json!({"secret": "wanted", "keys": [], "api_key": 1, "name": "a"});
        let found = json!({"secret": "token-5a", "keys": [{"privateKey": {"pem": "token-5a"}, "id": 7}],
            "api_key": 7, "name": "b"});
        let shown = serde_json::to_string(&differences(&desired, &found)).unwrap();
        assert!(!shown.contains("token-5a") && shown.matches("(not shown)").count() == 3, "{shown}");
        assert!(shown.contains(r#""before":"b""#) && shown.contains(r#""id":7"#), "{shown}");
    }
}
