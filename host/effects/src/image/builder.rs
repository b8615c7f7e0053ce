//! The program that builds and pushes: buildah, or podman, which takes the same arguments.

use super::git::Checkout;
use crate::Error;
use crate::image::build_dir::BuildDir;
use crate::process::{OutputSink, Run, command, find};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use thinkube_plan::{Digest, ImageName, SecretText};
use tokio::process::Command;

const PUSH: Duration = Duration::from_secs(1800);

/// The name of the image in the private storage.
const LOCAL: &str = "localhost/thinkube-image:latest";

/// How the operator has set these tools up: short names of registries, storage drivers, isolation, and what they need
/// without root. Not where they keep logins: a build uses the one that its step names, or none.
pub(super) const PASSED: &[&str] = &[
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "CONTAINERS_CONF",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "BUILDAH_ISOLATION",
    "BUILDAH_RUNTIME",
];

/// Where the program is, and its subcommand that builds.
pub(super) fn program() -> Result<(PathBuf, &'static str), Error> {
    let found = [("buildah", "bud"), ("podman", "build")]
        .into_iter()
        .find_map(|(program, build)| Some((find(program)?, build)));
    found.ok_or(Error::NoProgram {
        program: "buildah or podman",
        cure: "images are built by one of them; install it (on Debian and Ubuntu: apt-get install buildah)",
    })
}

/// One build's tool, with a storage of its own: nothing of it mixes with the operator's images, or is left.
pub(super) struct Tool<'a> {
    program: PathBuf,
    build: &'static str,
    build_dir: &'a BuildDir,
    auth_file: PathBuf,
    says: OutputSink<'a>,
    secrets: &'a [SecretText],
}

impl<'a> Tool<'a> {
    pub(super) fn find(
        build_dir: &'a BuildDir,
        auth_file: PathBuf,
        says: OutputSink<'a>,
        secrets: &'a [SecretText],
    ) -> Result<Self, Error> {
        let (program, build) = program()?;
        Ok(Self { program, build, build_dir, auth_file, says, secrets })
    }

    fn command(&self, subcommand: &str) -> Result<Command, Error> {
        let mut command = command(&self.program, PASSED);
        self.build_dir.guide(&mut command);
        command
            .arg("--root")
            .arg(self.build_dir.path("storage"))
            .arg("--runroot")
            .arg(self.build_dir.path("run"))
            .arg(subcommand)
            .arg("--tls-verify=true")
            .arg("--authfile")
            .arg(&self.auth_file)
            .current_dir(self.build_dir.folder("home")?)
            .env("TMPDIR", self.build_dir.folder("tmp")?)
            // Where a tool without root keeps what it knows of registries.
            .env("XDG_DATA_HOME", self.build_dir.folder("data")?);
        Ok(command)
    }

    pub(super) async fn build(&self, checkout: &Checkout, limit: Duration, what: &str) -> Result<(), Error> {
        let mut command = self.command(self.build)?;
        if self.build_dir.has_way() {
            // Loopback is another one in a container.
            command.arg("--http-proxy=false");
        }
        command
            .args(["--layers=false", "--force-rm", "--tag", LOCAL, "--file"])
            .arg(&checkout.dockerfile)
            .arg(&checkout.context);
        let run = Run { what: "the build of the image", limit, says: self.says, secrets: self.secrets };
        match run.shown(command).await?.success() {
            Ok(_) => Ok(()),
            Err(lines) => Err(Error::Build { what: what.to_owned(), lines }),
        }
    }

    pub(super) async fn push(&self, to: &ImageName) -> Result<Digest, Error> {
        let digest = self.build_dir.path("digest");
        let mut command = self.command("push")?;
        command.arg("--digestfile").arg(&digest).arg(LOCAL).arg(format!("docker://{to}"));
        let run = Run { what: "the push of the image", limit: PUSH, says: self.says, secrets: self.secrets };
        if let Err(lines) = run.shown(command).await?.success() {
            return Err(Error::Push { destination: to.to_string(), lines });
        }
        let text = fs::read_to_string(digest).map_err(|source| Error::BuildDir { source })?;
        text.trim().parse().map_err(|error: thinkube_plan::Error| Error::Push {
            destination: to.to_string(),
            lines: vec![error.to_string()],
        })
    }
}
