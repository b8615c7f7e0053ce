//! The shared cluster, and a namespace of it for one test.

use std::env;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::access::domain::DOMAIN;
use crate::access::kubectl::Kubectl;
use crate::addon::Addon;
use crate::cluster::Cluster;
use crate::cluster::up::{Node, Options};
use crate::error::{Error, Result};
use crate::machine::requirements;
use crate::paths;
use crate::testing::skip::skip;

/// The environment variable by which `cargo xtask test --no-cluster` keeps tests from every cluster.
pub const NO_CLUSTER_VARIABLE: &str = "THINKUBE_TEST_NO_CLUSTER";

/// Why no test may use or start a cluster; `None` where tests may.
pub fn no_cluster_because() -> Option<&'static str> {
    env::var_os(NO_CLUSTER_VARIABLE).map(|_| "a cluster is needed, and `--no-cluster` was given")
}

/// The cluster `default`, which all tests share. `None`, and the test is counted as skipped, where it does not run.
#[track_caller]
pub fn shared_cluster() -> Option<Cluster> {
    if let Some(why) = no_cluster_because() {
        skip(why);
        return None;
    }
    let cluster = Cluster::attach(&Options::default().name)
        .unwrap_or_else(|error| panic!("the cluster's state cannot be read: {error}: {error:?}"));
    if cluster.is_none() {
        skip("no test cluster runs; `cargo xtask test` starts one, and so does `cargo xtask cluster up`");
    }
    cluster
}

/// A namespace of one test, with the right to do everything in it. Dropping it deletes it; after a failure of the test, its
/// objects, events and logs are first written to `failed/TEST` in the target folder.
#[derive(Debug)]
pub struct TestNamespace {
    cluster: Cluster,
    name: String,
    kubeconfig: PathBuf,
    test: String,
}

impl TestNamespace {
    /// A namespace of the cluster `default`, which gets these addons. `None`, and the test is counted as skipped, where that
    /// cluster does not run or cannot have them.
    #[track_caller]
    pub fn with<const N: usize>(addons: [Addon; N]) -> Option<Self> {
        let why = match Self::new(shared_cluster()?, &addons) {
            Ok(namespace) => return Some(namespace),
            Err(Error::NoNode(_)) => match requirements::no_node_because() {
                Some(unmet) => unmet.to_string(),
                None => "the test cluster runs without a node".to_owned(),
            },
            Err(error @ Error::External { .. }) => error.to_string(),
            Err(error) => panic!("{error}: {error:?}"),
        };
        skip(&why);
        None
    }

    fn new(mut cluster: Cluster, addons: &[Addon]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let options =
            Options { node: Node::Required, with: addons.iter().copied().collect(), ..Options::default() };
        if !addons.is_empty() {
            // Fails with `External`: only the harness's own cluster has addons.
            cluster.address()?;
            if !options.with.is_subset(&cluster.addons()) {
                cluster = Cluster::up(&options, &mut |_| ())?;
            }
        }
        let test = thread::current().name().unwrap_or("a test").replace("::", "-");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = name_of(&test, process::id(), number);
        let kubectl = cluster.administrator()?;
        kubectl.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects(&name) }))?;
        let kubeconfig = cluster.kubeconfig_in(&user(&name), &name)?;
        Ok(Self { cluster, name, kubeconfig, test })
    }

    /// Its cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kubeconfig of a user who may do everything in the namespace, and nothing outside it.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A host name of the test domain that no other test has; the wildcard certificate covers it.
    pub fn host(&self, label: &str) -> String {
        format!("{label}-{}.{DOMAIN}", self.name)
    }

    /// Applies objects as the namespace's user.
    pub fn apply(&self, objects: Value) -> Result<()> {
        self.kubectl()?.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }))
    }

    /// Runs kubectl as the namespace's user; returns its output.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl()?.run(arguments)
    }

    fn kubectl(&self) -> Result<Kubectl> {
        Ok(self.cluster.administrator()?.of_user(&self.kubeconfig))
    }

    /// Writes the namespace's objects, events and logs to the target folder.
    fn describe(&self) -> Result<PathBuf> {
        let folder = target().join("failed").join(&self.test);
        let kubectl = self.cluster.administrator()?;
        let namespace = format!("--namespace={}", self.name);
        let write = |file: &str, arguments: &[&str]| {
            let text =
                kubectl.run(&[arguments, &[&namespace]].concat()).unwrap_or_else(|error| error.to_string());
            paths::write(&folder.join(file), text)
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

impl Drop for TestNamespace {
    #[allow(clippy::print_stderr, reason = "libtest shows it with the failure of the test")]
    fn drop(&mut self) {
        if thread::panicking() {
            match self.describe() {
                Ok(folder) => eprintln!("the objects and logs of the namespace are in {}", folder.display()),
                Err(error) => eprintln!("the namespace could not be described: {error}"),
            }
        }
        if let Ok(kubectl) = self.cluster.administrator() {
            let _ = kubectl.run(&["delete", "namespace", &self.name, "--wait=false"]);
        }
    }
}

/// At most 40 characters, so that it is still a DNS label with a prefix and a suffix.
fn name_of(test: &str, process: u32, number: u32) -> String {
    let words = test.rsplit('-').next().unwrap_or(test).to_ascii_lowercase();
    let label: String =
        words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(24).collect();
    format!("t-{}-{process:x}-{number:x}", label.trim_matches('-'))
}

fn user(namespace: &str) -> String {
    format!("thinkube-test:namespace:{namespace}")
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

/// Cargo's target folder, which holds the running program.
fn target() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.map_or_else(env::temp_dir, Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_named_after_its_test_in_a_dns_label() {
        let name = name_of("platform-A_pod_that_was_made_by_a_test_with_a_long_name", 0xffff_ffff, 0xff);
        assert_eq!(name, "t-a-pod-that-was-made-by-a-ffffffff-ff");
        assert!(name.len() <= 40 && format!("dashboard-{name}").len() <= 63);
    }

    #[test]
    fn the_target_folder_is_the_one_that_this_test_was_built_in() {
        assert!(
            target().join("CACHEDIR.TAG").is_file()
                && env::current_exe().expect("this program has a path").starts_with(target())
        );
    }
}
