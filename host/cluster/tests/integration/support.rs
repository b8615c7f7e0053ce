//! The fixture of a test: its namespaces, its users, and the audit log.

use http::Request;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use thinkube_cluster::{
    ApplyOptions, Cluster, Connect, Error, Progress, Release, ReleaseDiff, UninstallOptions,
};
use thinkube_plan::{
    Action, Change, Check, ObjectRef, ObjectStep, OnChange, OnUninstall, Outputs, Plan, Probe, SecretContent,
    SecretSource, SecretStep, SecretText, Step, Values, testing,
};

pub(crate) const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// A namespace of the cluster for one test: names of its own, and a user name of its own by which the audit log tells its
/// requests from those of others.
pub(crate) struct Fixture {
    pub(crate) cluster: Cluster,
    pub(crate) client: kube::Client,
    pub(crate) id: String,
    /// The release's namespace. Nobody has made it yet.
    pub(crate) namespace: String,
    pub(crate) state_namespace: String,
    admin: PathBuf,
    audit_log: PathBuf,
    kubectl: PathBuf,
    pub(crate) folder: tempfile::TempDir,
}

/// None, and the test counts as skipped, where the harness's cluster does not run: the audit log of any other cluster, by which
/// requests are counted, cannot be read.
pub(crate) async fn fixture() -> Option<Fixture> {
    let running = thinkube_test_cluster::shared_cluster()?;
    let Some(audit_log) = running.audit_log() else {
        thinkube_test_cluster::skip(
            "the audit log of a cluster that the harness did not start cannot be read",
        );
        return None;
    };
    let (admin, kubectl) = (running.kubeconfig().to_owned(), running.kubectl());
    let id = format!("{:08x}", rand::random::<u32>());
    let folder = tempfile::tempdir().unwrap();
    let state_namespace = format!("state-{id}");
    let (file, options) = (kube::config::Kubeconfig::read_from(&admin).unwrap(), Default::default());
    let config = kube::Config::from_custom_kubeconfig(file, &options).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let cluster = connect_as(&admin, folder.path(), &state_namespace, &format!("tester-{id}"), true).await;
    Some(Fixture {
        cluster,
        client,
        namespace: format!("ns-{id}"),
        state_namespace,
        admin,
        audit_log,
        kubectl,
        folder,
        id,
    })
}

/// The same, where the cluster has a node.
pub(crate) async fn fixture_with_node() -> Option<Fixture> {
    let fixture = fixture().await?;
    let nodes = fixture.get("/api/v1/nodes").await.unwrap();
    if nodes["items"].as_array().unwrap().is_empty() {
        thinkube_test_cluster::skip("the test cluster runs without a node");
        return None;
    }
    Some(fixture)
}

async fn connect_as(
    admin: &Path,
    folder: &Path,
    state_namespace: &str,
    user: &str,
    all_rights: bool,
) -> Cluster {
    let mut text = std::fs::read_to_string(admin).unwrap();
    let groups = if all_rights { "\n    as-groups: [\"system:masters\"]" } else { "" };
    let at = text.find("    client-certificate-data:").expect("a client certificate in the kubeconfig");
    text.insert_str(at, &format!("    as: {user}{groups}\n"));
    let path = folder.join(format!("{user}.kubeconfig"));
    std::fs::write(&path, text).unwrap();
    let options =
        Connect { kubeconfig: Some(path), context: None, state_namespace: state_namespace.to_owned() };
    Cluster::connect(&options).await.unwrap()
}

#[derive(Debug, Clone)]
#[expect(dead_code, reason = "shown when an assertion fails")]
pub(crate) struct LoggedRequest {
    pub(crate) verb: String,
    pub(crate) uri: String,
    pub(crate) code: u64,
}

impl Fixture {
    pub(crate) fn id(&self) -> String {
        self.cluster.applyset_id("demo")
    }

    /// A user who may do nothing but what `rules` say, in the release's namespace and the state namespace.
    pub(crate) async fn limited(&self, rules: Value) -> Cluster {
        let user = format!("limited-{}", self.id);
        for namespace in [&self.namespace, &self.state_namespace] {
            self.make(&format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles"), json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "limited"}, "rules": rules}))
                .await;
            self.make(&format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"), json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "limited"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]}))
                .await;
        }
        connect_as(&self.admin, self.folder.path(), &self.state_namespace, &user, false).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, u16> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request =
            request.body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default()).unwrap();
        match self.client.request::<Value>(request).await {
            Ok(value) => Ok(value),
            Err(kube::Error::Api(status)) => Err(status.code),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    pub(crate) async fn make(&self, path: &str, body: Value) -> Value {
        self.ask("POST", path, Some(body)).await.unwrap_or_else(|code| panic!("POST {path}: {code}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        self.ask("GET", path, None).await.ok()
    }

    pub(crate) async fn make_namespace(&self, name: &str) {
        self.make(
            "/api/v1/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        )
        .await;
    }

    pub(crate) fn core(&self, plural: &str, name: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}/{name}", self.namespace)
    }

    /// kubectl with the administrator's rights, ApplySets switched on.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = std::process::Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.admin).env("KUBECTL_APPLYSET", "true").args(arguments);
        command.output().expect("kubectl runs")
    }

    pub(crate) fn audit_end(&self) -> u64 {
        std::fs::metadata(&self.audit_log).map_or(0, |log| log.len())
    }

    /// What this test's host asked since; reviews of its own rights, which change nothing, left out.
    pub(crate) async fn requests_since(&self, since: u64, user: &str) -> Vec<LoggedRequest> {
        // The server writes its log a moment after it has answered.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let log = std::fs::read(&self.audit_log).unwrap();
        let wanted = format!("{user}-{}", self.id);
        let lines = log[since as usize..].split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
            .filter(|line| line["impersonatedUser"]["username"] == wanted.as_str())
            .map(|line| LoggedRequest {
                verb: line["verb"].as_str().unwrap().to_owned(),
                uri: line["requestURI"].as_str().unwrap().to_owned(),
                code: line["responseStatus"]["code"].as_u64().unwrap_or(0),
            })
            .collect()
    }

    pub(crate) async fn writes_since(&self, since: u64, user: &str) -> Vec<LoggedRequest> {
        let mut asked = self.requests_since(since, user).await;
        asked.retain(|asked| {
            matches!(asked.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
                && !asked.uri.contains("selfsubject")
                && !asked.uri.contains("dryRun=All")
        });
        asked
    }

    /// The paths of everything that carries the release's label, of the kinds that the tests use.
    pub(crate) async fn labelled(&self) -> Vec<String> {
        let mut found = Vec::new();
        let kinds = [
            "/api/v1/namespaces",
            "/api/v1/configmaps",
            "/api/v1/secrets",
            "/api/v1/services",
            "/api/v1/pods",
            "/api/v1/persistentvolumeclaims",
            "/apis/apps/v1/deployments",
            "/apis/apps/v1/statefulsets",
            "/apis/batch/v1/jobs",
        ];
        for path in kinds {
            let list = self.get(&format!("{path}?labelSelector={PART_OF}%3D{}", self.id())).await.unwrap();
            for item in list["items"].as_array().unwrap() {
                let plural = path.rsplit('/').next().unwrap();
                found.push(format!("{plural}/{}", item["metadata"]["name"].as_str().unwrap()));
            }
        }
        found.sort();
        found
    }

    pub(crate) async fn clean(self) {
        for namespace in [&self.namespace, &self.state_namespace] {
            let _ = self.ask("DELETE", &format!("/api/v1/namespaces/{namespace}"), None).await;
        }
    }

    /// All of an apply, as the engine does it. None if there was nothing to write.
    pub(crate) async fn apply(&self, plan: &Plan) -> Result<Option<Release>, Error> {
        let reports = Reports::default();
        self.apply_with(
            plan,
            &secrets(),
            &ApplyOptions { lease_duration: Duration::from_secs(3), ..Default::default() },
            &reports,
        )
        .await
    }

    pub(crate) async fn apply_with(
        &self,
        plan: &Plan,
        values: &Values,
        options: &ApplyOptions,
        reports: &Reports,
    ) -> Result<Option<Release>, Error> {
        let diff = self.cluster.compare(plan, values).await?;
        if diff.up_to_date() {
            return Ok(None);
        }
        let progress = |event: Progress| reports.push(event);
        let mut apply = self.cluster.begin(plan, values, diff, options, &progress).await?;
        for stage in 0..plan.plugin_plan.stages.len() {
            let done = match apply.apply_stage(stage).await {
                Ok(()) => apply.wait(stage, Duration::from_secs(60)).await,
                Err(error) => Err(error),
            };
            let done = match done {
                Ok(()) => apply.write_pod_files(stage, true).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                apply.fail(&error.to_string()).await;
                return Err(error);
            }
        }
        apply.prune_objects().await?;
        apply.prune_pod_files().await?;
        apply.finish().await.map(Some)
    }

    pub(crate) async fn compare(&self, plan: &Plan) -> Result<ReleaseDiff, Error> {
        self.cluster.compare(plan, &secrets()).await
    }

    pub(crate) async fn uninstall(&self, delete_data: bool) -> Result<Uninstalled, Error> {
        let options = UninstallOptions { delete_data, orphan: Vec::new(), timeout: Duration::from_secs(90) };
        uninstall(&self.cluster, "demo", &options).await
    }

    pub(crate) fn plan(&self, stages: Vec<(&str, Vec<Step>)>) -> Plan {
        plan(&self.namespace, stages)
    }

    pub(crate) fn object(&self, manifest: Value) -> Step {
        object(&self.namespace, manifest)
    }

    pub(crate) fn config(&self, name: &str, value: &str) -> Step {
        self.object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}}))
    }

    pub(crate) fn namespace_step(&self) -> Step {
        step(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}))
    }

    pub(crate) fn pvc(&self, name: &str) -> Step {
        let mut pvc = self.object(
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": "nowhere",
                "resources": {"requests": {"storage": "1Mi"}}}}),
        );
        if let Step::Object(pvc) = &mut pvc {
            pvc.on_uninstall = OnUninstall::Retain;
        }
        pvc
    }

    /// Everything but what needs a node: a Namespace, a ConfigMap, composed Secrets, a Service, a PersistentVolumeClaim, a Deployment of no
    /// replica and a StatefulSet of none.
    pub(crate) fn usual(&self) -> Plan {
        let workload = |kind: &str| {
            json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": kind.to_lowercase()}, "spec": {"replicas": 0,
                "serviceName": if kind == "StatefulSet" { json!("web") } else { Value::Null },
                "selector": {"matchLabels": {"app": kind}}, "template": {"metadata": {"labels": {"app": kind}},
                    "spec": {"containers": [{"name": "main", "image": "none", "ports": [{"containerPort": 80}]}]}}}})
        };
        self.plan(vec![
            (
                "base",
                vec![
                    self.namespace_step(),
                    self.config("settings", "one"),
                    self.secret(
                        "root",
                        vec![
                            ("user", SecretSource::Plain("admin".into())),
                            ("password", SecretSource::Input("admin-password".into())),
                            ("cookie", random()),
                            ("url", SecretSource::Template("http://${user}:${password}@x".into())),
                        ],
                    ),
                ],
            ),
            (
                "run",
                vec![
                    self.object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                    "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}})),
                    self.object(workload("Deployment")),
                    self.object(workload("StatefulSet")),
                ],
            ),
        ])
    }

    pub(crate) fn secret(&self, name: &str, entries: Vec<(&str, SecretSource)>) -> Step {
        let secret = testing::secret_step(&self.namespace, name, entries);
        self.composed(name, "Opaque", secret.content)
    }

    /// A Secret with the certificate of one in the state namespace.
    pub(crate) fn mirror(&self, name: &str, source: &str) -> Step {
        let source = testing::object_ref("v1", "Secret", Some(&self.state_namespace), source);
        self.composed(name, "kubernetes.io/tls", SecretContent::Mirror(source))
    }

    /// A ConfigMap with secrets.
    pub(crate) fn disclosed(&self, name: &str, entries: Vec<(&str, SecretSource)>) -> Step {
        match self.secret(name, entries) {
            Step::Secret(SecretStep { target, labels, content, name, on_uninstall, .. }) => {
                let target = ObjectRef { kind: "ConfigMap".into(), ..target };
                let secret_type = String::new();
                Step::Secret(SecretStep { name, target, secret_type, labels, content, on_uninstall })
            }
            other => other,
        }
    }

    fn composed(&self, name: &str, secret_type: &str, content: SecretContent) -> Step {
        Step::Secret(SecretStep {
            secret_type: secret_type.to_owned(),
            labels: [("of".to_owned(), name.to_owned())].into(),
            content,
            ..testing::secret_step(&self.namespace, name, Vec::new())
        })
    }
}

pub(crate) fn random() -> SecretSource {
    SecretSource::Random(thinkube_plan::RandomText { bytes: 16, encoding: thinkube_plan::Encoding::Hex })
}

pub(crate) fn secrets() -> Values {
    password("hunter2-and-more")
}

/// What the operator supplies.
pub(crate) fn password(text: &str) -> Values {
    let inputs = [("admin-password".to_owned(), SecretText::new(text.into()))].into_iter().collect();
    Values { inputs, outputs: Outputs::default() }
}

pub(crate) fn plan(namespace: &str, stages: Vec<(&str, Vec<Step>)>) -> Plan {
    let stages = stages.into_iter().map(|(name, steps)| testing::stage(name, steps)).collect();
    Plan { namespace: namespace.to_owned(), ..testing::plan(stages) }
}

/// That the namespace of a test is there.
pub(crate) fn there(fixture: &Fixture) -> Check {
    testing::check("there", Probe::Object(testing::object_ref("v1", "Namespace", None, &fixture.namespace)))
}

pub(crate) fn step(manifest: Value) -> Step {
    testing::object_step(manifest)
}

pub(crate) fn object(namespace: &str, mut manifest: Value) -> Step {
    manifest["metadata"]["namespace"] = json!(namespace);
    step(manifest)
}

pub(crate) fn on_change(step: Step, on_change: OnChange) -> Step {
    match step {
        Step::Object(object) => Step::Object(ObjectStep { on_change, ..object }),
        other => other,
    }
}

/// The reports of a call.
#[derive(Default)]
pub(crate) struct Reports(Mutex<Vec<String>>);

impl Reports {
    pub(crate) fn push(&self, event: Progress) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }

    pub(crate) fn all(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

/// What an uninstall deleted and kept.
#[derive(Debug, Default)]
pub(crate) struct Uninstalled {
    pub(crate) deleted: Vec<ObjectRef>,
    /// Each with the reason.
    pub(crate) kept: Vec<(ObjectRef, String)>,
    pub(crate) pod_files: Vec<Change>,
}

/// Uninstalls what a release has in the cluster.
pub(crate) async fn uninstall(
    cluster: &Cluster,
    name: &str,
    options: &UninstallOptions,
) -> Result<Uninstalled, Error> {
    let mut uninstalled = Uninstalled::default();
    let Some(mut run) = cluster.begin_uninstall(name, options, &|_| {}).await? else {
        return Ok(uninstalled);
    };
    let deleted = async {
        uninstalled.pod_files = run.delete_pod_files().await?;
        run.delete_objects().await
    };
    match deleted.await {
        Ok(changes) => {
            for change in changes {
                let object = change.object().expect("the change is about an object").clone();
                match change.action {
                    Action::Delete => uninstalled.deleted.push(object),
                    _ => uninstalled.kept.push((object, change.note.unwrap_or_default())),
                }
            }
            run.finish().await.map(|()| uninstalled)
        }
        Err(error) => {
            run.stop().await;
            Err(error)
        }
    }
}
