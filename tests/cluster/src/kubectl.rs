//! The harness's own requests, by the kubectl that was built with the cluster.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::paths::Layout;
use crate::process::{Answer, helper, run};
use crate::programs::Programs;

/// kubectl with the administrator's kubeconfig.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    layout: Layout,
    programs: Programs,
}

impl Kubectl {
    pub(crate) fn of(layout: &Layout) -> Result<Self> {
        Ok(Self { layout: layout.clone(), programs: Programs::cached()? })
    }

    fn command(&self) -> Command {
        let mut command = helper(self.programs.kube("kubectl"), &self.layout);
        // A server that is just starting may leave a request unanswered; a new one is better than a long wait.
        command.arg("--kubeconfig").arg(self.layout.kubeconfig()).arg("--request-timeout=5s");
        // kubectl caches what it discovers below HOME, which would outlive the cluster.
        command.env("KUBECACHEDIR", self.layout.path("kubectl-cache"));
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        run(self.command().args(arguments))
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = run(self.command().args(arguments).args(["-o", "json"]))?;
        serde_json::from_str(&text).map_err(|source| Error::Json {
            what: format!("answer to kubectl {}", arguments.join(" ")),
            source,
        })
    }

    /// Asks whether a command succeeds.
    pub(crate) fn asks(&self, arguments: &[&str]) -> Answer {
        match self.run(arguments) {
            Ok(_) => Answer::Yes,
            Err(Error::Command { stderr, .. }) => Answer::NotYet(stderr),
            Err(other) => Answer::NotYet(other.to_string()),
        }
    }

    /// Applies an object.
    pub(crate) fn apply(&self, object: &Value) -> Result<()> {
        let mut command = self.command();
        command.args(["apply", "--server-side", "--field-manager=thinkube-test-cluster", "-f", "-"]);
        let spawn = |source| Error::Spawn { program: "kubectl apply".to_owned(), source };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(spawn)?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(object.to_string().as_bytes()).map_err(spawn)?;
        }
        let output = child.wait_with_output().map_err(spawn)?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Command {
            command: "kubectl apply".to_owned(),
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
