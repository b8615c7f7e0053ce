//! A test's own corner of the cluster that all tests share.

use std::env;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Node, Options};
use crate::domain::DOMAIN;
use crate::error::{Error, Result};
use crate::kubectl::Kubectl;
use crate::needs;
use crate::part::Part;
use crate::skip::skip;

/// The environment variable by which `cargo xtask test --no-cluster` keeps tests from every cluster.
pub const NO_CLUSTER_VARIABLE: &str = "THINKUBE_TEST_NO_CLUSTER";

/// Why no test may use or start a cluster, where that is so.
pub fn no_cluster_because() -> Option<&'static str> {
    env::var_os(NO_CLUSTER_VARIABLE).map(|_| "a cluster is needed, and `--no-cluster` was given")
}

/// A namespace that nobody else uses, with the right to do everything in it. It is deleted when this is dropped; when that
/// is because the test has failed, what was in it is described in the target folder first.
#[derive(Debug)]
pub struct Corner {
    cluster: Cluster,
    namespace: String,
    kubeconfig: PathBuf,
    test: String,
}

impl Cluster {
    /// The cluster `default`, which all tests share. `None`, and the test is counted as skipped, where it does not run.
    #[track_caller]
    pub fn shared() -> Option<Self> {
        if let Some(why) = no_cluster_because() {
            skip(why);
            return None;
        }
        let cluster = Self::attach(&Options::default().name)
            .unwrap_or_else(|error| panic!("the cluster's state cannot be read: {error}: {error:?}"));
        if cluster.is_none() {
            skip("no test cluster runs; `cargo xtask test` starts one, and so does `cargo xtask cluster up`");
        }
        cluster
    }

    /// A corner of the cluster `default`, which has these parts from now on. `None`, and the test is counted as skipped,
    /// where that cluster does not run or can't have them.
    #[track_caller]
    pub fn with<const N: usize>(parts: [Part; N]) -> Option<Corner> {
        let why = match Corner::new(Self::shared()?, &parts) {
            Ok(corner) => return Some(corner),
            Err(Error::NoNode(_)) => match needs::no_node_because() {
                Some(need) => need.to_string(),
                None => "the test cluster runs without a node".to_owned(),
            },
            Err(error @ Error::External { .. }) => error.to_string(),
            Err(error) => panic!("{error}: {error:?}"),
        };
        skip(&why);
        None
    }
}

impl Corner {
    fn new(mut cluster: Cluster, parts: &[Part]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let options =
            Options { node: Node::Required, with: parts.iter().copied().collect(), ..Options::default() };
        if !parts.is_empty() {
            // Not External by chance: these parts are the harness's own.
            cluster.address()?;
            if !options.with.is_subset(&cluster.parts()) {
                cluster = Cluster::up(&options, &mut |_| ())?;
            }
        }
        let test = thread::current().name().unwrap_or("a test").replace("::", "-");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = namespace(&test, process::id(), number);
        let kubectl = cluster.administrator()?;
        kubectl.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects(&namespace) }))?;
        let kubeconfig = cluster.kubeconfig_in(&user(&namespace), &namespace)?;
        Ok(Self { cluster, namespace, kubeconfig, test })
    }

    /// The cluster that it is a corner of.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The kubeconfig of a user who may do everything in the namespace, and nothing outside it.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A name of the domain that no other corner has. The wildcard certificate is good for it.
    pub fn host(&self, what: &str) -> String {
        format!("{what}-{}.{DOMAIN}", self.namespace)
    }

    /// Applies objects as the namespace's user.
    pub fn apply(&self, objects: Value) -> Result<()> {
        self.kubectl()?.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }))
    }

    /// Runs kubectl as the namespace's user; returns what it prints, fails as it fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl()?.run(arguments)
    }

    fn kubectl(&self) -> Result<Kubectl> {
        Ok(self.cluster.administrator()?.of_user(&self.kubeconfig))
    }

    /// Writes down what is in the namespace.
    fn describe(&self) -> Result<PathBuf> {
        let folder = target().join("failed").join(&self.test);
        let kubectl = self.cluster.administrator()?;
        let namespace = format!("--namespace={}", self.namespace);
        let write = |file: &str, arguments: &[&str]| {
            let text =
                kubectl.run(&[arguments, &[&namespace]].concat()).unwrap_or_else(|error| error.to_string());
            crate::paths::write(&folder.join(file), text)
        };
        let kinds = "all,configmaps,ingresses,persistentvolumeclaims,endpointslices";
        write("objects.yaml", &["get", kinds, "-o", "yaml"])?;
        write("described.txt", &["describe", kinds])?;
        write("events.txt", &["get", "events", "--sort-by=.lastTimestamp"])?;
        let pods = kubectl.run(&["get", "pods", "-o", "name", &namespace]).unwrap_or_default();
        for pod in pods.lines() {
            let file = format!("{}.log", pod.replace('/', "-"));
            write(&file, &["logs", pod, "--all-containers", "--prefix", "--timestamps", "--tail=-1"])?;
        }
        Ok(folder)
    }
}

impl Drop for Corner {
    #[allow(clippy::print_stderr, reason = "whoever reads of the failure looks for this next")]
    fn drop(&mut self) {
        if thread::panicking() {
            match self.describe() {
                Ok(folder) => eprintln!("what was in the namespace is described in {}", folder.display()),
                Err(error) => eprintln!("the namespace could not be described: {error}"),
            }
        }
        if let Ok(kubectl) = self.cluster.administrator() {
            let _ = kubectl.run(&["delete", "namespace", &self.namespace, "--wait=false"]);
        }
    }
}

/// At most 40 characters, so that with a prefix and a suffix it is still a DNS label.
fn namespace(test: &str, process: u32, number: u32) -> String {
    let words = test.rsplit('-').next().unwrap_or(test).to_ascii_lowercase();
    let label: String =
        words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(24).collect();
    format!("t-{}-{process:x}-{number:x}", label.trim_matches('-'))
}

fn user(namespace: &str) -> String {
    format!("thinkube-test:corner:{namespace}")
}

fn objects(namespace: &str) -> Value {
    json!([
        { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": { "name": "everything", "namespace": namespace },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user(namespace) }]
        }
    ])
}

/// Cargo's target folder, in which this very program lies.
fn target() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.map_or_else(env::temp_dir, Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corner_is_named_after_its_test_in_a_dns_label() {
        let name = namespace("platform-A_pod_that_was_made_by_a_test_with_a_long_name", 0xffff_ffff, 0xff);
        assert_eq!(name, "t-a-pod-that-was-made-by-a-ffffffff-ff");
        assert!(name.len() <= 40 && format!("dashboard-{name}").len() <= 63);
    }

    #[test]
    fn the_target_folder_is_the_one_that_this_test_was_built_in() {
        assert!(
            target().join("CACHEDIR.TAG").is_file()
                && env::current_exe().expect("a path").starts_with(target())
        );
    }
}
