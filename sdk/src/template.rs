//! JSON templates for manifests.

use serde_json::Value;

/// Parses JSON text and replaces its placeholders with fields of `values`. A string that is only `${name}` becomes the
/// value, of any type; within a longer string the value must be text or a number. Values are inserted after parsing, so
/// that none can be read as JSON or as a placeholder.
///
/// With `stringify!` the text is written as JSON with Rust comments; neither comments nor spaces reach the component. The
/// result equals that of `json!`, which takes ten times the code: 10 KB of a component for a Deployment.
///
/// ```
/// use thinkube_sdk::serde_json::json;
/// use thinkube_sdk::template;
///
/// let port = template(stringify!({"name": "${name}-http", "port": "${port}"}), &json!({"name": "web", "port": 80}));
/// assert_eq!(port, json!({"name": "web-http", "port": 80}));
/// ```
///
/// # Panics
/// If the text is not JSON, or names a field that `values` lacks. Only the plugin's author can cause this, and the first
/// test finds it.
pub fn template(text: &str, values: &Value) -> Value {
    let mut json =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("a template is not JSON: {error}"));
    fill(&mut json, values);
    json
}

/// Replaces the placeholders of plain text, like [`template`] within a string.
///
/// # Panics
/// If the text names a field that `values` lacks, or one that is neither text nor a number.
pub fn fill_text(text: &str, values: &Value) -> String {
    match filled(text, values) {
        Some(Value::String(filled)) => filled,
        Some(value) => value.to_string(),
        None => text.to_owned(),
    }
}

fn fill(json: &mut Value, values: &Value) {
    match json {
        Value::String(text) => {
            if let Some(value) = filled(text, values) {
                *json = value;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, values)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill(field, values)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn filled(text: &str, values: &Value) -> Option<Value> {
    let (mut before, mut rest) = text.split_once("${")?;
    let mut filled = String::new();
    loop {
        let (name, after) =
            rest.split_once('}').unwrap_or_else(|| panic!("a placeholder has no closing brace: {text}"));
        let value =
            values.get(name).unwrap_or_else(|| panic!("a template names `{name}`, which has no value"));
        if name.len() + 3 == text.len() {
            return Some(value.clone());
        }
        filled.push_str(before);
        match value {
            Value::String(value) => filled.push_str(value),
            Value::Number(value) => filled.push_str(&value.to_string()),
            _ => panic!("`{name}` is within text, but is neither text nor a number"),
        }
        match after.split_once("${") {
            Some(split) => (before, rest) = split,
            None => {
                filled.push_str(after);
                return Some(Value::String(filled));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn placeholders_become_values_of_any_type() {
        let text = stringify!(
            // A comment.
            {"name": "${name}", "url": "http://${name}:${port}/", "port": "${port}", "list": ["${list}"], "as": "$it {is}"}
        );
        assert_eq!(
            template(text, &json!({"name": "a", "port": 80, "list": [1, {}]})),
            json!({"name": "a", "url": "http://a:80/", "port": 80, "list": [[1, {}]], "as": "$it {is}"})
        );
    }

    #[test]
    fn a_value_is_never_read_as_json_or_as_a_placeholder() {
        let hostile = "\", \"x\": \"${b}";
        assert_eq!(
            template(r#"{"a": "${a}", "c": "-${a}"}"#, &json!({"a": hostile, "b": "secret"})),
            json!({"a": hostile, "c": format!("-{hostile}")})
        );
    }

    #[test]
    fn plain_text_is_filled_by_the_same_rules() {
        let values = json!({"name": "a", "port": 80});
        assert_eq!(fill_text("${name}:${port} $HOME", &values), "a:80 $HOME");
        assert_eq!(fill_text("${port}", &values), "80");
        assert_eq!(fill_text("no placeholder", &values), "no placeholder");
    }

    #[test]
    #[should_panic(expected = "names `b`")]
    fn a_placeholder_without_a_value_panics() {
        template(r#"{"a": "${b}"}"#, &json!({}));
    }
}
