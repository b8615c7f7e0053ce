//! The gate: compares everything that a plan or a query does with what the operator granted. Anything without a grant is
//! denied.

use crate::check::{Check, Expectation, HttpProbe, HttpTarget, Probe};
use crate::error::Error;
use crate::facts::Query;
use crate::object::{ObjectRef, Selection, TypeMeta};
use crate::origin::origin;
use crate::path::RelativePath;
use crate::permission::{KindPermission, Permission, Scope};
use crate::plan::external::{Auth, ExternalStep};
use crate::plan::image::ImageStep;
use crate::plan::secret::{SecretContent, SecretSource, SecretStep};
use crate::plan::stage::Step;
use crate::plan::{Plan, PluginPlan};
use crate::python_package::normalized_name;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The permissions that an operator grants to one plugin. The default grants nothing.
///
/// ```
/// use serde_json::json;
/// use thinkube_plan::Grants;
///
/// let grants = Grants::from_value(json!({"permissions": [{"connect": "https://auth.example.org"}]}))?;
/// assert_eq!(grants.permissions[0].to_string(), "connect to https://auth.example.org");
/// # Ok::<(), thinkube_plan::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grants {
    /// The granted permissions.
    pub permissions: Vec<Permission>,
}

/// A step or check of a plan without the permission that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Denial {
    /// The stage, or `preflight`, `health`, `tests`.
    pub stage: String,
    /// The step or check.
    pub what: String,
    /// The missing permission, for people.
    pub needs: String,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage {}: {} needs the permission to {}", self.stage, self.what, self.needs)
    }
}

impl Grants {
    /// Reads a grants file that has been parsed to JSON.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not `{"permissions": [...]}` with known permissions.
    pub fn from_value(value: serde_json::Value) -> Result<Self, Error> {
        serde_json::from_value(value).map_err(|source| Error::Malformed { what: "grants file", source })
    }

    /// Every step and check of `plan` that these grants do not cover. The plan may run only if there is none.
    pub fn denials(&self, plan: &Plan) -> Vec<Denial> {
        let gate = Gate { granted: &self.permissions, namespace: &plan.namespace };
        let mut denials = Vec::new();
        for stage in &plan.plugin_plan.stages {
            for step in &stage.steps {
                let missing = gate.missing_for_step(step).into_iter();
                denials.extend(missing.map(|needs| Denial {
                    stage: stage.name.clone(),
                    what: step.title(),
                    needs,
                }));
            }
        }
        for (stage, check) in plan.plugin_plan.checks() {
            let what = format!("check {}", check.name);
            let missing = gate.missing_for_check(stage, check);
            denials.extend(missing.map(|needs| Denial { stage: stage.to_owned(), what, needs }));
        }
        denials
    }
}

/// Whether `granted` allows an answer to `query` for a release in `namespace`.
pub fn permits_query(granted: &[Permission], namespace: &str, query: &Query) -> bool {
    let gate = Gate { granted, namespace };
    match query {
        Query::Object(object) => gate.reads(&object.type_meta(), Location::of(object)),
        Query::Objects(selection) => gate.reads(&kind_of(selection), Location::of_selection(selection)),
        Query::Served(kind) => {
            granted.iter().any(|held| matches!(held, Permission::Read(held) | Permission::Emit(held) if held.type_meta() == *kind))
        }
    }
}

/// The permissions that an image step needs and `granted` lacks, for people.
pub fn missing_for_image(granted: &[Permission], image: &ImageStep) -> Vec<String> {
    let gate = Gate { granted, namespace: "" };
    needed_for_image(image).iter().filter(|needed| !gate.holds(needed)).map(ToString::to_string).collect()
}

fn needed_for_image(image: &ImageStep) -> Vec<Permission> {
    let mut needed = vec![
        Permission::BuildFrom(image.source.location().to_owned()),
        Permission::PushImage(repository(&image.destination).to_owned()),
    ];
    needed.extend(image.push_credentials.as_ref().map(copy_permission));
    needed
}

/// The permissions to connect that an external step needs.
pub fn connect_permissions(step: &ExternalStep) -> Vec<Permission> {
    let mut needed = vec![connect_permission(&step.base_url)];
    if let Auth::PasswordGrant { token_url, .. } = &step.auth {
        needed.push(connect_permission(token_url));
    }
    needed.dedup();
    needed
}

/// The permission for a URL without an origin names the whole URL. It is always denied, because a grant names an origin.
fn connect_permission(url: &str) -> Permission {
    Permission::Connect(origin(url).unwrap_or_else(|| url.to_owned()))
}

fn copy_permission(secret: &ObjectRef) -> Permission {
    Permission::CopySecret(namespaced_name(secret))
}

fn namespaced_name(object: &ObjectRef) -> String {
    format!("{}/{}", object.namespace.as_deref().unwrap_or(""), object.name)
}

fn kind_of(selection: &Selection) -> TypeMeta {
    TypeMeta { api_version: selection.api_version.clone(), kind: selection.kind.clone() }
}

/// Whether `granted` allows to write `path`, which is relative to the operator's home directory.
pub(crate) fn permits_home(granted: &[Permission], path: &RelativePath) -> bool {
    granted.iter().any(|held| match held {
        // A grant that is not a path grants nothing, least of all "" and ".".
        Permission::WriteHome(held) => {
            held.trim_end_matches('/').parse().is_ok_and(|folder| path.is_within(&folder))
        }
        _ => false,
    })
}

/// Whether `granted` allows to install the Python package of this normalized name.
pub(crate) fn permits_python_package(granted: &[Permission], name: &str) -> bool {
    let is_granted =
        |held: &Permission| matches!(held, Permission::PythonPackage(held) if normalized_name(held) == name);
    granted.iter().any(is_granted)
}

struct Gate<'a> {
    granted: &'a [Permission],
    namespace: &'a str,
}

/// Where an object is, as far as scopes are concerned.
#[derive(Clone, Copy)]
enum Location<'a> {
    /// A cluster-scoped object, or every namespace.
    Cluster,
    Namespace(&'a str),
}

impl<'a> Location<'a> {
    fn of(object: &'a ObjectRef) -> Self {
        // A permission for objects in a namespace includes the Namespace object itself, and no other Namespace.
        let is_namespace = object.kind == "Namespace" && object.api_version == "v1";
        Self::from(if is_namespace { Some(object.name.as_str()) } else { object.namespace.as_deref() })
    }

    fn of_selection(selection: &'a Selection) -> Self {
        Self::from(selection.namespace.as_deref())
    }
}

impl<'a> From<Option<&'a str>> for Location<'a> {
    fn from(namespace: Option<&'a str>) -> Self {
        namespace.map_or(Self::Cluster, Self::Namespace)
    }
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("the whole cluster"),
            Self::Namespace(name) => write!(f, "namespace {name}"),
        }
    }
}

impl Gate<'_> {
    fn covers(&self, held: &KindPermission, kind: &TypeMeta, location: Location<'_>) -> bool {
        let in_scope = match (&held.scope, location) {
            (Scope::Cluster, _) => true,
            (_, Location::Cluster) => false,
            (Scope::Namespaces(names), Location::Namespace(name)) => {
                names.iter().any(|granted| granted == name)
            }
            (Scope::OwnNamespace, Location::Namespace(name)) => name == self.namespace,
        };
        in_scope && held.type_meta() == *kind
    }

    fn emits(&self, kind: &TypeMeta, location: Location<'_>) -> bool {
        self.granted
            .iter()
            .any(|held| matches!(held, Permission::Emit(held) if self.covers(held, kind, location)))
    }

    fn reads(&self, kind: &TypeMeta, location: Location<'_>) -> bool {
        self.granted
            .iter()
            .any(|held| matches!(held, Permission::Read(held) if self.covers(held, kind, location)))
    }

    fn holds(&self, needed: &Permission) -> bool {
        self.granted.iter().any(|held| match (held, needed) {
            (Permission::Connect(held), Permission::Connect(needed)) => {
                origin(held).is_some_and(|held| held == *needed)
            }
            (Permission::PushImage(held), Permission::PushImage(needed))
            | (Permission::BuildFrom(held), Permission::BuildFrom(needed)) => is_prefix(held, needed),
            _ => held == needed,
        })
    }

    /// The permissions that `step` needs and lacks, for people.
    fn missing_for_step(&self, step: &Step) -> Vec<String> {
        let mut missing = Vec::new();
        // A restart changes the workload, so it needs the permission to apply it.
        let changed = match step {
            Step::Restart(workload) => Some(workload.clone()),
            _ => step.target(),
        };
        if let Some(target) = changed
            && !self.emits(&target.type_meta(), Location::of(&target))
        {
            let location = Location::of(&target);
            missing.push(format!("apply {} ({}) in {location}", target.kind, target.api_version));
        }
        let needed = needed_for_step(step);
        missing.extend(needed.iter().filter(|needed| !self.holds(needed)).map(ToString::to_string));
        let inputs = secret_inputs(step).into_iter().filter(|name| !self.holds_input(name));
        missing.extend(inputs.map(|name| format!("use the secret input {name}")));
        missing
    }

    fn holds_input(&self, input: &str) -> bool {
        self.granted.iter().any(|held| matches!(held, Permission::SecretInput { name, .. } if name == input))
    }

    /// The permission that `check` needs and lacks. A check may observe every object that the plugin may apply.
    fn missing_for_check(&self, list: &str, check: &Check) -> Option<String> {
        // `evaluate` shows the observation to the plugin, so it always needs the permission to read.
        let is_shown = check.expect == Expectation::Evaluate;
        match &check.probe {
            // A check observes the type, the key names and the certificate of a Secret: less than a copy.
            Probe::Object(object)
                if !is_shown
                    && object.kind == "Secret"
                    && object.api_version == "v1"
                    && self.holds(&copy_permission(object)) =>
            {
                None
            }
            Probe::Ready(object) | Probe::Object(object) => {
                self.missing_to_observe(&object.type_meta(), Location::of(object), is_shown)
            }
            Probe::Objects(selection) => {
                self.missing_to_observe(&kind_of(selection), Location::of_selection(selection), is_shown)
            }
            Probe::Http(probe) => self.missing_for_request(list, probe, is_shown),
        }
    }

    fn missing_to_observe(&self, kind: &TypeMeta, location: Location<'_>, is_shown: bool) -> Option<String> {
        let is_allowed = !is_shown && self.emits(kind, location) || self.reads(kind, location);
        (!is_allowed).then(|| format!("read {} ({})", kind.kind, kind.api_version))
    }

    /// A permission to observe must not allow changes: only tests, which a person starts, may send other methods, and only to
    /// Services that the plugin may apply.
    fn missing_for_request(&self, list: &str, probe: &HttpProbe, is_shown: bool) -> Option<String> {
        let is_test = list == PluginPlan::TESTS;
        let method = probe.method.as_str();
        match &probe.target {
            HttpTarget::Service(service) => {
                let kind = TypeMeta { api_version: "v1".to_owned(), kind: "Service".to_owned() };
                let location = Location::Namespace(&service.namespace);
                if !(probe.method.is_safe() || is_test && self.emits(&kind, location)) {
                    return Some(format!(
                        "send {method} to a Service; only tests may, and only to Services that the plugin may apply"
                    ));
                }
                self.missing_to_observe(&kind, location, is_shown)
            }
            HttpTarget::Url(_) if !probe.method.is_safe() && !is_test => {
                Some(format!("send {method} to a URL; only tests may"))
            }
            HttpTarget::Url(url) => {
                let needed = connect_permission(url);
                (!self.holds(&needed)).then(|| needed.to_string())
            }
        }
    }
}

/// The permissions that a step needs beside those to apply an object and to use secret inputs.
fn needed_for_step(step: &Step) -> Vec<Permission> {
    match step {
        Step::Object(_) | Step::Restart(_) => Vec::new(),
        Step::Secret(SecretStep { content: SecretContent::Mirror(source), .. }) => {
            vec![copy_permission(source)]
        }
        Step::Secret(secret @ SecretStep { content: SecretContent::Entries(entries), .. }) => {
            let copies = entries.iter().filter_map(|entry| match &entry.source {
                SecretSource::Copy(key) => {
                    Some(Permission::CopySecret(format!("{}/{}", key.namespace, key.name)))
                }
                _ => None,
            });
            let disclosed = secret.discloses().then(|| Permission::Disclose(namespaced_name(&secret.target)));
            copies.chain(disclosed).collect()
        }
        Step::Image(image) => needed_for_image(image),
        Step::External(external) => connect_permissions(external),
        Step::PodFiles(files) => vec![Permission::WritePodFiles(files.namespace.clone())],
    }
}

fn secret_inputs(step: &Step) -> Vec<&str> {
    match step {
        Step::Secret(SecretStep { content: SecretContent::Entries(entries), .. }) => entries
            .iter()
            .filter_map(|entry| match &entry.source {
                SecretSource::Input(name) => Some(name.as_str()),
                _ => None,
            })
            .collect(),
        Step::External(external) => external.auth.password_input().map(String::as_str).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Whether `path` is `prefix` or lies below it. An empty prefix covers nothing.
fn is_prefix(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    !prefix.is_empty()
        && path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `registry/library/devpi:1` → `registry/library/devpi`.
fn repository(destination: &str) -> &str {
    let name = destination.split('@').next().unwrap_or_default();
    match name.rfind(':') {
        Some(at) if !name[at..].contains('/') => &name[..at],
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{HttpMethod, ServiceTarget};
    use crate::plan::image::{GitSource, ImageSource};
    use crate::testing::{self, emit, manifest, object_ref, read};
    use serde_json::{Value, json};

    fn plan(manifests: Vec<Value>, health: Vec<Check>) -> Plan {
        let steps = manifests.into_iter().map(testing::object_step).collect();
        let mut plan = testing::plan(vec![testing::stage("all", steps)]);
        plan.plugin_plan.health = health;
        plan
    }

    fn denied(permissions: Vec<Permission>, plan: &Plan) -> Vec<String> {
        Grants { permissions }.denials(plan).into_iter().map(|denial| denial.to_string()).collect()
    }

    #[test]
    fn nothing_is_granted_by_default() {
        let plan = plan(vec![manifest("v1", "ConfigMap", Some("demo"), "a")], vec![]);
        assert_eq!(
            denied(vec![], &plan),
            ["stage all: ConfigMap demo/a needs the permission to apply ConfigMap (v1) in namespace demo"]
        );
    }

    #[test]
    fn own_namespace_covers_only_the_release_s_namespace() {
        let own = |kind| emit("v1", kind, Scope::OwnNamespace);
        let inside = plan(
            vec![manifest("v1", "Namespace", None, "demo"), manifest("v1", "ConfigMap", Some("demo"), "a")],
            vec![],
        );
        assert_eq!(denied(vec![own("Namespace"), own("ConfigMap")], &inside), Vec::<String>::new());
        let outside = plan(
            vec![
                manifest("v1", "Namespace", None, "kube-system"),
                manifest("v1", "ConfigMap", Some("kube-system"), "a"),
            ],
            vec![],
        );
        assert_eq!(denied(vec![own("Namespace"), own("ConfigMap")], &outside).len(), 2);
    }

    #[test]
    fn an_object_without_a_namespace_needs_the_cluster_scope() {
        let plan = plan(vec![manifest("rbac.authorization.k8s.io/v1", "ClusterRole", None, "a")], vec![]);
        let group = "rbac.authorization.k8s.io/v1";
        assert_eq!(denied(vec![emit(group, "ClusterRole", Scope::OwnNamespace)], &plan).len(), 1);
        assert_eq!(denied(vec![emit(group, "ClusterRole", Scope::Cluster)], &plan).len(), 0);
    }

    #[test]
    fn a_grant_for_one_api_group_does_not_cover_another() {
        let plan = plan(vec![manifest("example.org/v1", "ConfigMap", Some("demo"), "a")], vec![]);
        assert_eq!(denied(vec![emit("v1", "ConfigMap", Scope::Cluster)], &plan).len(), 1);
    }

    fn http_check(target: HttpTarget) -> Check {
        testing::check("answers", testing::http_probe(HttpMethod::Get, target))
    }

    #[test]
    fn a_url_that_only_looks_like_the_granted_origin_is_denied() {
        let granted = vec![Permission::Connect("https://pypi.example.org".into())];
        let fine =
            plan(vec![], vec![http_check(HttpTarget::Url("https://PyPI.example.org/simple?x=1".into()))]);
        assert_eq!(denied(granted.clone(), &fine).len(), 0);
        for url in [
            "https://pypi.example.org@evil.org/",
            "https://pypi.example.org.evil.org",
            "http://pypi.example.org/",
            "https://evil.org\\@pypi.example.org/",
        ] {
            let plan = plan(vec![], vec![http_check(HttpTarget::Url(url.into()))]);
            assert_eq!(denied(granted.clone(), &plan).len(), 1, "{url}");
        }
    }

    #[test]
    fn a_check_may_observe_a_secret_that_may_be_copied() {
        let observe = |name: &str, expect| {
            let object = object_ref("v1", "Secret", Some("default"), name);
            let mut check = http_check(HttpTarget::Url("https://a/".into()));
            check.probe = Probe::Object(object);
            check.expect = expect;
            denied(vec![Permission::CopySecret("default/tls".into())], &plan(vec![], vec![check])).len()
        };
        assert_eq!(observe("tls", Expectation::Holds), 0);
        assert_eq!(observe("other", Expectation::Holds), 1);
        assert_eq!(observe("tls", Expectation::Evaluate), 1, "the plugin would see it");
    }

    #[test]
    fn a_plugin_may_probe_but_not_see_what_it_may_apply() {
        let object = object_ref("v1", "Service", Some("demo"), "a");
        let mut check = http_check(HttpTarget::Url(String::new()));
        check.probe = Probe::Object(object);
        let granted = vec![emit("v1", "Service", Scope::OwnNamespace)];
        assert_eq!(denied(granted.clone(), &plan(vec![], vec![check.clone()])).len(), 0);
        check.expect = Expectation::Evaluate;
        assert_eq!(denied(granted, &plan(vec![], vec![check])).len(), 1);
    }

    #[test]
    fn only_tests_may_send_unsafe_requests_to_the_plugin_s_services() {
        let service = |namespace: &str| {
            let (name, path) = ("a".to_owned(), "/".to_owned());
            HttpTarget::Service(ServiceTarget { namespace: namespace.into(), name, port: 80, path })
        };
        let post = |namespace| {
            let mut check = http_check(service(namespace));
            if let Probe::Http(http) = &mut check.probe {
                http.method = HttpMethod::Post;
            }
            check
        };
        let granted = vec![read("v1", "Service", Scope::Cluster), emit("v1", "Service", Scope::OwnNamespace)];
        assert_eq!(denied(granted.clone(), &plan(vec![], vec![http_check(service("other"))])).len(), 0);
        assert_eq!(denied(granted.clone(), &plan(vec![], vec![post("demo")])).len(), 1);
        let mut testing = plan(vec![], vec![]);
        testing.plugin_plan.tests = vec![post("demo")];
        assert_eq!(denied(granted.clone(), &testing).len(), 0);
        testing.plugin_plan.tests = vec![post("other")];
        assert_eq!(denied(granted, &testing).len(), 1);
    }

    fn admin_password() -> Permission {
        Permission::SecretInput {
            name: "admin-password".into(),
            env: "ADMIN_PASSWORD".into(),
            falls_back_to: None,
        }
    }

    #[test]
    fn a_secret_input_must_be_granted() {
        let mut plan = plan(vec![], vec![]);
        let source = SecretSource::Input("admin-password".into());
        let secret = testing::secret_step("demo", "root", vec![("password", source)]);
        plan.plugin_plan.stages[0].steps.push(Step::Secret(secret));
        let emits = emit("v1", "Secret", Scope::OwnNamespace);
        let input = admin_password();
        assert_eq!(
            denied(vec![emits.clone()], &plan),
            ["stage all: Secret demo/root needs the permission to use the secret input admin-password"]
        );
        assert_eq!(denied(vec![emits, input], &plan).len(), 0);
    }

    #[test]
    fn secrets_in_clear_are_granted_for_one_config_map() {
        let mut plan = plan(vec![], vec![]);
        let step = json!({"secret": {"name": "config", "secretType": "", "onUninstall": "delete",
            "target": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "demo", "name": "config"},
            "content": {"entries": [{"key": "password", "source": {"input": "admin-password"}}]}}});
        plan.plugin_plan.stages[0].steps = vec![serde_json::from_value(step).unwrap()];
        let held = |disclosed: &str| {
            vec![
                emit("v1", "ConfigMap", Scope::OwnNamespace),
                admin_password(),
                Permission::Disclose(disclosed.into()),
            ]
        };
        assert_eq!(denied(held("demo/config"), &plan), Vec::<String>::new());
        for other in ["demo/other", "demo", "other/config", "*"] {
            assert_eq!(
                denied(held(other), &plan),
                ["stage all: ConfigMap demo/config needs the permission to write secrets in clear into \
                  ConfigMap demo/config"]
            );
        }
    }

    fn external(base_url: &str, token_url: &str) -> Step {
        let auth = testing::password_grant(token_url, "admin-password");
        Step::External(Box::new(testing::external_step("client", base_url, &json!({ "auth": auth }))))
    }

    #[test]
    fn a_password_is_sent_to_granted_origins_only() {
        let mut plan = plan(vec![], vec![]);
        plan.plugin_plan.stages[0].steps = vec![external("https://api.io/a", "https://auth.io/token")];
        let connect = |origin: &str| Permission::Connect(origin.into());
        let input = admin_password();
        let all = vec![connect("https://api.io"), connect("https://auth.io"), input];
        assert_eq!(denied(all.clone(), &plan), Vec::<String>::new());
        for (left_out, expected) in ["https://api.io", "https://auth.io", "admin-password"].iter().enumerate()
        {
            let mut granted = all.clone();
            granted.remove(left_out);
            let denied = denied(granted, &plan);
            assert!(denied.len() == 1 && denied[0].ends_with(expected), "{denied:?}");
        }
    }

    #[test]
    fn only_tests_may_send_unsafe_requests_to_a_url() {
        let mut check = http_check(HttpTarget::Url("https://api.io/a".into()));
        if let Probe::Http(http) = &mut check.probe {
            http.method = HttpMethod::Post;
        }
        let granted = vec![Permission::Connect("https://api.io".into())];
        assert_eq!(denied(granted.clone(), &plan(vec![], vec![check.clone()])).len(), 1);
        let mut testing = plan(vec![], vec![]);
        testing.plugin_plan.tests = vec![check];
        assert_eq!(denied(granted, &testing).len(), 0);
    }

    #[test]
    fn a_granted_prefix_covers_repositories_below_it_only() {
        let granted = [Permission::PushImage("registry/library".into())];
        let gate = Gate { granted: &granted, namespace: "demo" };
        assert!(gate.holds(&Permission::PushImage("registry/library/devpi".into())));
        assert!(!gate.holds(&Permission::PushImage("registry/library-of-others/devpi".into())));
    }

    #[test]
    fn an_image_needs_grants_for_source_destination_and_login() {
        let source = |url: &str| ImageSource::Git(GitSource { url: url.into(), revision: "main".into() });
        let mut plan = plan(vec![], vec![]);
        let mut step = ImageStep {
            name: "devpi".into(),
            source: source("https://git.example.org/thinkube/devpi"),
            dockerfile: "Dockerfile".into(),
            context: ".".into(),
            destination: "registry.example.org/library/devpi:1".into(),
            push_credentials: Some(object_ref("v1", "Secret", Some("default"), "login")),
        };
        plan.plugin_plan.stages[0].steps.push(Step::Image(step.clone()));
        assert_eq!(
            denied(vec![], &plan),
            [
                "stage all: image devpi needs the permission to build an image from https://git.example.org/thinkube/devpi",
                "stage all: image devpi needs the permission to push images to registry.example.org/library/devpi",
                "stage all: image devpi needs the permission to copy from Secret default/login",
            ]
        );
        let granted = vec![
            Permission::BuildFrom("https://git.example.org/thinkube/".into()),
            Permission::PushImage("registry.example.org/library".into()),
            Permission::CopySecret("default/login".into()),
        ];
        assert_eq!(denied(granted.clone(), &plan), Vec::<String>::new());
        for other in [
            source("https://git.example.org/thinkube-of-others/devpi"),
            source("https://git.example.org.evil.example/thinkube/devpi"),
            ImageSource::Folder("/srv/devpi".into()),
        ] {
            step.source = other;
            plan.plugin_plan.stages[0].steps = vec![Step::Image(step.clone())];
            assert_eq!(denied(granted.clone(), &plan).len(), 1);
        }
        let folder = vec![Permission::BuildFrom("/srv".into()), granted[1].clone(), granted[2].clone()];
        assert_eq!(denied(folder, &plan), Vec::<String>::new());
    }

    #[test]
    fn a_query_for_all_namespaces_needs_the_cluster_scope() {
        let query = Query::Objects(Selection {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespace: None,
            label_selector: String::new(),
        });
        assert!(!permits_query(&[read("v1", "Pod", Scope::OwnNamespace)], "demo", &query));
        assert!(permits_query(&[read("v1", "Pod", Scope::Cluster)], "demo", &query));
    }

    #[test]
    fn a_port_of_a_registry_is_not_a_tag() {
        assert_eq!(repository("registry:5000/library/devpi"), "registry:5000/library/devpi");
        assert_eq!(repository("registry:5000/library/devpi:1"), "registry:5000/library/devpi");
        assert_eq!(repository("registry/library/devpi@sha256:00"), "registry/library/devpi");
    }
}
