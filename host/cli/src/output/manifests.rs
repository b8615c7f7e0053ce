//! The objects of a plan as `render` prints them: a YAML stream for `kubectl diff -f -`, or a List.
//!
//! A composed Secret has no values here, because a plan has none.

use crate::output::plan::secret_sources;
use crate::output::terminal::{escape_json, is_harmless};
use crate::output::text::{Text, line, untrusted, untrusted_lines};
use serde_json::{Value, json};
use thinkube_engine::model::{Plan, SecretStep, Step};

pub(crate) fn manifests(plan: &Plan) -> Text {
    let mut text = Text::default();
    for stage in &plan.plugin_plan.stages {
        for step in &stage.steps {
            line!(text, "---\n# stage: {}", untrusted(&stage.name));
            match step {
                Step::Object(object) => text.push(&yaml(&object.manifest)),
                Step::Secret(secret) => {
                    for (key, source) in secret_sources(secret) {
                        line!(text, "# {}", untrusted(format!("{key}: {source}")));
                    }
                    text.push(&yaml(&secret_manifest(secret)));
                }
                other => line!(text, "# {}", untrusted(other.title())),
            }
        }
    }
    text
}

pub(crate) fn manifest_list(plan: &Plan) -> Value {
    let steps = plan.plugin_plan.stages.iter().flat_map(|stage| &stage.steps);
    let items: Vec<Value> = steps
        .filter_map(|step| match step {
            Step::Object(object) => Some(object.manifest.clone()),
            Step::Secret(secret) => Some(secret_manifest(secret)),
            _ => None,
        })
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// YAML that means `value`. The YAML writer leaves some control characters as they are; then the text is JSON, which is
/// YAML too and has an escape for each.
fn yaml(value: &Value) -> Text {
    let yaml = serde_norway::to_string(value).unwrap_or_else(|_| value.to_string());
    let harmless = yaml.chars().all(|character| character == '\n' || is_harmless(character));
    let safe = if harmless { yaml } else { escape_json(&value.to_string()) + "\n" };
    untrusted_lines(safe)
}

fn secret_manifest(secret: &SecretStep) -> Value {
    let SecretStep { target, secret_type, labels, .. } = secret;
    let mut manifest = json!({
        "apiVersion": target.api_version, "kind": target.kind,
        "metadata": {"name": target.name, "namespace": target.namespace},
    });
    if !secret_type.is_empty() {
        manifest["type"] = json!(secret_type);
    }
    if !labels.is_empty() {
        manifest["metadata"]["labels"] = json!(labels);
    }
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_holds_no_control_character_and_keeps_the_value() {
        for hostile in ["a\u{85}b", "a\u{202e}b", "\u{1b}[2K", "a: b\n---\nc", "\t", "é"] {
            let value = json!({"data": {hostile: hostile}});
            let text = yaml(&value);
            assert!(text.as_str().chars().all(|c| c == '\n' || is_harmless(c)), "{text}");
            let read: Value = serde_norway::from_str(text.as_str()).expect("the text is YAML");
            assert_eq!(read, value);
        }
    }
}
