//! Requests of the demos to a cluster, by kubectl.

use anyhow::{Context as _, bail};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A first start pulls the image and prepares a database.
const READY_TIMEOUT: Duration = Duration::from_secs(300);

/// DevPI's status page, through the API server, as soon as its pod answers.
pub(super) fn answer(kubectl: Command, namespace: &str) -> anyhow::Result<String> {
    wait_for(kubectl, namespace, "+api")
        .with_context(|| format!("DevPI does not answer; `kubectl describe pods -n {namespace}` says why"))
}

/// Waits for the index that a Job creates, and returns its name. The Job itself is deleted 300 s after its end, and no
/// Job is created if the index exists.
pub(super) fn index(kubectl: Command, namespace: &str) -> anyhow::Result<&'static str> {
    wait_for(kubectl, namespace, &format!("{INDEX}/+api")).with_context(|| {
        format!("DevPI has no index {INDEX}; `kubectl logs job/devpi-init -n {namespace}` says why")
    })?;
    Ok(INDEX)
}

/// The index that the plugin creates by default.
const INDEX: &str = "root/stable";

/// Waits for DevPI to answer a path with success, and returns the answer.
fn wait_for(kubectl: Command, namespace: &str, path: &str) -> anyhow::Result<String> {
    let begin = Instant::now();
    let mut asking = asking(kubectl, namespace, path);
    loop {
        let output = asking.output().context("kubectl cannot be run")?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        if begin.elapsed() > READY_TIMEOUT {
            let last = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!("the answer after {} s was: {last}", READY_TIMEOUT.as_secs());
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// Whether DevPI answers now.
pub(super) fn answers(kubectl: Command, namespace: &str) -> bool {
    asking(kubectl, namespace, "+api").output().is_ok_and(|output| output.status.success())
}

fn asking(mut kubectl: Command, namespace: &str, path: &str) -> Command {
    let path = format!("/api/v1/namespaces/{namespace}/services/devpi:3141/proxy/{path}");
    kubectl.args(["get", "--raw", &path]);
    kubectl
}

/// Whether the namespace has this object (`KIND/NAME`).
pub(super) fn exists(mut kubectl: Command, namespace: &str, object: &str) -> anyhow::Result<bool> {
    kubectl.args(["get", object, "--namespace", namespace, "--ignore-not-found", "--output=name"]);
    let output = kubectl.output().context("kubectl cannot be run")?;
    if !output.status.success() {
        bail!("kubectl get {object}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(!output.stdout.is_empty())
}

/// Applies an object.
pub(super) fn give(kubectl: &mut Command, object: &Value) -> anyhow::Result<()> {
    let apply = kubectl.args(["apply", "--filename=-"]).stdin(Stdio::piped());
    let mut child = apply.spawn().context("kubectl cannot be run")?;
    child.stdin.take().context("kubectl reads nothing")?.write_all(object.to_string().as_bytes())?;
    let status = child.wait()?;
    if !status.success() {
        bail!("kubectl apply ended with {status}, see above");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A kubectl that runs a script.
    fn kubectl(script: &str) -> Command {
        let mut kubectl = Command::new("sh");
        kubectl.args(["-c", script, "kubectl"]);
        kubectl
    }

    #[test]
    fn the_index_is_asked_for_until_the_server_has_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let asked = folder.path().join("asked");
        let script = format!("printf x >> {0}; [ $(wc -c < {0}) = 2 ]", asked.display());
        let path = "/api/v1/namespaces/mine/services/devpi:3141/proxy/root/stable/+api";
        let script = format!("[ \"$3\" = {path} ] || exit 0; {script}");
        assert_eq!(index(kubectl(&script), "mine").expect("the second answer"), "root/stable");
        assert_eq!(fs::read_to_string(asked).expect("it was asked twice"), "xx");
    }

    #[test]
    fn an_object_is_told_from_none_and_from_a_cluster_that_refuses() {
        let object = "deployment/oauth2-proxy";
        assert!(exists(kubectl("echo \"$2\""), "devpi", object).expect("an answer"));
        assert!(!exists(kubectl("exit 0"), "devpi", object).expect("an answer"));
        let refused = exists(kubectl("echo Forbidden >&2; exit 1"), "devpi", object);
        assert!(refused.expect_err("a refusal").to_string().contains("Forbidden"));
    }
}
