//! A release of a plugin in a real cluster, with names that no other test has.
//!
//! A test file wraps it in a type that knows the plugin's settings. Dropping it deletes its namespaces; what the plugin made
//! in external servers is deleted by the wrapper.

use crate::build;
use crate::host::{Run, command, finish};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use thinkube_test_cluster::{Addon, AuditEvent, Cluster, TestNamespace, build_dir, shared_cluster};

/// The commands of the host that connect to servers outside the API server.
const EXTERNAL_COMMANDS: [&str; 5] = ["plan", "apply", "check", "run", "uninstall"];

/// A release, its namespaces and a folder of the test.
#[derive(Debug)]
pub struct Release {
    cluster: Cluster,
    namespace: Option<TestNamespace>,
    /// The name of the release and of its namespace.
    pub name: String,
    folder: TempDir,
    further_namespaces: Vec<String>,
    environment: Vec<(&'static str, String)>,
    external_arguments: Vec<String>,
    builds: bool,
}

impl Release {
    /// A release in the shared cluster, which may have no node. `None`, and the test is counted as skipped, without a cluster.
    #[track_caller]
    pub fn in_shared_cluster(prefix: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{}-{number}", std::process::id());
        Some(Self::new(shared_cluster()?, None, name))
    }

    /// A release in the shared cluster, which gets these addons. `None`, and the test is counted as skipped, where it cannot
    /// have them.
    #[track_caller]
    pub fn with<const N: usize>(prefix: &str, addons: [Addon; N]) -> Option<Self> {
        let namespace = TestNamespace::with(addons)?;
        let name = format!("{prefix}-{}", namespace.name());
        Some(Self::new(namespace.cluster().clone(), Some(namespace), name))
    }

    fn new(cluster: Cluster, namespace: Option<TestNamespace>, name: String) -> Self {
        Self {
            cluster,
            namespace,
            name,
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            further_namespaces: Vec::new(),
            environment: Vec::new(),
            external_arguments: Vec::new(),
            builds: false,
        }
    }

    /// Gives the host a variable of the environment.
    #[must_use]
    pub fn env(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((variable, value.into()));
        self
    }

    /// Gives the host the authority of the test domain, and the cluster's address for these names below the domain.
    #[must_use]
    pub fn reaching<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.external_arguments =
            self.cluster.external_arguments(names).expect("the harness started the cluster");
        self
    }

    /// Lets the host build images, below the folder of the test.
    #[must_use]
    pub fn building(mut self) -> Self {
        build_dir::prepare(self.folder.path()).expect("the folder of the test is writable");
        self.builds = true;
        self
    }

    /// Creates a namespace `PREFIX-NAME`, which is deleted with the release.
    pub fn create_namespace(&mut self, prefix: &str) -> String {
        let namespace = format!("{prefix}-{}", self.name);
        self.kubectl(&["create", "namespace", &namespace]).ends_with(0);
        self.further_namespaces.push(namespace.clone());
        namespace
    }

    /// The namespace of the host's records.
    pub fn state_namespace(&self) -> String {
        format!("state-{}", self.name)
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The namespace of the test, for objects that are not the release's.
    ///
    /// # Panics
    ///
    /// Panics for a release of [`in_shared_cluster`](Self::in_shared_cluster), which has none.
    pub fn namespace(&self) -> &TestNamespace {
        self.namespace.as_ref().expect("a release with addons has a namespace of the test")
    }

    /// The folder of the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder of the test.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("the folder of the test is writable");
        path
    }

    /// The setting `KEY=REFERENCE` with the toolbox image of the node.
    pub fn toolbox_setting(&self, key: &str) -> String {
        format!("{key}={}", self.cluster.toolbox_image().expect("a node has the toolbox image"))
    }

    /// The host with these arguments, for this cluster and these records.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command =
            if self.builds { build::command(arguments, self.folder.path()) } else { command(arguments) };
        command
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("THINKUBE_STATE_NAMESPACE", self.state_namespace())
            .envs(self.environment.iter().map(|(variable, value)| (variable, value)));
        if EXTERNAL_COMMANDS.contains(&arguments[0]) {
            command.args(&self.external_arguments);
        }
        command
    }

    /// Runs the host with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Run {
        finish(&mut self.command(arguments))
    }

    /// Uninstalls the release, with further arguments; it must succeed.
    pub fn uninstall(&self, further: &[&str]) -> Run {
        self.run(&[&["uninstall", &self.name, "--yes"][..], further].concat()).ends_with(0)
    }

    /// Runs the administrator's kubectl.
    pub fn kubectl(&self, arguments: &[&str]) -> Run {
        let mut kubectl = Command::new(self.cluster.kubectl());
        finish(kubectl.args(arguments).env("KUBECONFIG", self.cluster.kubeconfig()).stdin(Stdio::null()))
    }

    /// Runs the administrator's kubectl in the release's namespace; it must succeed. Returns its output.
    pub fn kubectl_in_namespace(&self, arguments: &[&str]) -> String {
        self.kubectl(&[&["--namespace", &self.name][..], arguments].concat()).ends_with(0).stdout
    }

    /// Applies objects as the administrator.
    pub fn kubectl_apply(&self, objects: &Value) {
        let file = self.write("objects.json", objects.to_string());
        self.kubectl(&["apply", "-f", file.to_str().expect("the path is UTF-8")]).ends_with(0);
    }

    /// A field of an object in the release's namespace, by a JSON path without braces.
    pub fn field(&self, kind: &str, name: &str, path: &str) -> String {
        self.kubectl_in_namespace(&["get", kind, name, "-o", &format!("jsonpath={{{path}}}")])
    }

    /// The value of a key of a Secret in the release's namespace.
    pub fn secret(&self, name: &str, key: &str) -> String {
        let encoded = self.field("secret", name, &format!(".data['{key}']"));
        let value = STANDARD.decode(encoded).expect("a Secret holds base64");
        String::from_utf8(value).expect("the value is UTF-8")
    }

    /// The objects of these kinds in the release's namespace, as `kind/name`, without what Kubernetes puts into each.
    pub fn objects(&self, kinds: &str) -> Vec<String> {
        let listed = self.kubectl_in_namespace(&["get", kinds, "-o", "name"]);
        listed.lines().filter(|line| !line.contains("kube-root-ca.crt")).map(str::to_owned).collect()
    }

    /// Asserts that the host has made neither of the release's namespaces.
    pub fn assert_nothing_made(&self) {
        let both =
            ["get", "namespace", &self.name, &self.state_namespace(), "--ignore-not-found", "-o", "name"];
        assert_eq!(self.kubectl(&both).ends_with(0).stdout, "", "the host has changed the cluster");
    }

    /// The present end of the audit log.
    pub fn audit_mark(&self) -> u64 {
        self.cluster.audit_offset().expect("the harness's cluster has an audit log")
    }

    /// The host's writes of this release since the mark, dry runs among them.
    pub fn writes_since(&self, mark: u64) -> Vec<AuditEvent> {
        // The API server writes an event after the answer.
        thread::sleep(Duration::from_millis(500));
        let events = self.cluster.audit_events(mark).expect("the harness's cluster has an audit log");
        let of_release = |event: &AuditEvent| {
            event.is_write()
                && event.user_agent.starts_with("thinkube-host")
                && [&event.uri, &event.namespace, &event.name].iter().any(|text| text.contains(&self.name))
        };
        events.into_iter().filter(of_release).collect()
    }

    /// Asserts that the host has sent no write since the mark, not even a dry run.
    #[track_caller]
    pub fn assert_no_writes_since(&self, mark: u64) {
        assert_eq!(self.writes_since(mark), []);
    }

    /// Asserts that the host has sent no write since the mark but dry runs and access reviews.
    #[track_caller]
    pub fn assert_nothing_changed_since(&self, mark: u64) {
        let harmless = |event: &AuditEvent| {
            event.uri.contains("dryRun=All") || event.resource == "selfsubjectaccessreviews"
        };
        let writes: Vec<_> = self.writes_since(mark).into_iter().filter(|event| !harmless(event)).collect();
        assert_eq!(writes, []);
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let state = self.state_namespace();
        for namespace in [&self.name, &state].into_iter().chain(&self.further_namespaces) {
            self.kubectl(&["delete", "namespace", namespace, "--ignore-not-found", "--wait=false"]);
        }
    }
}
