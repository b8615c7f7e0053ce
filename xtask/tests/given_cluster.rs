//! The demo on a cluster that a person has; the harness's own stands for it.

use std::process::{Command, Output};
use thinkube_test_cluster::{Cluster, shared_cluster, skip};

struct Demo {
    cluster: Cluster,
    release: String,
}

impl Demo {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // The runner's, for libtest: a plugin that was built without it would be built again.
        command.env_remove("RUSTC_BOOTSTRAP");
        command.env("THINKUBE_STATE_NAMESPACE", format!("home-{}", self.release));
        command
    }

    fn run(&self, more: &[&str]) -> Output {
        let mut xtask = self.command(env!("CARGO_BIN_EXE_xtask"));
        xtask.args(["demo", "--release", &self.release, "--kubeconfig"]).arg(self.cluster.kubeconfig());
        xtask.args(more).output().expect("it runs")
    }

    fn kubectl(&self, arguments: &[&str]) -> Output {
        let mut kubectl = self.command(self.cluster.kubectl().to_str().expect("text"));
        kubectl.args(arguments).env("KUBECONFIG", self.cluster.kubeconfig()).output().expect("kubectl runs")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let namespaces = ["", "home-"].map(|prefix| format!("{prefix}{}", self.release));
        for namespace in namespaces.into_iter().chain([format!("{}-demo", self.release)]) {
            self.kubectl(&["delete", "namespace", &namespace, "--ignore-not-found", "--wait=false"]);
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn devpi_answers_on_a_given_cluster_and_what_is_left_out_is_named() {
    let Some(cluster) = shared_cluster() else { return };
    let Some(image) = cluster.devpi_image().map(str::to_owned) else {
        return skip("the cluster has no node with an image of DevPI");
    };
    let demo = Demo { cluster, release: format!("given-{:x}", std::process::id()) };

    let planned = demo.run(&[]);
    let stderr = text(&planned.stderr);
    assert!(planned.status.success(), "{stderr}");
    assert!(
        stderr.contains("DevPI was planned and not installed") && stderr.contains("--image REF"),
        "{stderr}"
    );
    assert!(!demo.kubectl(&["get", "namespace", &demo.release]).status.success(), "nothing was made");

    let installed = demo.run(&["--image", &image]);
    let stderr = text(&installed.stderr);
    assert!(installed.status.success(), "{stderr}");
    for expected in ["DevPI answers: {", "left out:", "sign-on: no Keycloak", "default StorageClass", "phase"]
    {
        assert!(stderr.contains(expected), "`{expected}` is not in {stderr}");
    }
    let index = format!("/api/v1/namespaces/{}/services/devpi:3141/proxy/root/stable/+api", demo.release);
    let index = demo.kubectl(&["get", "--raw", &index]);
    assert!(text(&index.stdout).contains("root/stable/+simple"), "the index was made: {index:?}");
    let pods = demo.kubectl(&["get", "pods", "-n", &demo.release, "-o", "name"]);
    assert!(text(&pods.stdout).contains("pod/devpi-"), "{pods:?}");

    // Kubernetes deletes the Job 300 s after its end.
    let deleted = demo.kubectl(&["delete", "job", "devpi-init", "-n", &demo.release, "--ignore-not-found"]);
    assert!(deleted.status.success(), "{deleted:?}");
    let again = demo.run(&["--image", &image]);
    let stderr = text(&again.stderr);
    assert!(again.status.success() && stderr.contains("DevPI has the index root/stable"), "{stderr}");
}

#[test]
fn a_cluster_that_does_not_answer_ends_the_demo_before_anything_is_built() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("kubeconfig");
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}]
    });
    std::fs::write(&file, kubeconfig.to_string()).expect("writable");
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = xtask.args(["demo", "--kubeconfig"]).arg(&file).output().expect("it runs");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("failed") && !stderr.contains("the host is built"), "{stderr}");
    assert!(stderr.contains("refuses") || stderr.contains("kubectl is missing"), "{stderr}");
}
