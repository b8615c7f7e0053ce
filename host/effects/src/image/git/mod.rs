//! Where an image is built from: a commit of a git repository, or a folder of this machine.

#[cfg(test)]
mod tests;

use crate::Error;
use crate::fs::beneath::{Folder, Place, Seen, hashed};
use crate::image::build_dir::BuildDir;
use crate::process::{OutputSink, Run, command, find};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thinkube_plan::{GitSource, ImageSource, ImageStep, RelativePath};
use tokio::process::Command;

const ASK: Duration = Duration::from_secs(120);
const FETCH: Duration = Duration::from_secs(1200);

/// A folder with more in it is no source of an image.
const MOST_FILES: usize = 100_000;
const MOST_BYTES: u64 = 4 << 30;

/// What exactly an image is built from. The same one gives the same image, as far as its Dockerfile goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    id: String,
    tag: String,
}

impl Commit {
    /// The commit's hash, or that of the folder's content.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The tag under which a registry keeps the image that was built from it.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// One commit can hold several images: where it is not the usual Dockerfile in the usual place, the tag says so.
    fn of_git(id: String, step: &ImageStep) -> Self {
        let tag = if step.dockerfile == "Dockerfile" && step.context == "." {
            id.clone()
        } else {
            let place = Sha256::digest(format!("{}\0{}", step.dockerfile, step.context));
            format!("{id}-{}", &format!("{place:x}")[..8])
        };
        Self { id, tag }
    }

    fn of_folder(id: String) -> Self {
        Self { tag: format!("folder-{id}"), id }
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// Whether a tag is one under which [`Commit::tag`] keeps images.
pub(super) fn is_tag_of_commit(tag: &str) -> bool {
    let id = tag.strip_prefix("folder-").unwrap_or(tag);
    is_commit(id.split_once('-').map_or(id, |(id, _)| id))
}

/// What a build reads.
pub(super) struct Checkout {
    pub(super) context: PathBuf,
    pub(super) dockerfile: PathBuf,
}

/// Whether it is the whole name of a commit, as git writes it.
fn is_commit(revision: &str) -> bool {
    matches!(revision.len(), 40 | 64)
        && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What the source of a step is now.
pub(super) async fn resolve(step: &ImageStep, build_dir: &BuildDir) -> Result<Commit, Error> {
    let git = match &step.source {
        ImageSource::Folder(folder) => return Ok(Commit::of_folder(content(step, Path::new(folder), None)?)),
        ImageSource::Git(git) => git,
    };
    if is_commit(&git.revision) {
        return Ok(Commit::of_git(git.revision.clone(), step));
    }
    let revision = &git.revision;
    let names = if revision.starts_with("refs/") || revision == "HEAD" {
        vec![format!("{revision}^{{}}"), revision.clone()]
    } else {
        // What a tag is of comes before the tag, and a tag before a branch, as git reads them.
        let tag = format!("refs/tags/{revision}");
        vec![format!("{tag}^{{}}"), tag, format!("refs/heads/{revision}")]
    };
    let mut command = git_command(git, build_dir)?;
    command.args(["ls-remote", "--quiet", "--", &git.url]).args(&names);
    let run = Run { what: "git ls-remote", limit: ASK, says: &|_| (), secrets: &[] };
    let output = run.kept(command).await?.success().map_err(|lines| failed(git, "git ls-remote", lines))?;
    let found = |name: &String| {
        output.lines().find_map(|line| line.split_once('\t').filter(|(_, at)| at == name).map(|(id, _)| id))
    };
    match names.iter().find_map(found).filter(|id| is_commit(id)) {
        Some(id) => Ok(Commit::of_git(id.to_owned(), step)),
        None => Err(Error::NoRevision { url: git.url.clone(), revision: revision.clone() }),
    }
}

/// Brings the source to where a build can read it, and nobody else changes it.
pub(super) async fn fetch(
    step: &ImageStep,
    commit: &Commit,
    build_dir: &BuildDir,
    says: OutputSink<'_>,
) -> Result<Checkout, Error> {
    let root = build_dir.folder("source")?;
    match &step.source {
        ImageSource::Folder(folder) => {
            if content(step, Path::new(folder), Some(&root))? != commit.id {
                return Err(Error::SourceMoved { source_folder: PathBuf::from(folder) });
            }
        }
        ImageSource::Git(git) => {
            let run = |what: &'static str, limit, command| async move {
                let run = Run { what, limit, says, secrets: &[] };
                run.shown(command).await?.success().map_err(|lines| failed(git, what, lines))
            };
            let command = |arguments: &[&str]| {
                let mut command = git_command(git, build_dir)?;
                command.args(arguments).env("GIT_DIR", build_dir.path("git")).env("GIT_WORK_TREE", &root);
                Ok::<_, Error>(command)
            };
            let format =
                if commit.id.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
            run("git init", ASK, command(&["init", "--quiet", "--template=", format])?).await?;
            // By its hash: what a branch leads to may be another one by now.
            let fetch = [
                "fetch",
                "--quiet",
                "--depth=1",
                "--no-tags",
                "--no-recurse-submodules",
                "--",
                &git.url,
                &commit.id,
            ];
            run("git fetch", FETCH, command(&fetch)?).await?;
            run("git checkout", FETCH, command(&["checkout", "--quiet", "--detach", &commit.id])?).await?;
        }
    }
    let (context, dockerfile) = places(step, &root)?;
    Ok(Checkout { context, dockerfile })
}

/// git with nothing of the user's own: no configuration, no credentials, no hooks, no questions, and no other protocol than
/// the URL's. The administrator's configuration counts. Redirects are not followed: what was granted is the URL.
fn git_command(source: &GitSource, build_dir: &BuildDir) -> Result<Command, Error> {
    let git = find("git")
        .ok_or(Error::NoProgram { program: "git", cure: "install it (on Debian: apt-get install git)" })?;
    let home = build_dir.folder("home")?;
    let protocol = if source.url.starts_with("file://") { "file" } else { "https" };
    let mut command = command(&git, &[]);
    build_dir.guide(&mut command);
    command
        .current_dir(&home)
        .env("HOME", &home)
        .env("GIT_TERMINAL_PROMPT", "0")
        // OutputSink nothing, so that no other program is asked for a password.
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

fn failed(git: &GitSource, what: &'static str, lines: Vec<String>) -> Error {
    Error::Git { what, url: git.url.clone(), lines }
}

/// Where context and Dockerfile are. No link on the way: one could lead out of the source, to what this machine holds.
fn places(step: &ImageStep, root: &Path) -> Result<(PathBuf, PathBuf), Error> {
    let wrong = |path: &str, message: String| Error::Source { path: path.to_owned(), message };
    let unreadable = |path: &str| {
        let path = path.to_owned();
        move |error: io::Error| Error::Source { path, message: error.to_string() }
    };
    let folder = Folder::open(root).map_err(unreadable(&root.display().to_string()))?;
    let read = |path: &str| path.parse::<RelativePath>().map_err(|error| wrong(path, error.to_string()));
    let place = |path: &str, at: Option<&RelativePath>| match folder.place(at).map_err(unreadable(path))? {
        Place::There(folder) => Ok(folder),
        Place::Missing => Err(wrong(path, "it is not there".to_owned())),
        Place::Blocked(at, what) => Err(wrong(path, format!("{at} is {what}"))),
    };
    let mut context = root.to_owned();
    if step.context != "." {
        place(&step.context, Some(&read(&step.context)?))?;
        context.push(&step.context);
    }
    let dockerfile = read(&step.dockerfile)?;
    let lies_in = place(&step.dockerfile, dockerfile.parent().as_ref())?;
    match lies_in.look(dockerfile.name()).map_err(unreadable(&step.dockerfile))? {
        Seen::File(..) => {}
        Seen::Absent => return Err(wrong(&step.dockerfile, "it is not there".to_owned())),
        Seen::Directory { .. } => return Err(wrong(&step.dockerfile, "it is a folder".to_owned())),
        Seen::Other(what) => return Err(wrong(&step.dockerfile, format!("it is {what}"))),
    }
    Ok((context, root.join(dockerfile.as_str())))
}

/// The hash of everything in a folder that a build of the step reads, which is copied to `copy` meanwhile: what is built is
/// what was hashed. What git keeps of itself is left out.
fn content(step: &ImageStep, folder: &Path, copy: Option<&Path>) -> Result<String, Error> {
    let root = folder.canonicalize().map_err(|error| source_error(folder, &error))?;
    let (context, dockerfile) = places(step, &root)?;
    let mut content = Content { root: &root, copy, hash: Sha256::new(), files: 0, bytes: 0 };
    for text in [&step.context, &step.dockerfile] {
        content.text(text.as_bytes());
    }
    content.folder(&context)?;
    if !dockerfile.starts_with(&context) {
        if let (Some(copy), Ok(relative)) = (copy, dockerfile.strip_prefix(&root)) {
            let parent = copy.join(relative);
            let parent = parent.parent().unwrap_or(copy);
            fs::create_dir_all(parent).map_err(|error| source_error(&dockerfile, &error))?;
        }
        content.entry(&dockerfile)?;
    }
    Ok(format!("{:x}", content.hash.finalize()))
}

fn source_error(path: &Path, error: &dyn fmt::Display) -> Error {
    Error::Source { path: path.display().to_string(), message: error.to_string() }
}

struct Content<'a> {
    root: &'a Path,
    copy: Option<&'a Path>,
    hash: Sha256,
    files: usize,
    bytes: u64,
}

impl Content<'_> {
    fn text(&mut self, text: &[u8]) {
        self.hash.update((text.len() as u64).to_be_bytes());
        self.hash.update(text);
    }

    fn copied(&self, path: &Path) -> Option<PathBuf> {
        Some(self.copy?.join(path.strip_prefix(self.root).ok()?))
    }

    fn folder(&mut self, folder: &Path) -> Result<(), Error> {
        let failed = |error: io::Error| source_error(folder, &error);
        if let Some(copy) = self.copied(folder) {
            fs::create_dir_all(copy).map_err(failed)?;
        }
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(failed)?;
        paths.sort();
        for path in paths {
            if path.file_name().is_some_and(|name| name == ".git") {
                continue;
            }
            self.entry(&path)?;
        }
        // So that what follows a folder is not taken for what is in it.
        self.text(b"end");
        if let Some(copy) = self.copied(folder) {
            let mode = fs::metadata(folder).map_err(failed)?.permissions().mode() & 0o777;
            fs::set_permissions(copy, fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |error: io::Error| source_error(path, &error);
        self.files += 1;
        if self.files > MOST_FILES {
            return Err(source_error(self.root, &format!("it holds more than {MOST_FILES} files")));
        }
        let found = fs::symlink_metadata(path).map_err(failed)?;
        let relative = path.strip_prefix(self.root).unwrap_or(path).to_owned();
        self.text(relative.as_os_str().as_bytes());
        let kind = found.file_type();
        if kind.is_dir() {
            self.text(format!("folder {:o}", found.permissions().mode() & 0o777).as_bytes());
            self.folder(path)
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(failed)?;
            self.text(b"link");
            self.text(target.as_os_str().as_bytes());
            match self.copied(path) {
                Some(copy) => symlink(target, copy).map_err(failed),
                None => Ok(()),
            }
        } else if kind.is_file() {
            if self.file(path).map_err(failed)? {
                return Ok(());
            }
            Err(source_error(self.root, &format!("it holds more than {} GiB", MOST_BYTES >> 30)))
        } else {
            Err(source_error(path, &"it is neither a file nor a folder nor a link"))
        }
    }

    /// False: with this one it is too much.
    fn file(&mut self, path: &Path) -> io::Result<bool> {
        // Should it have become a link or a pipe meanwhile: neither is followed, nor waited for.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is no file any more"));
        }
        let mode = found.permissions().mode() & 0o777;
        self.text(format!("file {mode:o}").as_bytes());
        let mut copy = match self.copied(path) {
            Some(copy) => Some(fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(copy)?),
            None => None,
        };
        let mut length = 0;
        let hash = hashed(file, MOST_BYTES - self.bytes, |bytes| {
            length += bytes.len() as u64;
            copy.as_mut().map_or(Ok(()), |copy| copy.write_all(bytes))
        })?;
        let Some(hash) = hash else { return Ok(false) };
        self.bytes += length;
        self.text(hash.as_bytes());
        if let Some(copy) = copy {
            copy.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        Ok(true)
    }
}
