use serde_json::Value;

/// JSON from text with places in it, each `${name}` a field of `values`: a string that is a place and nothing else becomes the
/// value, whatever it is; within a longer string it must be text or a number. Values are put in after the text was parsed,
/// so none can be read as anything else.
///
/// With `stringify!` around it the text is written as JSON is, with Rust's comments, and gets to the component without both
/// them and its spaces. What comes out is what `json!` makes, in a tenth of the code: a Deployment by `json!` is 10 KB of a
/// component.
///
/// # Panics
/// If the text is no JSON, or names a field that there is not: a mistake of the plugin's author which its first test finds.
pub fn template(text: &str, values: &Value) -> Value {
    let mut json = serde_json::from_str(text).unwrap_or_else(|error| panic!("a template: {error}"));
    fill(&mut json, values);
    json
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
            rest.split_once('}').unwrap_or_else(|| panic!("a place in a template has no end: {text}"));
        let value =
            values.get(name).unwrap_or_else(|| panic!("a template names `{name}`, which is not given"));
        if name.len() + 3 == text.len() {
            return Some(value.clone());
        }
        filled.push_str(before);
        match value {
            Value::String(value) => filled.push_str(value),
            Value::Number(value) => filled.push_str(&value.to_string()),
            _ => panic!("`{name}` stands within text, and is neither text nor a number"),
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
    fn places_are_filled_with_values_of_any_kind() {
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
    fn a_value_is_never_read_as_json_or_as_a_place() {
        let hostile = "\", \"x\": \"${b}";
        assert_eq!(
            template(r#"{"a": "${a}", "c": "-${a}"}"#, &json!({"a": hostile, "b": "secret"})),
            json!({"a": hostile, "c": format!("-{hostile}")})
        );
    }

    #[test]
    #[should_panic(expected = "names `b`")]
    fn a_place_that_nothing_fills_is_found_by_the_first_test() {
        template(r#"{"a": "${b}"}"#, &json!({}));
    }
}
