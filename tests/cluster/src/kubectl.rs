//! The harness's own requests, by the kubectl that was built with the cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::paths::Layout;
use crate::process::{Answer, helper, run, run_with};

/// kubectl with a kubeconfig.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    layout: Layout,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(crate) fn of(layout: &Layout) -> Result<Self> {
        Ok(Self { layout: layout.clone(), kubeconfig: layout.kubeconfig() })
    }

    /// The same with another user's kubeconfig.
    pub(crate) fn of_user(self, kubeconfig: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), ..self }
    }

    fn command(&self) -> Command {
        let mut command = helper(self.layout.path("bin/kubectl"), &self.layout);
        // A server that is just starting may leave a request unanswered; a new one is better than a long wait.
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--request-timeout=5s");
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

    /// Asks whether a command succeeds.
    pub(crate) fn asks(&self, arguments: &[&str]) -> Answer {
        match self.run(arguments) {
            Ok(_) => Answer::Yes,
            Err(Error::Command { stderr, .. }) => Answer::NotYet(stderr),
            Err(other) => Answer::NotYet(other.to_string()),
        }
    }

    /// Applies a file of definitions of resources and waits until they are served.
    pub(crate) fn apply_file(&self, file: &Path) -> Result<()> {
        let file = file.to_string_lossy();
        self.run(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=thinkube-test-cluster",
            "-f",
            &file,
        ])?;
        self.run(&[
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            "customresourcedefinitions",
            "--all",
        ])
        .map(drop)
    }

    /// Applies an object.
    pub(crate) fn apply(&self, object: &Value) -> Result<()> {
        let mut command = self.command();
        command.args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=thinkube-test-cluster",
            "-f",
            "-",
        ]);
        run_with(&mut command, &object.to_string()).map(drop)
    }
}
