//! Builders of plans, steps and checks for tests: a test states only the fields that it is about. Behind the cargo feature
//! `testing`, so no build of the host contains them.

use crate::check::{Check, Expectation, HttpMethod, HttpProbe, HttpTarget, Probe, Severity};
use crate::digest::Digest;
use crate::object::ObjectRef;
use crate::permission::{KindPermission, Permission, Scope};
use crate::plan::external::ExternalStep;
use crate::plan::object::{ObjectStep, OnChange, OnUninstall};
use crate::plan::pod_files::{PodFile, PodFilesStep, PodLine};
use crate::plan::secret::{SecretContent, SecretEntry, SecretSource, SecretStep};
use crate::plan::stage::{Stage, Step};
use crate::plan::{Identity, Plan, PluginPlan};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A plan of release `demo` in namespace `demo`, without stages, checks or permissions.
///
/// ```
/// use serde_json::json;
/// use thinkube_plan::testing::{object_step, plan, stage};
///
/// let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "demo"}});
/// let plan = plan(vec![stage("base", vec![object_step(config)])]);
/// let (stage, object) = plan.targets().next().expect("the plan has an object");
/// assert_eq!((stage.name.as_str(), object.to_string().as_str()), ("base", "ConfigMap demo/a"));
/// ```
pub fn plan(stages: Vec<Stage>) -> Plan {
    Plan {
        api_version: Plan::API_VERSION.to_owned(),
        kind: "Plan".to_owned(),
        release: "demo".to_owned(),
        namespace: "demo".to_owned(),
        plugin: Identity {
            name: "demo".to_owned(),
            version: "1.0.0".to_owned(),
            digest: Digest::of(b"demo"),
        },
        settings: json!({}),
        requested: Vec::new(),
        granted: Vec::new(),
        agreed: Vec::new(),
        plugin_plan: plugin_plan(stages),
    }
}

/// A plugin's part of a plan, without checks or notes.
pub fn plugin_plan(stages: Vec<Stage>) -> PluginPlan {
    PluginPlan { preflight: Vec::new(), stages, health: Vec::new(), tests: Vec::new(), notes: None }
}

/// A stage without gates.
pub fn stage(name: &str, steps: Vec<Step>) -> Stage {
    Stage { name: name.to_owned(), steps, gates: Vec::new(), skip_if: Vec::new() }
}

/// A step for `manifest` that is updated by server-side apply and deleted at uninstall.
pub fn object_step(manifest: Value) -> Step {
    Step::Object(ObjectStep {
        manifest,
        on_change: OnChange::Update,
        on_uninstall: OnUninstall::Delete,
        bindings: Vec::new(),
    })
}

/// A manifest with nothing but its name.
pub fn manifest(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace, "name": name}})
}

/// A reference to an object.
pub fn object_ref(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}

/// A composed Secret of type `Opaque` without labels. The step has the Secret's name.
pub fn secret_step(namespace: &str, name: &str, entries: Vec<(&str, SecretSource)>) -> SecretStep {
    let entries = entries.into_iter().map(|(key, source)| SecretEntry { key: key.to_owned(), source });
    SecretStep {
        name: name.to_owned(),
        target: object_ref("v1", "Secret", Some(namespace), name),
        secret_type: "Opaque".to_owned(),
        labels: BTreeMap::new(),
        content: SecretContent::Entries(entries.collect()),
        on_uninstall: OnUninstall::Delete,
    }
}

/// An external resource on `server`, an origin, that needs no credentials; `fields` replace its JSON fields.
///
/// # Panics
/// If the result is not an external step.
pub fn external_step(name: &str, server: &str, fields: &Value) -> ExternalStep {
    let request = |method: &str| json!({"method": method, "path": "/a"});
    let mut step = json!({"name": name, "baseUrl": server, "auth": "anonymous", "find": request("GET"),
        "select": "json", "create": request("POST"), "desired": {}, "onUninstall": "delete"});
    for (field, value) in fields.as_object().into_iter().flatten() {
        step[field] = value.clone();
    }
    serde_json::from_value(step).expect("the fields are those of an external step")
}

/// The JSON form of an authentication by password grant, for [`external_step`].
pub fn password_grant(token_url: &str, password_input: &str) -> Value {
    json!({"passwordGrant": {"tokenUrl": token_url, "clientId": "c", "username": "u",
        "passwordInput": password_input}})
}

/// Files with their mode and content, and lines, in the pods `app=a` of namespace `ns`.
pub fn pod_files_step(files: &[(&str, u32, &str)], lines: &[(&str, &str)]) -> PodFilesStep {
    let file = |(path, mode, content): &(&str, u32, &str)| PodFile {
        path: (*path).to_owned(),
        mode: *mode,
        content: (*content).to_owned(),
    };
    let line = |(path, text): &(&str, &str)| PodLine { path: (*path).to_owned(), text: (*text).to_owned() };
    PodFilesStep {
        name: "files".to_owned(),
        namespace: "ns".to_owned(),
        label_selector: "app=a".to_owned(),
        container: None,
        files: files.iter().map(file).collect(),
        lines: lines.iter().map(line).collect(),
    }
}

/// A check that expects its probe to hold, fails as an error, and waits one second.
pub fn check(name: &str, probe: Probe) -> Check {
    Check {
        name: name.to_owned(),
        title: format!("{name} holds"),
        probe,
        expect: Expectation::Holds,
        timeout_seconds: 1,
        severity: Severity::Error,
        remedy: None,
    }
}

/// A request without headers, credentials or body.
pub fn http_probe(method: HttpMethod, target: HttpTarget) -> Probe {
    Probe::Http(HttpProbe {
        target,
        method,
        headers: Vec::new(),
        credentials: None,
        body: None,
        follow_redirects: false,
    })
}

/// The permission to apply objects of a kind.
pub fn emit(api_version: &str, kind: &str, scope: Scope) -> Permission {
    Permission::Emit(kind_permission(api_version, kind, scope))
}

/// The permission to read objects of a kind.
pub fn read(api_version: &str, kind: &str, scope: Scope) -> Permission {
    Permission::Read(kind_permission(api_version, kind, scope))
}

fn kind_permission(api_version: &str, kind: &str, scope: Scope) -> KindPermission {
    KindPermission { api_version: api_version.to_owned(), kind: kind.to_owned(), scope }
}
