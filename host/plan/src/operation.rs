//! What an operation may want of a release, and what it leaves of it. Pure: `docs/decisions/0005-operations-are-temporary.md`.

use crate::{
    Fault, ObjectRef, OnChange, PluginPlan, SecretContent, SecretEntry, SecretSource, SecretStep, Stage, Step,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A named day-2 plan that a plugin offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// A DNS label.
    pub name: String,
    /// What it does.
    pub title: String,
    /// Those of the descriptor that it uses.
    pub secret_inputs: Vec<String>,
    /// JSON Schema 2020-12 of its arguments.
    pub arguments_schema: Value,
}

/// What is carried out when an operation wants `wanted` of a release with `recorded`: keys that it does not name of a
/// Secret of the release are kept as they are there, and those that are made of others are made anew.
///
/// # Errors
/// Everything that it wants to change of the release for good, which only an apply may, and what would stay.
pub fn overlay(recorded: &PluginPlan, wanted: PluginPlan) -> Result<PluginPlan, Vec<Fault>> {
    let mut plugin_plan = wanted;
    let mut faults = Vec::new();
    let yields: Vec<String> = plugin_plan
        .stages
        .iter()
        .flat_map(|stage| &stage.steps)
        .filter_map(|step| match step {
            Step::Image(image) => Some(image.name.clone()),
            Step::External(external) => Some(external.name.clone()),
            _ => None,
        })
        .collect();
    for stage in &mut plugin_plan.stages {
        for step in &mut stage.steps {
            if let Err((path, message)) = on_top(recorded, step, &yields) {
                faults.push(Fault { stage: stage.name.clone(), what: step.title(), path, message });
            }
        }
    }
    if faults.is_empty() { Ok(plugin_plan) } else { Err(faults) }
}

/// The steps of the release on objects that `plugin_plan` has otherwise: what has to be applied for the release to be as
/// its plan says, when the operation is over. A Secret is not among them: what the operation made of it is its value now.
pub fn borrowed(recorded: &PluginPlan, plugin_plan: &PluginPlan) -> PluginPlan {
    let changed = |step: &Step| {
        let Step::Object(old) = step else { return false };
        ObjectRef::of(&old.manifest)
            .and_then(|object| find(plugin_plan, &object))
            .is_some_and(|new| matches!(new, Step::Object(new) if !same(old, new)))
    };
    let stages = recorded.stages.iter().map(|stage| Stage {
        name: stage.name.clone(),
        steps: stage.steps.iter().filter(|step| changed(step)).cloned().collect(),
        gates: Vec::new(),
        skip_if: Vec::new(),
    });
    PluginPlan {
        preflight: Vec::new(),
        stages: stages.filter(|stage| !stage.steps.is_empty()).collect(),
        health: Vec::new(),
        tests: Vec::new(),
        notes: None,
    }
}

fn same(old: &crate::ObjectStep, new: &crate::ObjectStep) -> bool {
    old.manifest == new.manifest && old.bindings == new.bindings
}

/// The step of `plugin_plan` that makes `object`.
fn find<'a>(plugin_plan: &'a PluginPlan, object: &ObjectRef) -> Option<&'a Step> {
    let makes = |step: &&Step| step.target().is_some_and(|target| target.identity() == object.identity());
    plugin_plan.stages.iter().flat_map(|stage| &stage.steps).find(makes)
}

/// Makes of a step on an object of the release what is carried out, or says where and why it cannot be.
fn on_top(recorded: &PluginPlan, step: &mut Step, yields: &[String]) -> Result<(), (String, String)> {
    let fault = |message: &str| Err((String::new(), message.to_owned()));
    let old = step.target().and_then(|target| find(recorded, &target));
    match (step, old) {
        (Step::Restart(workload), _) if find(recorded, workload).is_none() => {
            fault("the release has no such workload, and an operation restarts no other")
        }
        (Step::External(external), _) if recorded.external().all(|old| old != &**external) => fault(
            "the release's plan has no such external resource: an operation leaves them as they are there",
        ),
        (Step::Object(new), None) if outlives(&new.manifest) => fault(
            "an operation makes no namespaces and no kinds: they outlive it, with what others put there",
        ),
        (Step::Secret(new), Some(Step::Secret(old))) => merge(old, new),
        (Step::Object(new), Some(Step::Object(old)))
            if old.on_change == OnChange::CreateOnly && !same(old, new) =>
        {
            fault("the release's plan leaves this object alone once it is there, and so must an operation")
        }
        (Step::Object(new), Some(Step::Object(old)))
            if !same(old, new)
                && !old.bindings.iter().all(|binding| yields.contains(&binding.source.step)) =>
        {
            fault(
                "it cannot be given back: its plan fills in what a step yields that the operation does not have",
            )
        }
        (Step::Object(new), Some(Step::Object(old))) => {
            new.on_uninstall = old.on_uninstall;
            Ok(())
        }
        (Step::Secret(_), Some(_)) | (Step::Object(_), Some(Step::Secret(_))) => fault(
            "a Secret that is composed in one of the operation and the release must be in the other too",
        ),
        _ => Ok(()),
    }
}

fn outlives(manifest: &Value) -> bool {
    manifest["kind"] == "Namespace" || manifest["kind"] == "CustomResourceDefinition"
}

fn merge(old: &SecretStep, new: &mut SecretStep) -> Result<(), (String, String)> {
    new.on_uninstall = old.on_uninstall;
    new.secret_type.clone_from(&old.secret_type);
    new.labels.clone_from(&old.labels);
    let (SecretContent::Entries(old), SecretContent::Entries(entries)) = (&old.content, &mut new.content)
    else {
        let message = "an operation changes single keys of a Secret, not a mirror or by one";
        return if old.content == new.content { Ok(()) } else { Err((String::new(), message.to_owned())) };
    };
    let unknown = entries.iter().find(|entry| old.iter().all(|old| old.key != entry.key));
    if let Some(SecretEntry { key, .. }) = unknown {
        let message =
            "the Secret has no such key in the release's plan, so the next apply would take it away";
        return Err((format!("/{key}"), message.to_owned()));
    }
    for SecretEntry { key, source } in old {
        if entries.iter().all(|entry| entry.key != *key) {
            let source = match source {
                SecretSource::Template(_) => source.clone(),
                _ => SecretSource::Kept,
            };
            entries.push(SecretEntry { key: key.clone(), source });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plugin_plan(steps: Vec<Value>) -> PluginPlan {
        let stages = json!([{"name": "all", "steps": steps}]);
        let plugin_plan = json!({"preflight": [], "stages": stages, "health": [], "tests": []});
        serde_json::from_value(plugin_plan).expect("an outline")
    }

    fn object(kind: &str, name: &str, on_change: &str, text: &str) -> Value {
        json!({"object": {"onChange": on_change, "onUninstall": "delete", "manifest": {"apiVersion": "v1",
            "kind": kind, "metadata": {"name": name, "namespace": "n"}, "data": {"text": text}}}})
    }

    fn secret(entries: &Value) -> Value {
        json!({"secret": {"name": "keys", "secretType": "Opaque", "onUninstall": "retain",
            "target": {"apiVersion": "v1", "kind": "Secret", "namespace": "n", "name": "keys"},
            "content": {"entries": entries}}})
    }

    fn release() -> PluginPlan {
        let random = json!({"random": {"bytes": 8, "encoding": "hex"}});
        plugin_plan(vec![
            object("ConfigMap", "a", "update", "planned"),
            object("ConfigMap", "once", "createOnly", "planned"),
            secret(
                &json!([{"key": "cookie", "source": random}, {"key": "password", "source": {"input": "p"}},
                {"key": "url", "source": {"template": "${cookie}"}}]),
            ),
        ])
    }

    fn refused(step: Value) -> String {
        let faults = overlay(&release(), plugin_plan(vec![step])).expect_err("it is refused");
        faults[0].to_string()
    }

    #[test]
    fn keys_that_an_operation_does_not_name_are_kept_and_templates_are_filled_again() {
        let renewed = json!({"rotated": {"bytes": 8, "encoding": "hex"}});
        let wanted = plugin_plan(vec![secret(&json!([{"key": "cookie", "source": renewed}]))]);
        let carried = overlay(&release(), wanted).expect("it may");
        let Step::Secret(step) = &carried.stages[0].steps[0] else { panic!("a Secret") };
        let sources = json!([{"key": "cookie", "source": renewed}, {"key": "password", "source": "kept"},
            {"key": "url", "source": {"template": "${cookie}"}}]);
        assert_eq!(json!(step.content), json!({"entries": sources}));
        assert!(borrowed(&release(), &carried).stages.is_empty(), "its values are the release's from now on");
    }

    #[test]
    fn what_is_the_releases_is_given_back_and_what_is_the_operations_is_not_part_of_it() {
        let steps =
            vec![object("ConfigMap", "a", "update", "changed"), object("ConfigMap", "own", "update", "x")];
        let carried = overlay(&release(), plugin_plan(steps)).expect("it may");
        assert_eq!(
            borrowed(&release(), &carried),
            plugin_plan(vec![object("ConfigMap", "a", "update", "planned")])
        );
        let same = overlay(&release(), plugin_plan(vec![object("ConfigMap", "a", "update", "planned")]));
        assert!(borrowed(&release(), &same.expect("it may")).stages.is_empty());
    }

    #[test]
    fn what_an_operation_must_not_do_to_a_release_is_refused_and_says_where() {
        let restart = json!({"restart": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "n", "name": "x"}});
        assert!(refused(restart).contains("restart of Deployment n/x: the release has no such workload"));
        assert!(refused(object("Namespace", "other", "update", "")).contains("makes no namespaces"));
        assert!(refused(object("ConfigMap", "once", "update", "other")).contains("leaves this object alone"));
        assert!(refused(object("Secret", "keys", "update", "")).contains("composed"));
        let mut bound = object("ConfigMap", "bound", "update", "planned");
        bound["object"]["bindings"] =
            json!([{"pointer": "/data/text", "source": {"step": "image", "output": "digest"}}]);
        let changed = plugin_plan(vec![object("ConfigMap", "bound", "update", "other")]);
        let faults = overlay(&plugin_plan(vec![bound]), changed).expect_err("it is refused");
        assert!(faults[0].to_string().contains("cannot be given back"));
        let unknown = secret(&json!([{"key": "new", "source": {"plain": "x"}}]));
        assert!(refused(unknown).contains("Secret n/keys, /new: the Secret has no such key"));
    }
}
