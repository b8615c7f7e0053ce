//! The rules that every plan must keep before anything else is asked of it. No cluster and no grant matters here.

pub(crate) mod credentials;

use crate::check::{Check, Expectation};
use crate::name::is_dns_label;
use crate::plan::PluginPlan;
use crate::plan::rules::{StepFault, StepRules};
use crate::plan::stage::Step;
use std::collections::HashSet;
use std::fmt;

/// A rule that a plan breaks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The stage, or `preflight`, `health`, `tests`.
    pub stage: String,
    /// The step or check; empty for the stage itself.
    pub what: String,
    /// JSON Pointer into the manifest; empty for the step or check as a whole.
    pub path: String,
    /// What is wrong and what is expected.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage {}", self.stage)?;
        for part in [&self.what, &self.path].into_iter().filter(|part| !part.is_empty()) {
            write!(f, ", {part}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Every rule that the plan of a release breaks. `secret_inputs` are the names that the descriptor states; `evaluates` says
/// whether the plugin exports `checks`.
///
/// ```
/// use serde_json::json;
/// use thinkube_plan::{PluginPlan, validate_plan};
///
/// let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"}, "data": {}});
/// let step = json!({"object": {"manifest": manifest, "onChange": "update", "onUninstall": "delete"}});
/// let plan: PluginPlan = serde_json::from_value(json!({"preflight": [], "health": [], "tests": [],
///     "stages": [{"name": "base", "steps": [step]}]}))?;
/// let faults = validate_plan(&plan, &[], false);
/// assert_eq!(faults[0].path, "/data");
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn validate_plan(plugin_plan: &PluginPlan, secret_inputs: &[&str], evaluates: bool) -> Vec<Fault> {
    validate(plugin_plan, evaluates, StepRules { secret_inputs, ..StepRules::default() })
}

/// [`validate_plan`] for the plan of an operation. `secret_inputs` are the names that the operation states.
pub fn validate_operation(plugin_plan: &PluginPlan, secret_inputs: &[&str], evaluates: bool) -> Vec<Fault> {
    validate(plugin_plan, evaluates, StepRules { secret_inputs, is_operation: true, ..StepRules::default() })
}

fn validate(plugin_plan: &PluginPlan, evaluates: bool, rules: StepRules<'_>) -> Vec<Fault> {
    let mut validator = Validator { rules, evaluates, ..Validator::default() };
    validator.checks(PluginPlan::PREFLIGHT, &plugin_plan.preflight);
    for stage in &plugin_plan.stages {
        validator.stage_name(&stage.name);
        for step in &stage.steps {
            validator.step(&stage.name, step);
        }
        validator.checks(&stage.name, &stage.gates);
        validator.checks(&stage.name, &stage.skip_if);
    }
    validator.checks(PluginPlan::HEALTH, &plugin_plan.health);
    validator.checks(PluginPlan::TESTS, &plugin_plan.tests);
    validator.faults.extend(credentials::credential_faults(plugin_plan));
    validator.faults
}

/// Collects the faults of a plan, and the names that must be unique in it.
#[derive(Default)]
struct Validator<'a> {
    faults: Vec<Fault>,
    rules: StepRules<'a>,
    evaluates: bool,
    stages: HashSet<String>,
    step_names: HashSet<String>,
    check_names: HashSet<String>,
    /// By group and kind, namespace, and name.
    objects: HashSet<(String, String, String)>,
}

const NOT_A_LABEL: &str = "its name is not a DNS label (RFC 1123): 1 to 63 of a-z, 0-9 and `-`";

impl Validator<'_> {
    fn add(&mut self, stage: &str, what: &str, fault: impl Into<StepFault>) {
        let StepFault { path, message } = fault.into();
        self.faults.push(Fault { stage: stage.to_owned(), what: what.to_owned(), path, message });
    }

    fn stage_name(&mut self, name: &str) {
        if !is_dns_label(name) {
            self.add(name, "", NOT_A_LABEL);
        }
        if [PluginPlan::PREFLIGHT, PluginPlan::HEALTH, PluginPlan::TESTS].contains(&name) {
            self.add(name, "", "this name is reserved for a list of checks; choose another");
        }
        if !self.stages.insert(name.to_owned()) {
            self.add(name, "", "another stage has this name; the names of stages are unique");
        }
    }

    fn checks(&mut self, stage: &str, checks: &[Check]) {
        for check in checks {
            let what = format!("check {}", check.name);
            if !is_dns_label(&check.name) {
                self.add(stage, &what, NOT_A_LABEL);
            }
            if !self.check_names.insert(check.name.clone()) {
                self.add(stage, &what, "another check has this name; the names of checks are unique");
            }
            if check.expect == Expectation::Evaluate && !self.evaluates {
                self.add(stage, &what, "it expects `evaluate`, but the plugin does not export `checks`");
            }
        }
    }

    fn step(&mut self, stage: &str, step: &Step) {
        let title = step.title();
        for fault in step.faults(&self.rules) {
            self.add(stage, &title, fault);
        }
        if let Some(name) = step.name() {
            for (output, is_secret) in step.outputs() {
                self.rules.outputs.insert((name.to_owned(), output.to_owned()), is_secret);
            }
            if !self.step_names.insert(name.to_owned()) {
                self.add(stage, &title, "another step has this name; the names of steps are unique");
            }
        }
        if let Some(target) = step.target() {
            let (kind, namespace, name) = target.identity();
            if !self.objects.insert((kind, namespace.to_owned(), name.to_owned())) {
                self.add(stage, &title, "another step applies the same object");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ObjectRef;
    use crate::plan::secret::{SecretContent, SecretSource, SecretStep};
    use crate::testing::{self, object_ref, object_step};
    use serde_json::{Value, json};

    fn plugin_plan(steps: Vec<Step>) -> PluginPlan {
        testing::plugin_plan(vec![testing::stage("all", steps)])
    }

    fn messages(plugin_plan: &PluginPlan) -> Vec<String> {
        validate_plan(plugin_plan, &["admin-password"], false).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_secret_with_values_is_refused() {
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"},
            "stringData": {"password": "x"}});
        assert_eq!(
            messages(&plugin_plan(vec![object_step(manifest)])),
            [
                "stage all, Secret b/a, /stringData: a plan must not hold the values of a Secret; use a secret step"
            ]
        );
    }

    #[test]
    fn an_object_without_a_name_is_refused_with_the_field() {
        let faults = messages(&plugin_plan(vec![object_step(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        )]));
        assert_eq!(
            faults,
            ["stage all, an object without a name, /metadata/name: every object needs this field, as text"]
        );
    }

    #[test]
    fn the_same_object_in_two_versions_is_the_same_object() {
        let one = |version: &str| {
            object_step(json!({"apiVersion": format!("apps/{version}"), "kind": "Deployment",
                "metadata": {"name": "a", "namespace": "b"}}))
        };
        assert_eq!(messages(&plugin_plan(vec![one("v1"), one("v1beta1")])).len(), 1);
    }

    #[test]
    fn an_external_step_names_known_outputs_and_inputs() {
        let external = |name: &str, path: &str, input: &str| {
            let request = |method: &str| json!({"method": method, "path": path});
            let output =
                |name: &str, secret: bool| json!({"name": name, "select": "json.a", "secret": secret});
            let fields = json!({"auth": {"basic": {"username": "u", "passwordInput": input}},
                "find": request("GET"), "create": request("POST"),
                "outputs": [output("id", false), output("password", true)]});
            Step::External(Box::new(testing::external_step(name, "https://a.io", &fields)))
        };
        let client = || external("client", "/a", "admin-password");
        let second = |path: &str| {
            let faults = messages(&plugin_plan(vec![client(), external("mapper", path, "admin-password")]));
            faults.first().map(|fault| fault.split_once(": ").expect("a step or a fault").1.to_owned())
        };
        assert_eq!(second("/a/${steps.client.id}"), None);
        assert_eq!(
            second("/a/${steps.client.password}").expect("a step or a fault"),
            "`${steps.client.password}` is secret; only a Secret may contain it"
        );
        assert_eq!(
            second("/a/${steps.mapper.id}").expect("a step or a fault"),
            "`${steps.mapper.id}` is not an output of an earlier step"
        );
        assert_eq!(
            messages(&plugin_plan(vec![external("client", "/a", "other")])),
            [
                "stage all, external resource client: `other` is not a secret input of the plugin; expected one of: admin-password"
            ]
        );
        assert_eq!(messages(&plugin_plan(vec![external("client", "a", "admin-password")])).len(), 2);
    }

    #[test]
    fn a_plugin_cannot_label_objects_for_another_release() {
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b",
            "labels": {"applyset.kubernetes.io/part-of": "applyset-x"}}});
        assert_eq!(messages(&plugin_plan(vec![object_step(manifest)])).len(), 1);
    }

    #[test]
    fn fields_that_the_server_sets_are_refused() {
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "status": {},
            "metadata": {"name": "a", "namespace": "b", "uid": "1", "managedFields": []}});
        assert_eq!(messages(&plugin_plan(vec![object_step(manifest)])).len(), 3);
    }

    #[test]
    fn the_source_of_a_mirror_is_another_secret() {
        let secret = |namespace: Option<&str>, name: &str| object_ref("v1", "Secret", namespace, name);
        let faults = |source: ObjectRef| {
            let step = Step::Secret(SecretStep {
                secret_type: "kubernetes.io/tls".into(),
                content: SecretContent::Mirror(source),
                ..testing::secret_step("b", "a", Vec::new())
            });
            validate_plan(&plugin_plan(vec![step]), &[], false)
        };
        for wrong in [
            secret(None, "a"),
            secret(Some("b"), "a"),
            ObjectRef { kind: "ConfigMap".into(), ..secret(Some("c"), "a") },
        ] {
            assert!(
                faults(wrong.clone()).iter().any(|fault| fault.to_string().contains("mirror")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_config_map_with_secrets_has_plain_entries_only() {
        let faults = |change: fn(&mut Value)| {
            let mut step = json!({"name": "config", "secretType": "", "onUninstall": "delete",
                "target": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "b", "name": "config"},
                "content": {"entries": [{"key": "password", "source": {"input": "admin-password"}}]}});
            change(&mut step);
            messages(&plugin_plan(vec![
                serde_json::from_value(json!({"secret": step})).expect("a step or a fault"),
            ]))
        };
        assert_eq!(faults(|_| ()), Vec::<String>::new());
        assert_eq!(
            faults(|step| step["labels"] = json!({"thinkube.io/managed": "true"})),
            Vec::<String>::new()
        );
        for (change, expected) in [
            ((|step| step["secretType"] = json!("Opaque")) as fn(&mut Value), "without a type"),
            (|step| step["target"]["namespace"] = Value::Null, "in a namespace"),
            (|step| step["content"] = json!({"mirror": step["target"]}), "with entries"),
            (
                |step| {
                    step["content"]["entries"][0]["source"] =
                        json!({"random": {"bytes": 32, "encoding": "hex"}});
                },
                "copy it from a Secret",
            ),
            (|step| step["labels"] = json!({"thinkube.org/confidential": "false"}), "reserved for the host"),
            (|step| step["target"]["kind"] = json!("Pod"), "must be a v1 Secret or"),
        ] {
            let found = faults(change);
            assert!(found.iter().any(|fault| fault.contains(expected)), "{expected}: {found:?}");
        }
    }

    #[test]
    fn a_secret_input_that_the_descriptor_does_not_state_is_refused() {
        let source = SecretSource::Input("root-password".into());
        let step = Step::Secret(testing::secret_step("b", "root", vec![("password", source)]));
        assert_eq!(
            messages(&plugin_plan(vec![step])),
            [
                "stage all, Secret b/root, /password: `root-password` is not a secret input of the plugin; expected one of: admin-password"
            ]
        );
    }

    #[test]
    fn a_stage_must_not_be_called_tests() {
        let mut plugin_plan = plugin_plan(vec![]);
        plugin_plan.stages[0].name = "tests".into();
        assert_eq!(messages(&plugin_plan).len(), 1);
    }

    #[test]
    fn only_the_plan_of_a_release_writes_files_in_pods() {
        let step = json!({"podFiles": {"name": "conf", "namespace": "b", "labelSelector": "app=a",
            "files": [], "lines": [{"path": "/rc", "text": "a"}]}});
        let plugin_plan = plugin_plan(vec![serde_json::from_value(step).expect("a step")]);
        assert_eq!(messages(&plugin_plan), [""; 0]);
        let faults = validate_operation(&plugin_plan, &[], false);
        assert!(faults[0].to_string().contains("an operation must not write files in pods"), "{faults:?}");
    }
}
