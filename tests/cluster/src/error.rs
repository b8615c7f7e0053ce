//! What can go wrong, each with the sentence that cures it. An error's text does not repeat its source's: print the chain.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::needs::Need;
use crate::part::Part;

/// Why the harness could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine lacks something; every lack is listed with its cure.
    #[error("this machine lacks:\n{}", list(.0))]
    NeedsFacts(Vec<Need>),
    /// A name that can't be the name of a folder, a network namespace and a cgroup.
    #[error("`{0}` is no name for a cluster: use 1 to 20 characters of a-z, 0-9 and `-`, a letter first")]
    Name(String),
    /// There is no such cluster, or it is not healthy.
    #[error("cluster `{0}` does not run; start it with `cargo xtask cluster up --name {0}`")]
    NotRunning(String),
    /// A cluster without a node runs and one with a node is asked for.
    #[error(
        "cluster `{0}` runs without a node and a node is required; take it down first with \
         `cargo xtask cluster down --name {0}`"
    )]
    NoNode(String),
    /// A part is needed that the cluster does not have.
    #[error("the cluster has no {0}; add it with `cargo xtask cluster up --with {0}`")]
    NoPart(Part),
    /// The cluster was not started by the harness, so the harness holds neither its keys nor its logs.
    #[error("{what} is not to be had from the cluster of {path}, which the harness did not start; unset THINKUBE_TEST_KUBECONFIG to use the harness's own", path = .kubeconfig.display())]
    External {
        /// What was asked for.
        what: &'static str,
        /// The kubeconfig in use.
        kubeconfig: PathBuf,
    },
    /// The kubeconfig that the environment names can't be used.
    #[error("THINKUBE_TEST_KUBECONFIG names {path}, which can't be read; correct or unset it", path = .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file or folder could not be used.
    #[error("{path} could not be used", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A program could not be started at all.
    #[error("{program} could not be started")]
    Spawn {
        /// The program.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` ended with {status}:\n{stderr}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// A server of the cluster ended while it should run.
    #[error("{program} ended while the cluster started; the end of {log}:\n{tail}", log = .log.display())]
    Died {
        /// The server.
        program: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// Something did not come about in time.
    #[error("{what} did not come about within {} s; see the logs in {logs}; last answer: {last}", .after.as_secs(), logs = .logs.display())]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
        /// The folder with the logs of the cluster.
        logs: PathBuf,
        /// The last answer seen.
        last: String,
    },
    /// `down` could not remove everything.
    #[error(
        "cluster `{name}` could not be removed completely; still there: {left}; run `cargo xtask cluster down --name {name}` again"
    )]
    Left {
        /// The cluster.
        name: String,
        /// What is still there.
        left: String,
    },
    /// A server that this cluster does not have.
    #[error("cluster `{cluster}` has no server `{name}`; it has {there}")]
    Server {
        /// The cluster.
        cluster: String,
        /// What was asked for.
        name: String,
        /// What there is.
        there: String,
    },
    /// A server that does not run, so that it can't be paused.
    #[error("{0} does not run; `cargo xtask cluster restart {0}` starts it again")]
    Gone(&'static str),
    /// A file that is no archive of images.
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
    /// A client certificate for more groups than fit.
    #[error(
        "a client certificate names at most {max} groups and {given} are given; bind the role to the user instead"
    )]
    Groups {
        /// How many were given.
        given: usize,
        /// How many fit.
        max: usize,
    },
    /// A file of ours or an answer of the server is not the JSON it should be.
    #[error("{what} is not the JSON that it should be")]
    Json {
        /// The file or answer.
        what: String,
        /// Why not.
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

fn list(needs: &[Need]) -> String {
    needs.iter().map(|need| format!("  {need}")).collect::<Vec<_>>().join("\n")
}
