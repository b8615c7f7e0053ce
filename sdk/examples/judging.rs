//! A plugin that asks for a fact, logs, and judges an observation itself because CEL cannot say it: that a text reads
//! the same backwards.

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
            // What `evaluate` is told needs the permission to read.
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
        let reads = Check::object("palindrome", "The text reads the same backwards", &text).evaluated();
        Ok(Plan::new().stage(Stage::new("text").object(text)).health(reads).into())
    }
}

impl Evaluate for Judging {
    fn evaluate(observation: Observation) -> Verdict {
        let observed: Value = from_str(&observation.json).unwrap_or_default();
        let Some(text) = observed["object"]["data"]["text"].as_str() else {
            return Verdict { status: Status::Unknown, message: "there is no text".to_owned(), remedy: None };
        };
        if text.chars().eq(text.chars().rev()) {
            return Verdict { status: Status::Passed, message: "it does".to_owned(), remedy: None };
        }
        let remedy = Some("Set `text` to a palindrome.".to_owned());
        Verdict { status: Status::Failed, message: format!("`{text}` does not"), remedy }
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
    fn the_fact_is_asked_for_and_the_line_is_logged() {
        let planned = case(true).plan().expect("it has a plan");
        assert_eq!(planned.log, [(log::Level::Info, "keeping 5 bytes".to_owned())]);
    }

    #[test]
    fn a_cluster_without_config_maps_is_refused() {
        let unmet = Problem::unmet_requirement("this cluster has no ConfigMaps");
        assert_eq!(case(false).plan(), Err(PlanError::Problem(unmet)));
    }

    #[test]
    fn only_a_palindrome_passes() {
        let judge = |text: &str| {
            let json = json!({"object": {"data": {"text": text}}}).to_string();
            Judging::evaluate(Observation { check: "palindrome".to_owned(), json }).status
        };
        assert_eq!((judge("level"), judge("devil")), (Status::Passed, Status::Failed));
    }
}
