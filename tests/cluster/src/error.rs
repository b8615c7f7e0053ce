//! Why the harness fails. The text of an error does not repeat its source: print the chain.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::addon::Addon;
use crate::requirement::UnmetRequirement;

/// Why the harness failed. A developer reads it, so the text names the command that helps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine lacks something; every lack is listed with its fix.
    #[error("this machine lacks:\n{}", list(.0))]
    Unmet(Vec<UnmetRequirement>),
    /// A name that cannot name a folder, a network namespace and a cgroup.
    #[error("`{0}` is not a valid cluster name: use 1 to 20 characters of a-z, 0-9 and `-`, a letter first")]
    Name(String),
    /// No such cluster runs, or it is not healthy.
    #[error("cluster `{0}` does not run; start it with `cargo xtask cluster up --name {0}`")]
    NotRunning(String),
    /// A node is required, and the running cluster has none.
    #[error(
        "cluster `{0}` runs without a node and a node is required; take it down first with \
         `cargo xtask cluster down --name {0}`"
    )]
    NoNode(String),
    /// The cluster lacks an addon.
    #[error("the cluster has no {0}; add it with `cargo xtask cluster up --with {0}`")]
    NoAddon(Addon),
    /// The harness did not start the cluster, so it has neither its keys nor its logs.
    #[error("the cluster of {path} was not started by the harness and cannot provide {what}; unset THINKUBE_TEST_KUBECONFIG to use the harness's own", path = .kubeconfig.display())]
    External {
        /// What was asked for.
        what: &'static str,
        /// The kubeconfig in use.
        kubeconfig: PathBuf,
    },
    /// The kubeconfig that the environment names cannot be read.
    #[error("THINKUBE_TEST_KUBECONFIG names {path}, which cannot be read; correct or unset it", path = .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file, folder or address could not be used.
    #[error("{path} could not be used", path = .path.display())]
    Io {
        /// The file, folder or address.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("{program} could not be started")]
    Spawn {
        /// The program.
        program: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A program failed.
    #[error("`{command}` ended with {status}:\n{stderr}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it wrote to standard error.
        stderr: String,
    },
    /// A server ended while the cluster started.
    #[error("{program} ended while the cluster started; the end of {log}:\n{tail}", log = .log.display())]
    Died {
        /// The server.
        program: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A wait ended without its result.
    #[error("{what} was not there after {} s; see the logs in {logs}; last answer: {last}", .after.as_secs(), logs = .logs.display())]
    Timeout {
        /// What was waited for.
        what: String,
        /// The limit.
        after: Duration,
        /// The folder with the logs of the cluster.
        logs: PathBuf,
        /// The last answer.
        last: String,
    },
    /// `down` could not remove everything.
    #[error(
        "cluster `{name}` could not be removed completely; left are: {left}; run `cargo xtask cluster down --name {name}` again"
    )]
    Left {
        /// The cluster.
        name: String,
        /// What is left.
        left: String,
    },
    /// The cluster has no such server.
    #[error("cluster `{cluster}` has no server `{name}`; expected one of: {known}")]
    UnknownServer {
        /// The cluster.
        cluster: String,
        /// The name that was asked for.
        name: String,
        /// The names of its servers.
        known: String,
    },
    /// A server does not run, so it cannot be paused.
    #[error("{0} does not run; start it with `cargo xtask cluster restart {0}`")]
    ServerNotRunning(&'static str),
    /// A file is not a usable image archive.
    #[error("{archive}: {why}; make it with `docker save`, or with `buildah push IMAGE docker-archive:FILE:NAME`", archive = .archive.display())]
    Archive {
        /// The file.
        archive: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A password could not be hashed.
    #[error("a password could not be hashed: {0}")]
    Password(String),
    /// A key or a certificate could not be made.
    #[error("a certificate could not be made")]
    Pki(#[from] rcgen::Error),
    /// A client certificate with more groups than fit.
    #[error(
        "a client certificate names at most {max} groups and {given} are given; bind the role to the user instead"
    )]
    Groups {
        /// How many were given.
        given: usize,
        /// How many fit.
        max: usize,
    },
    /// A file of the harness or an answer of a server is not valid JSON of its kind.
    #[error("{what} is not valid")]
    Json {
        /// The file or answer.
        what: String,
        /// The cause.
        source: serde_json::Error,
    },
}

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// Adds the path to an I/O error.
pub(crate) trait At<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io { path: path.into(), source })
    }
}

fn list(unmet: &[UnmetRequirement]) -> String {
    unmet.iter().map(|one| format!("  {one}")).collect::<Vec<_>>().join("\n")
}
