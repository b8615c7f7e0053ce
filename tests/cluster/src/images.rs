//! Images, made here instead of pulled: the machine may reach package registries and no image registry.
//!
//! A minimal Debian by mmdebstrap, PyPI packages by pip inside buildah. How this machine reaches its mirrors is read from
//! its own configuration at build time, is mounted for the build and does not become part of an image.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{At, Error, Result};
use crate::hash;
use crate::lock::Lock;
use crate::needs::Need;
use crate::paths::{self, Layout};
use crate::process::{helper, run, run_long};
use crate::programs::Programs;
use crate::progress::{Progress, Report, note};
use crate::teardown;

/// The sandbox image's name in the node.
pub(crate) const PAUSE_IMAGE: &str = "thinkube.test/library/pause:1";

/// The DevPI image's name in the node; the tag is the release of devpi-server.
const DEVPI_IMAGE: &str = "thinkube.test/library/devpi:6.20.1";

const PAUSE_RECIPE: &str = "FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT [\"/pause\"]\n";
const DEVPI_RECIPE: &str = include_str!("../images/devpi/Containerfile");
const DEVPI_ENTRYPOINT: &str = include_str!("../images/devpi/entrypoint.sh");

/// The release of Debian in the images; the machine's own may be another.
const SUITE: &str = "trixie";
const BASE_PACKAGES: &str = "python3-venv,python3-pip,ca-certificates";

/// Archives of images.
#[derive(Debug, Clone)]
pub(crate) struct Images {
    pub(crate) pause: PathBuf,
    pub(crate) devpi: PathBuf,
    pub(crate) devpi_name: String,
}

/// Builds what is not in the cache yet.
pub(crate) fn ensure(layout: &Layout, programs: &Programs, report: &mut Report<'_>) -> Result<Images> {
    let cache = paths::cache()?.join("images");
    let pause_program = fs::read(programs.pause()).at(programs.pause())?;
    let recipe = |parts: &[&[u8]]| hash(parts)[..12].to_owned();
    let pause_key = recipe(&[PAUSE_RECIPE.as_bytes(), PAUSE_IMAGE.as_bytes(), &pause_program]);
    let base_key = recipe(&[SUITE.as_bytes(), BASE_PACKAGES.as_bytes()]);
    let devpi_key = recipe(&[
        base_key.as_bytes(),
        DEVPI_IMAGE.as_bytes(),
        DEVPI_RECIPE.as_bytes(),
        DEVPI_ENTRYPOINT.as_bytes(),
    ]);
    let images = Images {
        pause: cache.join(format!("pause-{pause_key}.tar")),
        devpi: cache.join(format!("devpi-{devpi_key}.tar")),
        devpi_name: DEVPI_IMAGE.to_owned(),
    };
    if images.pause.is_file() && images.devpi.is_file() {
        return Ok(images);
    }
    let _lock = Lock::take(&cache.join("build.lock"), report)?;
    note(
        report,
        format!("images are built and kept in {}; the first time this takes about a minute", cache.display()),
    );
    let base = cache.join(format!("base-{base_key}.tar"));
    let all = [(Image::Pause, &images.pause), (Image::Base, &base), (Image::Devpi, &images.devpi)];
    let needed = |image| image != Image::Base || !images.devpi.is_file();
    let missing: Vec<_> = all.into_iter().filter(|(image, file)| needed(*image) && !file.is_file()).collect();
    let of = missing.len();
    for (index, (image, file)) in missing.into_iter().enumerate() {
        let work = Work::new(layout, &cache.join("work"))?;
        let log = cache.join(format!("{}.build.log", image.key()));
        let mut beat = |elapsed: Duration| {
            report(Progress::Building { what: image.to_string(), number: index + 1, of, elapsed });
        };
        match image {
            Image::Pause => {
                work.add(&programs.pause(), "pause")?;
                work.build(PAUSE_RECIPE, PAUSE_IMAGE, file, &log, &mut beat)?;
            }
            Image::Base => debian(&work, file, &log, &mut beat)?,
            Image::Devpi => {
                work.add(&base, "base.tar")?;
                work.write("entrypoint.sh", DEVPI_ENTRYPOINT)?;
                work.build(DEVPI_RECIPE, DEVPI_IMAGE, file, &log, &mut beat)?;
            }
        }
    }
    prune(&cache);
    Ok(images)
}

/// What is built here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Image {
    Pause,
    Base,
    Devpi,
}

impl Image {
    const ALL: [Self; 3] = [Self::Pause, Self::Base, Self::Devpi];

    /// How its file's name begins.
    fn key(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Base => "base",
            Self::Devpi => "devpi",
        }
    }
}

impl fmt::Display for Image {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause => write!(out, "the sandbox image"),
            Self::Base => write!(out, "the Debian base ({SUITE})"),
            Self::Devpi => write!(out, "the DevPI image"),
        }
    }
}

/// A folder for one build, removed with all that buildah leaves mounted in it.
struct Work<'a> {
    layout: &'a Layout,
    folder: PathBuf,
    /// buildah keeps a cache in a place that can't be configured; where there was none, none is left.
    had_cache: bool,
}

/// buildah's cache of what registries hold.
const BLOB_CACHE: &str = "/var/lib/containers/cache/blob-info-cache-v1.boltdb";

impl<'a> Work<'a> {
    fn new(layout: &'a Layout, folder: &Path) -> Result<Self> {
        // What an interrupted build has left.
        discard(folder);
        let context = folder.join("context");
        fs::create_dir_all(&context).at(&context)?;
        // Else buildah makes /etc/cni.
        let settings = folder.join("containers.conf");
        let networks = serde_json::Value::from(folder.join("networks").to_string_lossy().as_ref());
        fs::write(&settings, format!("[network]\nnetwork_config_dir = {networks}\n")).at(settings)?;
        Ok(Self { layout, folder: folder.to_owned(), had_cache: Path::new(BLOB_CACHE).exists() })
    }

    fn add(&self, file: &Path, name: &str) -> Result<()> {
        let to = self.folder.join("context").join(name);
        fs::copy(file, &to).map(drop).at(to)
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        let to = self.folder.join("context").join(name);
        fs::write(&to, content).at(to)
    }

    fn build(
        &self,
        recipe: &str,
        name: &str,
        archive: &Path,
        log: &Path,
        beat: &mut dyn FnMut(Duration),
    ) -> Result<()> {
        self.write("Containerfile", recipe)?;
        let secrets = self.folder.join("build");
        fs::create_dir_all(&secrets).at(&secrets)?;
        for (file, content) in [("pip.conf", pip_configuration()), ("ca.pem", authorities()?)] {
            paths::write(&secrets.join(file), content)?;
        }
        // buildah wants to be told whose signatures count; nothing is pulled here.
        let policy = self.folder.join("policy.json");
        paths::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)?;
        let partial = archive.with_added_extension("partial");
        let _ = fs::remove_file(&partial);

        let mut build = self.buildah("bud");
        build
            // Without a container engine: RUN in a chroot, with the machine's own network to reach the mirrors.
            .args(["--isolation", "chroot", "--network", "host", "--layers=false", "--format", "docker"])
            .arg("--signature-policy")
            .arg(&policy)
            .arg("--volume")
            .arg(format!("{}:/run/build:ro", secrets.display()))
            .args(["--tag", name])
            .arg(self.folder.join("context"));
        run_long(&mut build, log, &mut *beat)?;
        let mut push = self.buildah("push");
        push.arg("--signature-policy").arg(&policy).args(["--disable-compression", name]);
        push.arg(format!("docker-archive:{}:{name}", partial.display()));
        run(&mut push)?;
        fs::rename(&partial, archive).at(archive)
    }

    fn buildah(&self, subcommand: &str) -> Command {
        let mut command = helper("buildah", self.layout);
        command
            .arg("--root")
            .arg(self.folder.join("storage"))
            .arg("--runroot")
            .arg(self.folder.join("run"))
            .args(["--storage-driver", "overlay", subcommand])
            .env("CONTAINERS_CONF", self.folder.join("containers.conf"))
            .env("TMPDIR", &self.folder);
        command
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        discard(&self.folder);
        if !self.had_cache {
            let _ = fs::remove_file(BLOB_CACHE);
            // The two folders above it, unless somebody else keeps things there.
            for folder in Path::new(BLOB_CACHE).ancestors().skip(1).take(2) {
                let _ = fs::remove_dir(folder);
            }
        }
    }
}

/// Removes what a build has left that was killed. Does nothing while one is running.
pub(crate) fn discard_interrupted() {
    let Ok(cache) = paths::cache().map(|cache| cache.join("images")) else { return };
    if cache.join("work").exists()
        && let Some(_lock) = Lock::try_take(&cache.join("build.lock"))
    {
        discard(&cache.join("work"));
    }
}

fn discard(folder: &Path) {
    teardown::mounts(folder);
    // With a mount still there this would empty what is mounted.
    if teardown::mounts_below(folder).is_empty() {
        let _ = fs::remove_dir_all(folder);
    }
}

/// A minimal Debian as an archive.
fn debian(work: &Work<'_>, archive: &Path, log: &Path, beat: &mut dyn FnMut(Duration)) -> Result<()> {
    let targets = run(Command::new("apt-get")
        .args(["indextargets", "--format", "$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)"])
        .env("PATH", paths::search_path()))?;
    let mirror = mirror(&targets).ok_or_else(|| {
        Error::Needs(vec![Need::new(
            "this machine's apt knows no mirror of Debian's main archive",
            "add one below /etc/apt/sources.list.d and run apt-get update",
        )])
    })?;
    let partial = work.folder.join("base.tar");
    let mut command = helper("mmdebstrap", work.layout);
    command
        .args([
            "--mode=root",
            "--variant=minbase",
            "--format=tar",
            &format!("--include={BASE_PACKAGES}"),
            SUITE,
        ])
        .arg(&partial)
        .arg(format!("deb {mirror} {SUITE} main"))
        .env("TMPDIR", &work.folder);
    run_long(&mut command, log, beat)?;
    fs::rename(&partial, archive).at(archive)
}

/// The mirror of the main archive among apt's index files: not the one of updates or security fixes, whose suites are
/// others.
fn mirror(targets: &str) -> Option<&str> {
    targets.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (kind, suite, component, uri) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (kind == "Packages" && component == "main" && !suite.contains(['-', '/'])).then_some(uri)
    })
}

/// The certificates that this machine trusts.
fn authorities() -> Result<String> {
    let candidates =
        ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"].iter().filter_map(env::var_os).map(PathBuf::from);
    let bundle = candidates
        .chain([PathBuf::from("/etc/ssl/certs/ca-certificates.crt")])
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Error::Needs(vec![Need::new(
                "this machine has no bundle of certificate authorities",
                "apt-get install ca-certificates",
            )])
        })?;
    fs::read_to_string(&bundle).at(bundle)
}

/// How this machine's pip reaches its index, for the pip in the build.
fn pip_configuration() -> String {
    let listing = ["pip3", "pip"]
        .iter()
        .find_map(|pip| run(Command::new(pip).args(["config", "list"])).ok())
        .unwrap_or_default();
    let variables =
        env::vars().filter_map(|(name, value)| Some((name.strip_prefix("PIP_")?.to_lowercase(), value)));
    pip_options(&listing, variables)
}

fn pip_options(listing: &str, variables: impl Iterator<Item = (String, String)>) -> String {
    // Options that say where packages come from. Not `find-links`: its folders are this machine's.
    const OPTIONS: [&str; 6] =
        ["index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries"];
    let listed = listing.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let (_, option) = name.rsplit_once('.')?;
        Some((option.to_owned(), value.trim_matches('\'').to_owned()))
    });
    let options: BTreeMap<String, String> = listed
        .chain(variables)
        .map(|(option, value)| (option.replace('_', "-").replace("default-timeout", "timeout"), value))
        .filter(|(option, _)| OPTIONS.contains(&option.as_str()))
        .collect();
    let mut text = String::from("[global]\ncert = /run/build/ca.pem\ndisable-pip-version-check = true\n");
    for (option, value) in options {
        text.push_str(&format!("{option} = {}\n", value.replace("\\n", " ")));
    }
    text
}

/// Keeps the two youngest files of each image.
fn prune(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    let mut files: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "tar"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    for image in Image::ALL {
        let prefix = format!("{}-", image.key());
        let of_image = files.iter().rev().filter(|(_, path)| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        });
        for (_, path) in of_image.skip(2) {
            // Best effort: what can't be removed only takes space.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_told_from_security_fixes() {
        let targets = "Packages bookworm-security main http://a/debian-security/\n\
                       Translations bookworm main http://b/debian/\n\
                       Packages bookworm-updates main http://c/debian/\n\
                       Packages bookworm main http://d/debian/\n";
        assert_eq!(mirror(targets), Some("http://d/debian/"));
        assert_eq!(mirror(""), None);
    }

    #[test]
    fn pip_in_the_build_gets_the_index_and_not_the_folders_of_this_machine() {
        let listing = "global.index-url='https://index.test/simple'\n:env:.find-links='/opt/wheels'\nglobal.cert='/x.crt'\n";
        let variables =
            [("default_timeout".to_owned(), "180".to_owned()), ("find_links".to_owned(), "/y".to_owned())];
        let text = pip_options(listing, variables.into_iter());
        assert!(text.contains("index-url = https://index.test/simple\n"), "{text}");
        assert!(text.contains("timeout = 180\n"), "{text}");
        assert!(text.contains("cert = /run/build/ca.pem\n"), "{text}");
        assert!(!text.contains("find-links") && !text.contains("/x.crt"), "{text}");
    }
}
