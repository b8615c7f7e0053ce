//! A plugin that asks for a fact, writes a log line, and evaluates a check that CEL cannot express: that a text is a
//! palindrome.

use schemars::JsonSchema;
use serde::Deserialize;
use thinkube_sdk::k8s_openapi::api::core::v1::ConfigMap;
use thinkube_sdk::serde_json::{Value, from_str, json};
use thinkube_sdk::{
    Check, Context, Descriptor, Evaluate, Object, Observation, Outcome, Plan, Plugin, Problem, Query, Scope,
    Stage, Status, TypeMeta, Verdict, export_plugin, log,
};

/// What the operator can set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// A text that should read the same backwards.
    text: String,
}

struct Judging;

impl Plugin for Judging {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("judging", "1.0.0")
            .emits(TypeMeta::of::<ConfigMap>(), Scope::OwnNamespace)
            // `evaluate` receives the object, which needs the permission to read it.
            .reads(TypeMeta::of::<ConfigMap>(), Scope::OwnNamespace)
    }

    fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
        let kind = TypeMeta::of::<ConfigMap>();
        let Some(served) = context.served(&kind) else {
            return Ok(Outcome::needs_facts([Query::Served(kind)]));
        };
        if !served {
            return Err(Problem::unmet_requirement("this cluster has no ConfigMaps"));
        }
        log::info(format!("keeping {} bytes", context.settings.text.len()));
        let text = Object::of(&json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "text", "namespace": context.namespace},
            "data": {"text": context.settings.text},
        }));
        let palindrome = Check::object("palindrome", "The text reads the same backwards", &text).evaluated();
        Ok(Plan::new().stage(Stage::new("text").object(text)).health(palindrome).into())
    }
}

impl Evaluate for Judging {
    fn evaluate(observation: Observation) -> Verdict {
        let observed: Value = from_str(&observation.json).unwrap_or_default();
        let Some(text) = observed["object"]["data"]["text"].as_str() else {
            return Verdict {
                status: Status::Unknown,
                message: "the ConfigMap has no text".to_owned(),
                remedy: None,
            };
        };
        if text.chars().eq(text.chars().rev()) {
            return Verdict {
                status: Status::Passed,
                message: "the text is a palindrome".to_owned(),
                remedy: None,
            };
        }
        let remedy = Some("Set `text` to a palindrome.".to_owned());
        Verdict { status: Status::Failed, message: format!("`{text}` is not a palindrome"), remedy }
    }
}

export_plugin!(Judging, checks);

#[cfg(test)]
mod tests {
    use super::*;
    use thinkube_sdk::Answer;
    use thinkube_sdk::testing::{Case, PlanError};

    fn case(served: bool) -> Case<Judging> {
        Case::new(json!({"text": "level"})).facts(move |_| Some(Answer::Served(served)))
    }

    #[test]
    fn it_asks_for_the_fact_and_logs_a_line() {
        let planned = case(true).plan().expect("the settings have a plan");
        assert_eq!(planned.log, [(log::Level::Info, "keeping 5 bytes".to_owned())]);
    }

    #[test]
    fn a_cluster_without_config_maps_is_rejected() {
        let unmet = Problem::unmet_requirement("this cluster has no ConfigMaps");
        assert_eq!(case(false).plan(), Err(PlanError::Problem(unmet)));
    }

    #[test]
    fn only_a_palindrome_passes() {
        let evaluate = |text: &str| {
            let json = json!({"object": {"data": {"text": text}}}).to_string();
            Judging::evaluate(Observation { check: "palindrome".to_owned(), json }).status
        };
        assert_eq!((evaluate("level"), evaluate("devil")), (Status::Passed, Status::Failed));
    }
}
