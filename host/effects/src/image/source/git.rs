//! A git repository as a source.
//!
//! git runs with nothing of the user: no configuration, credentials, hooks or questions, and with no other protocol than the
//! URL's. The administrator's configuration counts. Redirects are not followed, because the grant is for the URL.

use super::error::SourceError;
use crate::image::build_dir::BuildDir;
use crate::process::{self, OutputSink, Run, command, find};
use std::path::Path;
use std::time::Duration;
use thinkube_plan::GitSource;
use tokio::process::Command;

const SHORT_TIMEOUT: Duration = Duration::from_secs(120);
const FETCH_TIMEOUT: Duration = Duration::from_secs(1200);

/// Whether a revision is the full hash of a commit, as git prints it.
pub(super) fn is_commit(revision: &str) -> bool {
    matches!(revision.len(), 40 | 64)
        && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The hash of the commit that a revision leads to. Fetches nothing.
pub(super) async fn resolve(source: &GitSource, build_dir: &BuildDir) -> Result<String, SourceError> {
    let revision = &source.revision;
    if is_commit(revision) {
        return Ok(revision.clone());
    }
    let names = if revision.starts_with("refs/") || revision == "HEAD" {
        vec![format!("{revision}^{{}}"), revision.clone()]
    } else {
        // The order of gitrevisions(7), with the commit of an annotated tag before the tag itself.
        let tag = format!("refs/tags/{revision}");
        vec![format!("{tag}^{{}}"), tag, format!("refs/heads/{revision}")]
    };
    let mut command = git(source, build_dir)?;
    command.args(["ls-remote", "--quiet", "--", &source.url]).args(&names);
    let run = Run { what: "git ls-remote", limit: SHORT_TIMEOUT, sink: &|_| (), secrets: &[] };
    let output =
        run.captured(command).await?.success().map_err(|lines| failed(source, "git ls-remote", lines))?;
    let find = |name: &String| {
        output.lines().find_map(|line| line.split_once('\t').filter(|(_, at)| at == name).map(|(id, _)| id))
    };
    match names.iter().find_map(find).filter(|id| is_commit(id)) {
        Some(id) => Ok(id.to_owned()),
        None => Err(SourceError::NoRevision { url: source.url.clone(), revision: revision.clone() }),
    }
}

/// Checks a commit out at `root`.
pub(super) async fn check_out(
    source: &GitSource,
    commit: &str,
    root: &Path,
    build_dir: &BuildDir,
    sink: OutputSink<'_>,
) -> Result<(), SourceError> {
    let run = |what: &'static str, limit, command| async move {
        let run = Run { what, limit, sink, secrets: &[] };
        run.streamed(command).await?.success().map_err(|lines| failed(source, what, lines))
    };
    let command = |arguments: &[&str]| {
        let mut command = git(source, build_dir)?;
        command.args(arguments).env("GIT_DIR", build_dir.path("git")).env("GIT_WORK_TREE", root);
        Ok::<_, SourceError>(command)
    };
    let format = if commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
    run("git init", SHORT_TIMEOUT, command(&["init", "--quiet", "--template=", format])?).await?;
    // By hash: a branch may have moved since the preview.
    let fetch =
        ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", &source.url, commit];
    run("git fetch", FETCH_TIMEOUT, command(&fetch)?).await?;
    run("git checkout", FETCH_TIMEOUT, command(&["checkout", "--quiet", "--detach", commit])?).await?;
    Ok(())
}

fn git(source: &GitSource, build_dir: &BuildDir) -> Result<Command, SourceError> {
    let program = find("git").ok_or(process::Error::NotFound {
        program: "git",
        advice: "install git (on Debian: apt-get install git)",
    })?;
    let home = build_dir.create_dir("home")?;
    let protocol = if source.url.starts_with("file://") { "file" } else { "https" };
    let mut command = command(&program, &[]);
    build_dir.configure(&mut command);
    command
        .current_dir(&home)
        .env("HOME", &home)
        .env("GIT_TERMINAL_PROMPT", "0")
        // `true` prints no password, and keeps git from asking another program for one.
        .env("GIT_ASKPASS", "true")
        .env("GIT_ALLOW_PROTOCOL", protocol)
        .env("GIT_LFS_SKIP_SMUDGE", "1");
    for setting in [
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.autocrlf=false",
        "credential.helper=",
        "http.followRedirects=false",
        "submodule.recurse=false",
        "fetch.recurseSubmodules=false",
        "protocol.version=2",
        "maintenance.auto=false",
        "gc.auto=0",
        "advice.detachedHead=false",
    ] {
        command.args(["-c", setting]);
    }
    Ok(command)
}

fn failed(source: &GitSource, what: &'static str, lines: Vec<String>) -> SourceError {
    SourceError::Git { what, url: source.url.clone(), lines }
}
