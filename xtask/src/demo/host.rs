//! Runs the built host with the arguments that an operator would type.

use crate::command::{absolute_target, root, run, say, target};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use thinkube_test_cluster::{HOST_VARIABLE, build_dir};

/// The built host, with the arguments and environment of each call.
pub(super) struct Host {
    program: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    /// Arguments of the subcommands that speak to a cluster.
    connection: Vec<String>,
    /// Arguments of those that also use external servers.
    outside: Vec<String>,
}

impl Host {
    pub(super) fn offline() -> Self {
        let built = std::env::var_os(HOST_VARIABLE).map(PathBuf::from);
        let program = built.unwrap_or_else(|| target().join("debug/thinkube-host"));
        Self { program, environment: Vec::new(), connection: Vec::new(), outside: Vec::new() }
    }

    pub(super) fn with(mut self, variable: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((variable, value.into()));
        self
    }

    pub(super) fn connected_by(mut self, arguments: Vec<String>) -> Self {
        self.connection = arguments;
        self
    }

    pub(super) fn outside_by(mut self, arguments: Vec<String>) -> Self {
        self.outside = arguments;
        self
    }

    /// The folder of the program, for `PATH`.
    pub(super) fn folder(&self) -> &Path {
        self.program.parent().unwrap_or(Path::new(""))
    }

    /// The arguments by which external servers are found.
    pub(super) fn outside(&self) -> String {
        self.outside.join(" ")
    }

    pub(super) fn run<S: AsRef<str>>(&self, arguments: &[S]) -> anyhow::Result<()> {
        self.finish(Command::new(&self.program), arguments)
    }

    /// Runs in a folder for image builds.
    pub(super) fn run_in_workshop<S: AsRef<str>>(
        &self,
        folder: &Path,
        arguments: &[S],
    ) -> anyhow::Result<()> {
        self.finish(build_dir::command(&self.program, folder), arguments)
    }

    /// Whether a release of this name exists.
    pub(super) fn has(&self, release: &str) -> bool {
        let arguments = self.complete(&["status", release]);
        self.prepare(&mut Command::new(&self.program), &arguments)
            .output()
            .is_ok_and(|output| output.status.success())
    }

    fn finish<S: AsRef<str>>(&self, mut command: Command, arguments: &[S]) -> anyhow::Result<()> {
        let arguments = self.complete(arguments);
        say(&format!("thinkube-host {}", arguments.join(" ")));
        run(self.prepare(&mut command, &arguments))
    }

    fn prepare<'a>(&self, command: &'a mut Command, arguments: &[String]) -> &'a mut Command {
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.current_dir(root()).args(arguments).envs(absolute_target()).envs(environment)
    }

    /// Adds the arguments for the cluster and for external servers that the subcommand accepts.
    fn complete<S: AsRef<str>>(&self, arguments: &[S]) -> Vec<String> {
        let mut all: Vec<String> = arguments.iter().map(|argument| argument.as_ref().to_owned()).collect();
        let (cluster, outside) = match all.first().map(String::as_str) {
            Some("apply" | "check") => (true, true),
            Some("status") => (true, false),
            Some("plan") if all.iter().any(|argument| argument == "--cluster") => (true, true),
            _ => (false, false),
        };
        all.extend(self.connection.iter().filter(|_| cluster).cloned());
        all.extend(self.outside.iter().filter(|_| outside).cloned());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_speaks_to_a_cluster_is_told_of_it() {
        let host = Host::offline()
            .connected_by(vec!["--context=c".to_owned()])
            .outside_by(vec!["--ca-file=f".to_owned()]);
        assert_eq!(host.complete(&["plan", "p"]), ["plan", "p"]);
        assert_eq!(host.complete(&["plan", "p", "--cluster"]).len(), 5);
        assert_eq!(host.complete(&["status", "devpi"]), ["status", "devpi", "--context=c"]);
        assert_eq!(host.complete(&["apply", "p"]), ["apply", "p", "--context=c", "--ca-file=f"]);
    }
}
