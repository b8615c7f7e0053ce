//! A greeting that every pod of its namespace can read.

use schemars::JsonSchema;
use serde::Deserialize;
use thinkube_sdk::k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use thinkube_sdk::serde_json::json;
use thinkube_sdk::{
    Check, Context, Descriptor, Object, Outcome, Plan, Plugin, Problem, Scope, Stage, TypeMeta, export_plugin,
};

/// What the operator can set. These comments are what the operator reads.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The name to greet.
    name: String,
    /// The greeting.
    #[serde(default = "hello")]
    greeting: String,
}

fn hello() -> String {
    "Hello".to_owned()
}

struct Greeting;

impl Plugin for Greeting {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("greeting", env!("CARGO_PKG_VERSION"))
            .summary("A greeting for every pod of its namespace.")
            .emits(TypeMeta::of::<Namespace>(), Scope::OwnNamespace)
            .emits(TypeMeta::of::<ConfigMap>(), Scope::OwnNamespace)
    }

    fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
        let Settings { name, greeting } = &context.settings;
        let namespace = Object::of(&json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": context.namespace},
        }));
        let text = Object::of(&json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "greeting", "namespace": context.namespace},
            "data": {"text": format!("{greeting}, {name}!")},
        }));
        let greets =
            Check::object("greets", "The greeting is not empty", &text).cel("size(object.data.text) > 3");
        Ok(Plan::new()
            .stage(Stage::new("namespace").object(namespace))
            .stage(Stage::new("greeting").object(text))
            .health(greets)
            .into())
    }
}

export_plugin!(Greeting);

#[cfg(test)]
mod tests {
    use super::*;
    use thinkube_sdk::testing::plan;

    #[test]
    fn the_name_is_greeted() {
        let plan = plan::<Greeting>(json!({"name": "World"}));
        assert_eq!(plan.object("ConfigMap", "greeting")["data"]["text"], "Hello, World!");
    }
}
