//! The harness's own requests, with the kubectl that was built with the cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::paths::Layout;
use crate::process::run::{helper, run, run_with};
use crate::readiness::Readiness;

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

    /// With another user's kubeconfig.
    pub(crate) fn of_user(self, kubeconfig: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), ..self }
    }

    fn command(&self) -> Command {
        let mut command = helper(self.layout.path("bin/kubectl"), &self.layout);
        // A starting server may not answer a request; a new request is faster than a long wait.
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--request-timeout=5s");
        // The default cache is below HOME and would outlive the cluster.
        command.env("KUBECACHEDIR", self.layout.path("kubectl-cache"));
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        run(self.command().args(arguments))
    }

    /// Whether a command succeeds.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> Readiness {
        match self.run(arguments) {
            Ok(_) => Readiness::Ready,
            Err(Error::Command { stderr, .. }) => Readiness::NotReady(stderr),
            Err(other) => Readiness::NotReady(other.to_string()),
        }
    }

    /// Applies a file of CustomResourceDefinitions and waits until they are served.
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
