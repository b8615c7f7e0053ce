use crate::{
    Auth, Error, Expectation, ExternalStep, HttpTarget, ObjectRef, Permission, Plan, Probe, Query,
    RelativePath, Scope, SecretContent,
};
use crate::{HttpMethod, ImageStep, SecretSource, SecretStep, Step, TypeMeta};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the operator allows one plugin. The default allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grants {
    /// What is allowed; everything else is refused.
    pub permissions: Vec<Permission>,
}

/// Something that a plan holds and nobody granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Denial {
    /// The stage, or `preflight`, `health`, `tests`.
    pub stage: String,
    /// The step or check.
    pub what: String,
    /// What would have to be granted, in words.
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

    /// The one gate: everything in `plan` that these grants do not cover. Empty means that it may run.
    pub fn gate(&self, plan: &Plan) -> Vec<Denial> {
        let gate = Gate { granted: &self.permissions, namespace: &plan.namespace };
        let mut denials = Vec::new();
        for stage in &plan.plugin_plan.stages {
            for step in &stage.steps {
                for needs in gate.step(step) {
                    denials.push(Denial { stage: stage.name.clone(), what: step.title(), needs });
                }
            }
        }
        for (stage, check) in plan.plugin_plan.checks() {
            if let Some(needs) = gate.probe(stage, &check.probe, &check.expect) {
                denials.push(Denial {
                    stage: stage.to_owned(),
                    what: format!("check {}", check.name),
                    needs,
                });
            }
        }
        denials
    }
}

/// Whether `query` may be answered under `granted` for a release in `namespace`.
pub fn permits_query(granted: &[Permission], namespace: &str, query: &Query) -> bool {
    let gate = Gate { granted, namespace };
    match query {
        Query::Object(object) => gate.reads(&object.type_meta(), Place::of(object)),
        Query::Objects(selection) => {
            let kind = TypeMeta { api_version: selection.api_version.clone(), kind: selection.kind.clone() };
            gate.reads(&kind, Place::within(selection.namespace.as_deref()))
        }
        Query::Served(kind) => granted
            .iter()
            .any(|permission| matches!(permission, Permission::Read(held) | Permission::Emit(held) if held.type_meta() == *kind)),
    }
}

/// What an image step needs and `granted` does not have.
pub fn lacking_for_image(granted: &[Permission], image: &ImageStep) -> Vec<String> {
    let gate = Gate { granted, namespace: "" };
    needed_by(image).iter().filter(|wanted| !gate.holds(wanted)).map(ToString::to_string).collect()
}

fn needed_by(image: &ImageStep) -> Vec<Permission> {
    let mut needed = vec![
        Permission::BuildFrom(image.source.location().to_owned()),
        Permission::PushImage(repository(&image.destination).to_owned()),
    ];
    needed.extend(image.push_credentials.as_ref().map(copying));
    needed
}

/// What it takes to speak to where a resource outside the cluster is.
pub fn connecting(step: &ExternalStep) -> Vec<Permission> {
    let mut wanted = vec![Permission::Connect(origin(&step.base_url))];
    if let Auth::PasswordGrant { token_url, .. } = &step.auth {
        wanted.push(Permission::Connect(origin(token_url)));
    }
    wanted.dedup();
    wanted
}

/// What it takes to copy from this Secret.
fn copying(secret: &ObjectRef) -> Permission {
    Permission::CopySecret(namespaced(secret))
}

fn namespaced(object: &ObjectRef) -> String {
    format!("{}/{}", object.namespace.as_deref().unwrap_or(""), object.name)
}

/// Whether `path`, relative to the home, may be written under `granted`.
pub(crate) fn permits_home(granted: &[Permission], path: &RelativePath) -> bool {
    granted.iter().any(|held| match held {
        // What is no path grants nothing: "" and "." least of all.
        Permission::WriteHome(held) => {
            held.trim_end_matches('/').parse().is_ok_and(|folder| path.is_within(&folder))
        }
        _ => false,
    })
}

/// Whether the Python package of this normalised name may be installed under `granted`.
pub(crate) fn permits_python_package(granted: &[Permission], name: &str) -> bool {
    granted
        .iter()
        .any(|held| matches!(held, Permission::PythonPackage(held) if crate::workstation::normalised(held) == name))
}

/// The name of the phase in which checks may write. No stage can have it: see `validate_plan`.
pub(crate) const TESTS: &str = "tests";

struct Gate<'a> {
    granted: &'a [Permission],
    namespace: &'a str,
}

/// Where an object is, as far as scopes are concerned.
#[derive(Clone, Copy)]
enum Place<'a> {
    Everywhere,
    Namespace(&'a str),
}

impl<'a> Place<'a> {
    fn of(object: &'a ObjectRef) -> Self {
        // A Namespace is in itself: who may fill a namespace may make it, and no other one.
        let is_namespace = object.kind == "Namespace" && object.api_version == "v1";
        let name = if is_namespace { Some(object.name.as_str()) } else { object.namespace.as_deref() };
        Self::within(name)
    }

    fn within(namespace: Option<&'a str>) -> Self {
        namespace.map_or(Self::Everywhere, Self::Namespace)
    }
}

impl Gate<'_> {
    fn covers(&self, scope: &Scope, place: Place<'_>) -> bool {
        match (scope, place) {
            (Scope::Cluster, _) => true,
            (_, Place::Everywhere) => false,
            (Scope::Namespaces(names), Place::Namespace(name)) => names.iter().any(|granted| granted == name),
            (Scope::OwnNamespace, Place::Namespace(name)) => name == self.namespace,
        }
    }

    fn emits(&self, kind: &TypeMeta, place: Place<'_>) -> bool {
        self.granted.iter().any(|permission| {
            matches!(permission, Permission::Emit(held) if held.type_meta() == *kind && self.covers(&held.scope, place))
        })
    }

    fn reads(&self, kind: &TypeMeta, place: Place<'_>) -> bool {
        self.granted.iter().any(|permission| {
            matches!(permission, Permission::Read(held) if held.type_meta() == *kind && self.covers(&held.scope, place))
        })
    }

    fn holds(&self, wanted: &Permission) -> bool {
        self.granted.iter().any(|held| match (held, wanted) {
            (Permission::Connect(held), Permission::Connect(wanted)) => origin(held) == *wanted,
            (Permission::PushImage(held), Permission::PushImage(wanted))
            | (Permission::BuildFrom(held), Permission::BuildFrom(wanted)) => below(held, wanted),
            _ => held == wanted,
        })
    }

    /// What `step` needs and does not have.
    fn step(&self, step: &Step) -> Vec<String> {
        let mut needs = Vec::new();
        // Who restarts a workload changes it.
        let changed = match step {
            Step::Restart(workload) => Some(workload.clone()),
            _ => step.target(),
        };
        if let Some(target) = changed
            && !self.emits(&target.type_meta(), Place::of(&target))
        {
            let place = match Place::of(&target) {
                Place::Everywhere => "the whole cluster".to_owned(),
                Place::Namespace(name) => format!("namespace {name}"),
            };
            needs.push(format!("apply {} ({}) in {place}", target.kind, target.api_version));
        }
        let wanted = match step {
            Step::Object(_) | Step::Restart(_) => Vec::new(),
            Step::Secret(secret) => match &secret.content {
                SecretContent::Mirror(source) => vec![copying(source)],
                SecretContent::Entries(entries) => entries
                    .iter()
                    .filter_map(|entry| match &entry.source {
                        SecretSource::Copy(key) => {
                            Some(Permission::CopySecret(format!("{}/{}", key.namespace, key.name)))
                        }
                        _ => None,
                    })
                    .chain(secret.discloses().then(|| Permission::Disclose(namespaced(&secret.target))))
                    .collect(),
            },
            Step::Image(image) => needed_by(image),
            Step::External(external) => connecting(external),
            Step::PodFiles(files) => vec![Permission::WritePodFiles(files.namespace.clone())],
        };
        needs.extend(wanted.iter().filter(|wanted| !self.holds(wanted)).map(ToString::to_string));
        let inputs: Vec<&String> = match step {
            Step::Secret(SecretStep { content: SecretContent::Entries(entries), .. }) => entries
                .iter()
                .filter_map(|entry| match &entry.source {
                    SecretSource::Input(name) => Some(name),
                    _ => None,
                })
                .collect(),
            Step::External(external) => external.auth.password_input().into_iter().collect(),
            _ => Vec::new(),
        };
        let granted = |name: &String| {
            self.granted
                .iter()
                .any(|held| matches!(held, Permission::SecretInput { name: held, .. } if held == name))
        };
        let missing = inputs.into_iter().filter(|name| !granted(name));
        needs.extend(missing.map(|name| format!("use the secret input {name}")));
        needs
    }

    /// What `probe` needs and does not have. A plugin may look at whatever it may apply.
    fn probe(&self, phase: &str, probe: &Probe, expect: &Expectation) -> Option<String> {
        let looks = |kind: TypeMeta, place: Place<'_>| {
            // `evaluate` hands what was seen to the plugin, so it takes a permission to read.
            let by_emitting = *expect != Expectation::Evaluate && self.emits(&kind, place);
            (!by_emitting && !self.reads(&kind, place))
                .then(|| format!("read {} ({})", kind.kind, kind.api_version))
        };
        match probe {
            // A check sees less of a Secret than who may copy it: its type, the names of its keys, its certificate.
            Probe::Object(object)
                if *expect != Expectation::Evaluate
                    && object.kind == "Secret"
                    && object.api_version == "v1"
                    && self.holds(&copying(object)) =>
            {
                None
            }
            Probe::Ready(object) | Probe::Object(object) => looks(object.type_meta(), Place::of(object)),
            Probe::Objects(selection) => looks(
                TypeMeta { api_version: selection.api_version.clone(), kind: selection.kind.clone() },
                Place::within(selection.namespace.as_deref()),
            ),
            Probe::Http(http) => {
                // Who may look must not be able to change: not outside tests, which a person asks for, and not in the
                // Services of others.
                let asks = matches!(http.method, HttpMethod::Get | HttpMethod::Head);
                match &http.target {
                    HttpTarget::Service(service) => {
                        let kind = TypeMeta { api_version: "v1".to_owned(), kind: "Service".to_owned() };
                        let place = Place::Namespace(&service.namespace);
                        if !asks && (phase != TESTS || !self.emits(&kind, place)) {
                            let method = http.method.as_str();
                            return Some(format!(
                                "send {method} to a Service, which only tests may, to Services of their own"
                            ));
                        }
                        looks(kind, place)
                    }
                    HttpTarget::Url(url) => {
                        if !asks && phase != TESTS {
                            return Some(format!(
                                "send {} to a URL, which only tests may",
                                http.method.as_str()
                            ));
                        }
                        let wanted = Permission::Connect(origin(url));
                        (!self.holds(&wanted)).then(|| wanted.to_string())
                    }
                }
            }
        }
    }
}

/// `https://host:8443/a?b` → `https://host:8443`. User information stays in, so `https://granted@evil` matches
/// no grant.
fn origin(url: &str) -> String {
    let authority_at = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority_at..].find(['/', '?', '#', '\\']).map_or(url.len(), |at| authority_at + at);
    url[..end].to_ascii_lowercase()
}

/// Whether `wanted` is `held` or begins with it up to a slash. An empty one covers nothing.
fn below(held: &str, wanted: &str) -> bool {
    let held = held.trim_end_matches('/');
    !held.is_empty() && wanted.strip_prefix(held).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
    use crate::testing::{self, emit, manifest, object_ref, read};
    use crate::{Check, HttpMethod};
    use serde_json::{Value, json};

    fn plan(manifests: Vec<Value>, health: Vec<Check>) -> Plan {
        let steps = manifests.into_iter().map(testing::object_step).collect();
        let mut plan = testing::plan(vec![testing::stage("all", steps)]);
        plan.plugin_plan.health = health;
        plan
    }

    fn denied(permissions: Vec<Permission>, plan: &Plan) -> Vec<String> {
        Grants { permissions }.gate(plan).into_iter().map(|denial| denial.to_string()).collect()
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let plan = plan(vec![manifest("v1", "ConfigMap", Some("demo"), "a")], vec![]);
        assert_eq!(
            denied(vec![], &plan),
            ["stage all: ConfigMap demo/a needs the permission to apply ConfigMap (v1) in namespace demo"]
        );
    }

    #[test]
    fn own_namespace_covers_that_namespace_and_no_other() {
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
    fn a_grant_for_one_group_is_none_for_the_same_kind_of_another() {
        let plan = plan(vec![manifest("example.org/v1", "ConfigMap", Some("demo"), "a")], vec![]);
        assert_eq!(denied(vec![emit("v1", "ConfigMap", Scope::Cluster)], &plan).len(), 1);
    }

    fn http_check(target: HttpTarget) -> Check {
        testing::check("answers", testing::http_probe(HttpMethod::Get, target))
    }

    #[test]
    fn a_url_with_user_information_does_not_pass_as_the_granted_origin() {
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
    fn a_secret_that_may_be_copied_may_be_looked_at_by_a_check_and_by_nothing_else() {
        let look = |name: &str, expect| {
            let object = object_ref("v1", "Secret", Some("default"), name);
            let mut check = http_check(HttpTarget::Url("https://a/".into()));
            check.probe = Probe::Object(object);
            check.expect = expect;
            denied(vec![Permission::CopySecret("default/tls".into())], &plan(vec![], vec![check])).len()
        };
        assert_eq!(look("tls", Expectation::Holds), 0);
        assert_eq!(look("other", Expectation::Holds), 1);
        assert_eq!(look("tls", Expectation::Evaluate), 1, "the plugin would be told");
    }

    #[test]
    fn what_a_plugin_may_apply_it_may_also_probe_but_not_be_told() {
        let object = object_ref("v1", "Service", Some("demo"), "a");
        let mut check = http_check(HttpTarget::Url(String::new()));
        check.probe = Probe::Object(object);
        let granted = vec![emit("v1", "Service", Scope::OwnNamespace)];
        assert_eq!(denied(granted.clone(), &plan(vec![], vec![check.clone()])).len(), 0);
        check.expect = Expectation::Evaluate;
        assert_eq!(denied(granted, &plan(vec![], vec![check])).len(), 1);
    }

    #[test]
    fn only_tests_may_send_what_changes_something_and_only_to_services_of_their_own() {
        let service = |namespace: &str| {
            let (name, path) = ("a".to_owned(), "/".to_owned());
            HttpTarget::Service(crate::ServiceTarget { namespace: namespace.into(), name, port: 80, path })
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
    fn secrets_in_clear_are_granted_for_one_config_map_alone() {
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
    fn a_password_goes_only_where_it_was_granted_to_go() {
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
    fn only_tests_may_send_what_changes_something_to_a_url() {
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
    fn a_push_below_a_granted_prefix_is_covered_and_beside_it_is_not() {
        let granted = [Permission::PushImage("registry/library".into())];
        let gate = Gate { granted: &granted, namespace: "demo" };
        assert!(gate.holds(&Permission::PushImage("registry/library/devpi".into())));
        assert!(!gate.holds(&Permission::PushImage("registry/library-of-others/devpi".into())));
    }

    #[test]
    fn an_image_needs_its_source_its_destination_and_its_login_granted() {
        let source = |url: &str| {
            crate::ImageSource::Git(crate::GitSource { url: url.into(), revision: "main".into() })
        };
        let mut plan = plan(vec![], vec![]);
        let mut step = crate::ImageStep {
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
            crate::ImageSource::Folder("/srv/devpi".into()),
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
        let query = Query::Objects(crate::Selection {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespace: None,
            label_selector: String::new(),
        });
        assert!(!permits_query(&[read("v1", "Pod", Scope::OwnNamespace)], "demo", &query));
        assert!(permits_query(&[read("v1", "Pod", Scope::Cluster)], "demo", &query));
    }

    #[test]
    fn a_port_in_a_registry_is_not_taken_for_a_tag() {
        assert_eq!(repository("registry:5000/library/devpi"), "registry:5000/library/devpi");
        assert_eq!(repository("registry:5000/library/devpi:1"), "registry:5000/library/devpi");
        assert_eq!(repository("registry/library/devpi@sha256:00"), "registry/library/devpi");
    }
}
