//! How the plan of an operation is laid over the plan of its release. An operation is temporary: it never changes the
//! release's recorded plan (`docs/decisions/0005-operations-are-temporary.md`).

use crate::object::ObjectRef;
use crate::plan::PluginPlan;
use crate::plan::object::{ObjectStep, OnChange};
use crate::plan::secret::{SecretContent, SecretEntry, SecretSource, SecretStep};
use crate::plan::stage::{Stage, Step};
use crate::validate::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A named day-2 plan that a plugin offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// A DNS label.
    pub name: String,
    /// What it does, for people.
    pub title: String,
    /// The secret inputs of the descriptor that it uses.
    pub secret_inputs: Vec<String>,
    /// JSON Schema 2020-12 of its arguments.
    pub arguments_schema: Value,
}

/// The plan that the host applies for an operation with the plan `wanted` on a release with the plan `recorded`. Keys of a
/// Secret that the operation does not name keep their values; keys with a template are composed again.
///
/// # Errors
/// Every step that would change the release for good, which only an apply may do.
pub fn overlay(recorded: &PluginPlan, wanted: PluginPlan) -> Result<PluginPlan, Vec<Fault>> {
    let mut plugin_plan = wanted;
    let mut faults = Vec::new();
    let yielding: Vec<String> = plugin_plan
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
            if let Err((path, message)) = overlay_step(recorded, step, &yielding) {
                faults.push(Fault { stage: stage.name.clone(), what: step.title(), path, message });
            }
        }
    }
    if faults.is_empty() { Ok(plugin_plan) } else { Err(faults) }
}

/// The release's steps on objects that the operation's plan has in another form: the host applies them after the operation. A
/// Secret is not among them, because the release keeps its rotated values.
pub fn overridden_steps(recorded: &PluginPlan, plugin_plan: &PluginPlan) -> PluginPlan {
    let changed = |step: &Step| {
        let Step::Object(old) = step else { return false };
        ObjectRef::of(&old.manifest)
            .and_then(|object| find(plugin_plan, &object))
            .is_some_and(|new| matches!(new, Step::Object(new) if !is_same(old, new)))
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

fn is_same(old: &ObjectStep, new: &ObjectStep) -> bool {
    old.manifest == new.manifest && old.bindings == new.bindings
}

/// The step of `plugin_plan` that applies `object`.
fn find<'a>(plugin_plan: &'a PluginPlan, object: &ObjectRef) -> Option<&'a Step> {
    let applies = |step: &&Step| step.target().is_some_and(|target| target.identity() == object.identity());
    plugin_plan.steps().find(applies)
}

/// Completes `step` from the release's plan. The error is the path and the reason.
fn overlay_step(recorded: &PluginPlan, step: &mut Step, yielding: &[String]) -> Result<(), (String, String)> {
    let fault = |message: &str| Err((String::new(), message.to_owned()));
    let old = step.target().and_then(|target| find(recorded, &target));
    match (step, old) {
        (Step::Restart(workload), _) if find(recorded, workload).is_none() => {
            fault("the release has no such workload; an operation restarts only workloads of its release")
        }
        (Step::External(external), _) if recorded.external().all(|old| old != &**external) => fault(
            "an operation must not change an external resource; the release's plan has another one or none",
        ),
        (Step::Object(new), None) if is_shared(&new.manifest) => fault(
            "an operation must not create a Namespace or a CustomResourceDefinition: others may fill it before the operation ends",
        ),
        (Step::Secret(new), Some(Step::Secret(old))) => merge(old, new),
        (Step::Object(new), Some(Step::Object(old)))
            if old.on_change == OnChange::CreateOnly && !is_same(old, new) =>
        {
            fault(
                "the release's plan never changes this object once it exists, so an operation must not either",
            )
        }
        (Step::Object(new), Some(Step::Object(old)))
            if !is_same(old, new)
                && !old.bindings.iter().all(|binding| yielding.contains(&binding.source.step)) =>
        {
            fault(
                "the host could not restore this object after the operation: it needs an output of a step that the operation lacks",
            )
        }
        (Step::Object(new), Some(Step::Object(old))) => {
            new.on_uninstall = old.on_uninstall;
            Ok(())
        }
        (Step::Secret(_), Some(_)) | (Step::Object(_), Some(Step::Secret(_))) => fault(
            "an object must be a secret step in both plans, of the release and of the operation, or in neither",
        ),
        _ => Ok(()),
    }
}

fn is_shared(manifest: &Value) -> bool {
    manifest["kind"] == "Namespace" || manifest["kind"] == "CustomResourceDefinition"
}

fn merge(old: &SecretStep, new: &mut SecretStep) -> Result<(), (String, String)> {
    new.on_uninstall = old.on_uninstall;
    new.secret_type.clone_from(&old.secret_type);
    new.labels.clone_from(&old.labels);
    let (SecretContent::Entries(old), SecretContent::Entries(entries)) = (&old.content, &mut new.content)
    else {
        let message = "an operation changes single keys of a Secret; neither plan may mirror it";
        return if old.content == new.content { Ok(()) } else { Err((String::new(), message.to_owned())) };
    };
    let unknown = entries.iter().find(|entry| old.iter().all(|old| old.key != entry.key));
    if let Some(SecretEntry { key, .. }) = unknown {
        let message = "the release's plan has no such key in the Secret, so the next apply would remove it";
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
        serde_json::from_value(plugin_plan).expect("a plan")
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
        let faults = overlay(&release(), plugin_plan(vec![step])).expect_err("the operation is refused");
        faults[0].to_string()
    }

    #[test]
    fn unnamed_keys_are_kept_and_templates_are_composed_again() {
        let rotated = json!({"rotated": {"bytes": 8, "encoding": "hex"}});
        let wanted = plugin_plan(vec![secret(&json!([{"key": "cookie", "source": rotated}]))]);
        let carried = overlay(&release(), wanted).expect("the operation is allowed");
        let Step::Secret(step) = &carried.stages[0].steps[0] else { panic!("a Secret") };
        let sources = json!([{"key": "cookie", "source": rotated}, {"key": "password", "source": "kept"},
            {"key": "url", "source": {"template": "${cookie}"}}]);
        assert_eq!(json!(step.content), json!({"entries": sources}));
        assert!(
            overridden_steps(&release(), &carried).stages.is_empty(),
            "the release keeps the rotated values"
        );
    }

    #[test]
    fn only_changed_objects_of_the_release_are_restored() {
        let steps =
            vec![object("ConfigMap", "a", "update", "changed"), object("ConfigMap", "own", "update", "x")];
        let carried = overlay(&release(), plugin_plan(steps)).expect("the operation is allowed");
        assert_eq!(
            overridden_steps(&release(), &carried),
            plugin_plan(vec![object("ConfigMap", "a", "update", "planned")])
        );
        let same = overlay(&release(), plugin_plan(vec![object("ConfigMap", "a", "update", "planned")]));
        assert!(overridden_steps(&release(), &same.expect("the operation is allowed")).stages.is_empty());
    }

    #[test]
    fn a_permanent_change_by_an_operation_is_refused() {
        let restart = json!({"restart": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "n", "name": "x"}});
        assert!(refused(restart).contains("restart of Deployment n/x: the release has no such workload"));
        assert!(refused(object("Namespace", "other", "update", "")).contains("must not create a Namespace"));
        assert!(
            refused(object("ConfigMap", "once", "update", "other")).contains("never changes this object")
        );
        assert!(refused(object("Secret", "keys", "update", "")).contains("secret step in both plans"));
        let mut bound = object("ConfigMap", "bound", "update", "planned");
        bound["object"]["bindings"] =
            json!([{"pointer": "/data/text", "source": {"step": "image", "output": "digest"}}]);
        let changed = plugin_plan(vec![object("ConfigMap", "bound", "update", "other")]);
        let faults = overlay(&plugin_plan(vec![bound]), changed).expect_err("the operation is refused");
        assert!(faults[0].to_string().contains("could not restore this object"));
        let unknown = secret(&json!([{"key": "new", "source": {"plain": "x"}}]));
        assert!(refused(unknown).contains("Secret n/keys, /new: the release's plan has no such key"));
    }
}
