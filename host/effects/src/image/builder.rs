//! The program that builds and pushes an image: buildah, or podman, which takes the same arguments.

use super::build_dir::{BUILDER_VARIABLES, BuildDir};
use super::error::Error;
use super::source::layout::Layout;
use crate::process::{self, OutputSink, Run, command, find};

use std::path::PathBuf;
use std::time::Duration;
use thinkube_plan::{Digest, ImageName, SecretText};
use tokio::process::Command;

const PUSH_TIMEOUT: Duration = Duration::from_secs(1800);

/// The name of the image in the private storage.
const LOCAL_NAME: &str = "localhost/thinkube-image:latest";

/// The path of the program, and its subcommand that builds.
pub(super) fn find_builder() -> Result<(PathBuf, &'static str), process::Error> {
    let found = [("buildah", "bud"), ("podman", "build")]
        .into_iter()
        .find_map(|(program, build)| Some((find(program)?, build)));
    found.ok_or(process::Error::NotFound {
        program: "buildah or podman",
        advice: "install one of them to build images (on Debian and Ubuntu: apt-get install buildah)",
    })
}

/// The builder of one build. Its storage is private: no image of the operator is used, and no image stays.
pub(super) struct Builder<'a> {
    program: PathBuf,
    build: &'static str,
    build_dir: &'a BuildDir,
    auth_file: PathBuf,
    sink: OutputSink<'a>,
    secrets: &'a [SecretText],
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        build_dir: &'a BuildDir,
        auth_file: PathBuf,
        sink: OutputSink<'a>,
        secrets: &'a [SecretText],
    ) -> Result<Self, Error> {
        let (program, build) = find_builder()?;
        Ok(Self { program, build, build_dir, auth_file, sink, secrets })
    }

    fn command(&self, subcommand: &str) -> Result<Command, Error> {
        let mut command = command(&self.program, BUILDER_VARIABLES);
        self.build_dir.configure(&mut command);
        command
            .arg("--root")
            .arg(self.build_dir.path("storage"))
            .arg("--runroot")
            .arg(self.build_dir.path("run"))
            .arg(subcommand)
            .arg("--tls-verify=true")
            .arg("--authfile")
            .arg(&self.auth_file)
            .current_dir(self.build_dir.create_dir("home")?)
            .env("TMPDIR", self.build_dir.create_dir("tmp")?)
            // A builder without root keeps its cache of registries there.
            .env("XDG_DATA_HOME", self.build_dir.create_dir("data")?);
        Ok(command)
    }

    /// `what` names the step in errors.
    pub(super) async fn build(&self, layout: &Layout, limit: Duration, what: &str) -> Result<(), Error> {
        let mut command = self.command(self.build)?;
        if self.build_dir.has_proxy() {
            // The proxy is on this machine's loopback, which a container cannot reach.
            command.arg("--http-proxy=false");
        }
        command
            .args(["--layers=false", "--force-rm", "--tag", LOCAL_NAME, "--file"])
            .arg(&layout.dockerfile)
            .arg(&layout.context);
        let run = Run { what: "the build of the image", limit, sink: self.sink, secrets: self.secrets };
        match run.streamed(command).await?.success() {
            Ok(_) => Ok(()),
            Err(lines) => Err(Error::Build { what: what.to_owned(), lines }),
        }
    }

    /// Pushes the image that was built. Returns the digest of its manifest, as the builder reports it.
    pub(super) async fn push(&self, to: &ImageName) -> Result<Digest, Error> {
        let failed = |lines| Error::Push { destination: to.to_string(), lines };
        let digest_file = "digest";
        let mut command = self.command("push")?;
        command
            .arg("--digestfile")
            .arg(self.build_dir.path(digest_file))
            .arg(LOCAL_NAME)
            .arg(format!("docker://{to}"));
        let run = Run {
            what: "the push of the image",
            limit: PUSH_TIMEOUT,
            sink: self.sink,
            secrets: self.secrets,
        };
        run.streamed(command).await?.success().map_err(failed)?;
        let digest = self.build_dir.read(digest_file)?;
        digest.trim().parse().map_err(|error: thinkube_plan::Error| failed(vec![error.to_string()]))
    }
}
