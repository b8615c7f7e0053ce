//! The host as a process: its command, and how it ended.

use crate::plugins::{host, root};
use serde_json::Value;
use std::process::{Command, Stdio};

/// The end of a process.
#[derive(Debug)]
pub struct Run {
    /// The exit code; 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Run {
    /// Its output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }

    /// The error as JSON, from the last line of standard error.
    pub fn error(&self) -> Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }

    /// The message and the hint of the error.
    pub fn error_text(&self) -> String {
        let error = &self.error()["error"];
        let message = error["message"].as_str().expect("an error has a message");
        format!("{message}\n{}", error["hint"].as_str().unwrap_or_default())
    }

    /// Asserts the exit code.
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

/// The host with these arguments, in the root of the workspace, without a cluster and without a secret.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(host());
    command
        .current_dir(root())
        .args(arguments)
        .env("KUBECONFIG", "/nonexistent/kubeconfig")
        .env_remove("ADMIN_PASSWORD")
        // The runner sets it for libtest; with it a plugin would be rebuilt.
        .env_remove("RUSTC_BOOTSTRAP")
        .env_remove("THINKUBE_STATE_NAMESPACE")
        .stdin(Stdio::null());
    command
}

/// Runs the host with no cluster.
pub fn run(arguments: &[&str]) -> Run {
    finish(&mut command(arguments))
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Run {
    use std::os::unix::process::ExitStatusExt;
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is UTF-8");
    let code = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
    Run {
        code: code.expect("a process ends with a code or a signal"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
