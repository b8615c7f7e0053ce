use crate::{Check, Expectation, ObjectRef, PluginPlan, SecretContent, SecretSource, Step};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Something in an outline that no cluster could make good.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The stage, or `preflight`, `health`, `tests`.
    pub stage: String,
    /// The step or check; empty when the stage itself is at fault.
    pub what: String,
    /// JSON Pointer into the manifest, where there is one.
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

/// Labels and annotations of these prefixes are the host's own: who could set them could claim another release's
/// objects (KEP-3659).
const RESERVED_PREFIXES: [&str; 2] = ["applyset.kubernetes.io/", "thinkube.org/"];

/// What an image step yields.
const IMAGE_OUTPUTS: [&str; 2] = ["digest", "reference"];

/// The rules that every outline must keep before anything else is asked of it. `secret_inputs` are the names that
/// the descriptor states; `evaluates` says whether the plugin exports `checks`.
pub fn validate_plan(plugin_plan: &PluginPlan, secret_inputs: &[&str], evaluates: bool) -> Vec<Fault> {
    check(plugin_plan, Rules { secret_inputs, evaluates, ..Rules::default() })
}

/// [`validate_plan`] for what an operation wants, which may hold what passes; `secret_inputs` are those that the
/// operation states.
pub fn validate_operation(plugin_plan: &PluginPlan, secret_inputs: &[&str], evaluates: bool) -> Vec<Fault> {
    check(plugin_plan, Rules { secret_inputs, evaluates, operation: true, ..Rules::default() })
}

fn check(plugin_plan: &PluginPlan, mut rules: Rules<'_>) -> Vec<Fault> {
    rules.checks("preflight", &plugin_plan.preflight);
    for stage in &plugin_plan.stages {
        if !is_dns_label(&stage.name) {
            rules.fault(
                &stage.name,
                "",
                "",
                "its name is no DNS label (RFC 1123): a-z, 0-9 and `-`, at most 63".into(),
            );
        }
        if ["preflight", "health", crate::grants::TESTS].contains(&stage.name.as_str()) {
            rules.fault(
                &stage.name,
                "",
                "",
                "this name means a list of checks; give the stage another".into(),
            );
        }
        if !rules.stages.insert(stage.name.clone()) {
            rules.fault(
                &stage.name,
                "",
                "",
                "another stage has this name; names are unique in a plan".into(),
            );
        }
        for step in &stage.steps {
            rules.step(&stage.name, step);
        }
        rules.checks(&stage.name, &stage.gates);
        rules.checks(&stage.name, &stage.skip_if);
    }
    rules.checks("health", &plugin_plan.health);
    rules.checks("tests", &plugin_plan.tests);
    rules.faults.extend(crate::credentials::faults(plugin_plan));
    rules.faults
}

#[derive(Default)]
struct Rules<'a> {
    faults: Vec<Fault>,
    secret_inputs: &'a [&'a str],
    evaluates: bool,
    operation: bool,
    stages: HashSet<String>,
    step_names: HashSet<String>,
    check_names: HashSet<String>,
    objects: HashSet<(String, String, String)>,
    /// Of the steps so far, by step and output: whether it is secret.
    outputs: HashMap<(String, String), bool>,
}

impl Rules<'_> {
    fn fault(&mut self, stage: &str, what: &str, path: &str, message: String) {
        self.faults.push(Fault { stage: stage.into(), what: what.into(), path: path.into(), message });
    }

    fn checks(&mut self, stage: &str, checks: &[Check]) {
        for check in checks {
            let what = format!("check {}", check.name);
            if !is_dns_label(&check.name) {
                self.fault(
                    stage,
                    &what,
                    "",
                    "its name is no DNS label (RFC 1123): a-z, 0-9 and `-`, at most 63".into(),
                );
            }
            if !self.check_names.insert(check.name.clone()) {
                self.fault(
                    stage,
                    &what,
                    "",
                    "another check has this name; names are unique in a plan".into(),
                );
            }
            if check.expect == Expectation::Evaluate && !self.evaluates {
                self.fault(
                    stage,
                    &what,
                    "",
                    "it expects `evaluate`, but the plugin does not export `checks`".into(),
                );
            }
        }
    }

    fn input(&mut self, stage: &str, title: &str, path: &str, name: &str) {
        if !self.secret_inputs.contains(&name) {
            let known = self.secret_inputs.join(", ");
            let whose = if self.operation { "operation" } else { "plugin" };
            let message = format!("`{name}` is none of the {whose}'s secret inputs: {known}");
            self.fault(stage, title, path, message);
        }
    }

    fn step(&mut self, stage: &str, step: &Step) {
        let title = step.title();
        match step {
            Step::Object(object) => self.manifest(stage, &title, &object.manifest),
            Step::Secret(secret) => {
                if let SecretContent::Entries(entries) = &secret.content {
                    let keys: HashSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
                    if keys.len() < entries.len() {
                        self.fault(stage, &title, "", "a key is there twice".into());
                    }
                    for entry in entries {
                        let at = format!("/{}", entry.key);
                        match &entry.source {
                            SecretSource::Input(name) => self.input(stage, &title, &at, name),
                            // What is made is kept where it is made, and that must not be a ConfigMap: it is deleted
                            // or changed without a thought.
                            SecretSource::Random(_) | SecretSource::Rotated(_) if secret.discloses() => {
                                let message =
                                    "a ConfigMap holds no value that is made: copy it from a Secret";
                                self.fault(stage, &title, &at, message.into());
                            }
                            SecretSource::Rotated(_) if !self.operation => {
                                let message =
                                    "only an operation makes a value anew: every apply of a release would";
                                self.fault(stage, &title, &at, message.into());
                            }
                            _ => {}
                        }
                    }
                }
                let is_secret = |object: &ObjectRef| {
                    object.namespace.is_some() && object.kind == "Secret" && object.api_version == "v1"
                };
                if secret.discloses() {
                    let plain = secret.target.api_version == "v1"
                        && secret.target.namespace.is_some()
                        && secret.secret_type.is_empty()
                        && matches!(secret.content, SecretContent::Entries(_));
                    if !plain {
                        let message = "a ConfigMap with secrets is a v1 one in a namespace, of no type, made of entries";
                        self.fault(stage, &title, "", message.into());
                    }
                } else if !is_secret(&secret.target) {
                    let message = "its target must be a v1 Secret in a namespace, or a ConfigMap";
                    self.fault(stage, &title, "", message.into());
                }
                for key in secret.labels.keys() {
                    self.own_key(stage, &title, "/metadata/labels", key);
                }
                if let SecretContent::Mirror(source) = &secret.content
                    && (!is_secret(source) || *source == secret.target)
                {
                    let message = "the source of a mirror must be another v1 Secret in a namespace".into();
                    self.fault(stage, &title, "", message);
                }
            }
            Step::Image(image) => {
                for fault in image.faults() {
                    self.fault(stage, &title, "", fault);
                }
                for output in IMAGE_OUTPUTS {
                    self.outputs.insert((image.name.clone(), output.to_owned()), false);
                }
            }
            Step::External(external) => {
                for fault in external.faults() {
                    self.fault(stage, &title, "", fault);
                }
                if let Some(input) = external.auth.password_input() {
                    self.input(stage, &title, "", input);
                }
                for output in external.references() {
                    let known = self.outputs.get(&(output.step.clone(), output.output.clone()));
                    let named = format!("${{steps.{}.{}}}", output.step, output.output);
                    match known {
                        Some(false) => {}
                        Some(true) => {
                            let message = format!("`{named}` is secret, and only a Secret may hold it");
                            self.fault(stage, &title, "", message);
                        }
                        None => {
                            let message = format!("`{named}` is no output of a step before this one");
                            self.fault(stage, &title, "", message);
                        }
                    }
                }
                for output in &external.outputs {
                    let at = (external.name.clone(), output.name.clone());
                    self.outputs.insert(at, output.secret);
                }
            }
            Step::PodFiles(_) if self.operation => {
                let message = "an operation writes no files in pods: those are part of the release's plan";
                self.fault(stage, &title, "", message.into());
            }
            Step::PodFiles(files) => {
                for fault in files.faults() {
                    self.fault(stage, &title, "", fault);
                }
            }
            Step::Restart(_) if !self.operation => {
                let message = "only an operation restarts a workload: every apply of a release would";
                self.fault(stage, &title, "", message.into());
            }
            Step::Restart(workload) => {
                let restarts = workload.namespace.is_some()
                    && workload.api_version == "apps/v1"
                    && ["Deployment", "StatefulSet", "DaemonSet"].contains(&workload.kind.as_str());
                if !restarts {
                    let message = "only an apps/v1 Deployment, StatefulSet or DaemonSet is restarted";
                    self.fault(stage, &title, "", message.into());
                }
            }
        }
        let name = match step {
            Step::Object(_) | Step::Restart(_) => None,
            Step::Secret(secret) => Some(&secret.name),
            Step::Image(image) => Some(&image.name),
            Step::External(external) => Some(&external.name),
            Step::PodFiles(files) => Some(&files.name),
        };
        if let Some(name) = name
            && !self.step_names.insert(name.clone())
        {
            self.fault(stage, &title, "", "another step has this name; names are unique in a plan".into());
        }
        if let Some(target) = step.target() {
            let (kind, namespace, name) = target.identity();
            if !self.objects.insert((kind, namespace.to_owned(), name.to_owned())) {
                self.fault(stage, &title, "", "the plan has this object twice".into());
            }
        }
    }

    fn manifest(&mut self, stage: &str, title: &str, manifest: &Value) {
        let Some(object) = ObjectRef::of(manifest) else {
            let missing = ["/apiVersion", "/kind", "/metadata/name"]
                .into_iter()
                .find(|pointer| manifest.pointer(pointer).and_then(Value::as_str).is_none())
                .unwrap_or_default();
            self.fault(stage, title, missing, "every object needs this as text".into());
            return;
        };
        if object.kind == "Secret" && object.api_version == "v1" {
            for field in ["/data", "/stringData"] {
                if manifest.pointer(field).is_some() {
                    let message =
                        "a Secret's values must not be in a plan: compose it with a secret step".to_owned();
                    self.fault(stage, title, field, message);
                }
            }
        }
        for field in ["/status", "/metadata/managedFields", "/metadata/uid", "/metadata/resourceVersion"] {
            if manifest.pointer(field).is_some_and(|value| !value.is_null()) {
                self.fault(stage, title, field, "the server sets this; leave it out".into());
            }
        }
        if manifest.pointer("/metadata/generateName").is_some() {
            self.fault(
                stage,
                title,
                "/metadata/generateName",
                "a desired object has a name of its own".into(),
            );
        }
        for field in ["/metadata/labels", "/metadata/annotations"] {
            let Some(Value::Object(map)) = manifest.pointer(field) else { continue };
            for key in map.keys() {
                self.own_key(stage, title, field, key);
            }
        }
    }

    /// A key of a label or annotation that is the plugin's own to give.
    fn own_key(&mut self, stage: &str, title: &str, field: &str, key: &str) {
        if RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
            self.fault(stage, title, field, format!("`{key}` is the host's own; leave it out"));
        }
    }
}

/// Whether `name` is a DNS label (RFC 1123) as Kubernetes reads it for names of namespaces.
pub fn is_dns_label(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ObjectStep, OnChange, OnUninstall, SecretEntry, SecretStep, Stage};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn plugin_plan(steps: Vec<Step>) -> PluginPlan {
        PluginPlan {
            preflight: vec![],
            stages: vec![Stage { name: "all".into(), steps, gates: vec![], skip_if: vec![] }],
            health: vec![],
            tests: vec![],
            notes: None,
        }
    }

    fn object(manifest: Value) -> Step {
        let (on_change, on_uninstall) = (OnChange::Update, OnUninstall::Delete);
        Step::Object(ObjectStep { manifest, on_change, on_uninstall, bindings: vec![] })
    }

    fn messages(plugin_plan: &PluginPlan) -> Vec<String> {
        validate_plan(plugin_plan, &["admin-password"], false).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_secret_with_values_is_refused() {
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"},
            "stringData": {"password": "x"}});
        assert_eq!(
            messages(&plugin_plan(vec![object(manifest)])),
            [
                "stage all, Secret b/a, /stringData: a Secret's values must not be in a plan: compose it with a secret step"
            ]
        );
    }

    #[test]
    fn an_object_without_a_name_is_refused_with_the_field() {
        let faults = messages(&plugin_plan(vec![object(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        )]));
        assert_eq!(
            faults,
            ["stage all, an object without a name, /metadata/name: every object needs this as text"]
        );
    }

    #[test]
    fn the_same_object_in_two_versions_is_the_same_object() {
        let one = |version: &str| {
            object(json!({"apiVersion": format!("apps/{version}"), "kind": "Deployment",
                "metadata": {"name": "a", "namespace": "b"}}))
        };
        assert_eq!(messages(&plugin_plan(vec![one("v1"), one("v1beta1")])).len(), 1);
    }

    #[test]
    fn an_external_step_names_open_outputs_of_steps_before_it_and_inputs_of_the_plugin() {
        let external = |name: &str, path: &str, input: &str| {
            let request = |method: &str| json!({"method": method, "path": path});
            let output =
                |name: &str, secret: bool| json!({"name": name, "select": "json.a", "secret": secret});
            let step = json!({"external": {"name": name, "baseUrl": "https://a.io", "select": "json",
                "auth": {"basic": {"username": "u", "passwordInput": input}},
                "find": request("GET"), "create": request("POST"), "desired": {}, "onUninstall": "delete",
                "outputs": [output("id", false), output("password", true)]}});
            serde_json::from_value::<Step>(step).unwrap()
        };
        let client = || external("client", "/a", "admin-password");
        let second = |path: &str| {
            let faults = messages(&plugin_plan(vec![client(), external("mapper", path, "admin-password")]));
            faults.first().map(|fault| fault.split_once(": ").unwrap().1.to_owned())
        };
        assert_eq!(second("/a/${steps.client.id}"), None);
        assert_eq!(
            second("/a/${steps.client.password}").unwrap(),
            "`${steps.client.password}` is secret, and only a Secret may hold it"
        );
        assert_eq!(
            second("/a/${steps.mapper.id}").unwrap(),
            "`${steps.mapper.id}` is no output of a step before this one"
        );
        assert_eq!(
            messages(&plugin_plan(vec![external("client", "/a", "other")])),
            [
                "stage all, external resource client: `other` is none of the plugin's secret inputs: admin-password"
            ]
        );
        assert_eq!(messages(&plugin_plan(vec![external("client", "a", "admin-password")])).len(), 2);
    }

    #[test]
    fn a_plugin_cannot_claim_objects_for_another_release() {
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b",
            "labels": {"applyset.kubernetes.io/part-of": "applyset-x"}}});
        assert_eq!(messages(&plugin_plan(vec![object(manifest)])).len(), 1);
    }

    #[test]
    fn what_the_server_sets_is_refused() {
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "status": {},
            "metadata": {"name": "a", "namespace": "b", "uid": "1", "managedFields": []}});
        assert_eq!(messages(&plugin_plan(vec![object(manifest)])).len(), 3);
    }

    #[test]
    fn a_mirror_shows_another_secret() {
        let secret = |namespace: Option<&str>, name: &str| ObjectRef {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: namespace.map(Into::into),
            name: name.into(),
        };
        let faults = |source: ObjectRef| {
            let step = Step::Secret(SecretStep {
                name: "tls".into(),
                target: secret(Some("b"), "a"),
                secret_type: "kubernetes.io/tls".into(),
                labels: BTreeMap::new(),
                content: SecretContent::Mirror(source),
                on_uninstall: OnUninstall::Delete,
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
    fn a_config_map_with_secrets_is_made_of_given_values_and_marked_by_the_host_alone() {
        let faults = |change: fn(&mut Value)| {
            let mut step = json!({"name": "config", "secretType": "", "onUninstall": "delete",
                "target": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "b", "name": "config"},
                "content": {"entries": [{"key": "password", "source": {"input": "admin-password"}}]}});
            change(&mut step);
            messages(&plugin_plan(vec![serde_json::from_value(json!({"secret": step})).unwrap()]))
        };
        assert_eq!(faults(|_| ()), Vec::<String>::new());
        assert_eq!(
            faults(|step| step["labels"] = json!({"thinkube.io/managed": "true"})),
            Vec::<String>::new()
        );
        for (change, expected) in [
            ((|step| step["secretType"] = json!("Opaque")) as fn(&mut Value), "of no type"),
            (|step| step["target"]["namespace"] = Value::Null, "in a namespace"),
            (|step| step["content"] = json!({"mirror": step["target"]}), "made of entries"),
            (
                |step| {
                    step["content"]["entries"][0]["source"] =
                        json!({"random": {"bytes": 32, "encoding": "hex"}});
                },
                "copy it from a Secret",
            ),
            (|step| step["labels"] = json!({"thinkube.org/confidential": "false"}), "the host's own"),
            (|step| step["target"]["kind"] = json!("Pod"), "must be a v1 Secret"),
        ] {
            let found = faults(change);
            assert!(found.iter().any(|fault| fault.contains(expected)), "{expected}: {found:?}");
        }
    }

    #[test]
    fn a_secret_input_that_the_descriptor_does_not_state_is_refused() {
        let step = Step::Secret(SecretStep {
            name: "root".into(),
            target: ObjectRef {
                api_version: "v1".into(),
                kind: "Secret".into(),
                namespace: Some("b".into()),
                name: "root".into(),
            },
            secret_type: "Opaque".into(),
            labels: BTreeMap::new(),
            content: SecretContent::Entries(vec![SecretEntry {
                key: "password".into(),
                source: SecretSource::Input("root-password".into()),
            }]),
            on_uninstall: OnUninstall::Delete,
        });
        assert_eq!(
            messages(&plugin_plan(vec![step])),
            [
                "stage all, Secret b/root, /password: `root-password` is none of the plugin's secret inputs: admin-password"
            ]
        );
    }

    #[test]
    fn a_stage_cannot_pass_as_the_tests() {
        let mut plugin_plan = plugin_plan(vec![]);
        plugin_plan.stages[0].name = "tests".into();
        assert_eq!(messages(&plugin_plan).len(), 1);
    }

    #[test]
    fn files_in_pods_are_for_the_plan_of_a_release_alone() {
        let step = json!({"podFiles": {"name": "conf", "namespace": "b", "labelSelector": "app=a",
            "files": [], "lines": [{"path": "/rc", "text": "a"}]}});
        let plugin_plan = plugin_plan(vec![serde_json::from_value(step).expect("a step")]);
        assert_eq!(messages(&plugin_plan), [""; 0]);
        let faults = validate_operation(&plugin_plan, &[], false);
        assert!(faults[0].to_string().contains("an operation writes no files in pods"), "{faults:?}");
    }

    #[test]
    fn stage_names_are_dns_labels() {
        for (name, valid) in
            [("a", true), ("stage-1", true), ("", false), ("-a", false), ("A", false), ("a.b", false)]
        {
            assert_eq!(is_dns_label(name), valid, "{name}");
        }
        assert!(!is_dns_label(&"a".repeat(64)));
    }
}
