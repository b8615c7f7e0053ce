//! What the demos ask of a cluster by kubectl.

use crate::command::run;
use anyhow::{Context as _, bail};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A first start pulls the image and prepares a database.
const PATIENCE: Duration = Duration::from_secs(300);

/// What DevPI says of itself, through the API server, as soon as its pod answers.
pub(super) fn answer(kubectl: Command, namespace: &str) -> anyhow::Result<String> {
    let begin = Instant::now();
    let mut asking = asking(kubectl, namespace);
    loop {
        let output = asking.output().context("kubectl cannot be run")?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        if begin.elapsed() > PATIENCE {
            let last = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!(
                "DevPI does not answer after {} s: {last}; `kubectl describe pods -n {namespace}` says why",
                PATIENCE.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// Whether DevPI answers now.
pub(super) fn answers(kubectl: Command, namespace: &str) -> bool {
    asking(kubectl, namespace).output().is_ok_and(|output| output.status.success())
}

fn asking(mut kubectl: Command, namespace: &str) -> Command {
    let path = format!("/api/v1/namespaces/{namespace}/services/devpi:3141/proxy/+api");
    kubectl.args(["get", "--raw", &path]);
    kubectl
}

/// Waits for the Job that makes DevPI's index. Applied without waiting it may begin before the server listens; then
/// Kubernetes tries again.
pub(super) fn bootstrapped(kubectl: &mut Command, namespace: &str) -> anyhow::Result<()> {
    kubectl.args(["wait", "--for=condition=complete", "job/devpi-init", "--namespace", namespace]);
    run(kubectl.arg(format!("--timeout={}s", PATIENCE.as_secs())))
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
