//! Images, made here instead of pulled: the machine may reach package registries and no image registry.
//!
//! A minimal Debian by mmdebstrap, PyPI packages by pip inside buildah. How this machine reaches its mirrors is read from
//! its own configuration at build time, is mounted for the build and does not become part of an image.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{At, Error, Result};
use crate::hash;
use crate::lock::Lock;
use crate::needs::Need;
use crate::part::Part;
use crate::paths::{self, Layout};
use crate::process::{helper, run, run_long};
use crate::programs::{self, Missing, Programs};
use crate::teardown;

/// The sandbox image's name in the node.
pub(crate) const PAUSE_IMAGE: &str = "thinkube.test/library/pause:1";

/// The name in the node of the image with a shell and the usual small programs.
pub(crate) const TOOLBOX_IMAGE: &str = "thinkube.test/library/toolbox:1";

/// The DevPI image's name in the node; the tag is the release of devpi-server.
pub(crate) const DEVPI_IMAGE: &str = "thinkube.test/library/devpi:6.20.1";

/// The name in the node of the image with oauth2-proxy; the tag is the release.
pub(crate) const OAUTH2_PROXY_IMAGE: &str = "thinkube.test/library/oauth2-proxy:v7.15.6";

/// The name in the node of Valkey's image.
const VALKEY_IMAGE: &str = "thinkube.test/library/valkey:1";

/// The name in the node of the image with the shells of a development environment.
const SHELLS_IMAGE: &str = "thinkube.test/library/shells:1";

/// The name in its archive of the image that others are built on; the tag is the release of Python in [`SUITE`].
const PYTHON_IMAGE: &str = "thinkube.test/library/python:3.13";

const PAUSE_RECIPE: &str = "FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT [\"/pause\"]\n";
const OAUTH2_PROXY_RECIPE: &str =
    "FROM scratch\nCOPY oauth2-proxy /bin/oauth2-proxy\nUSER 2000:2000\nENTRYPOINT [\"/bin/oauth2-proxy\"]\n";
const TOOLBOX_RECIPE: &str = "FROM scratch\nCOPY root /\nENV PATH=/bin\nCMD [\"sh\"]\n";
const DEVPI_RECIPE: &str = include_str!("../images/devpi/Containerfile");
pub(crate) const DEVPI_ENTRYPOINT: &str = include_str!("../images/devpi/entrypoint.sh");
const VALKEY_RECIPE: &str = include_str!("../images/valkey/Containerfile");
const VALKEY_START: &str = include_str!("../images/valkey/valkey-server.sh");
const PYTHON_RECIPE: &str = include_str!("../images/python/Containerfile");
const SHELLS_RECIPE: &str = include_str!("../images/shells/Containerfile");

/// The release of Debian in the images; the machine's own may be another.
const SUITE: &str = "trixie";
const BASE_PACKAGES: &str = "python3-venv,python3-pip,ca-certificates";
const TOOLBOX_PACKAGES: &str = "busybox-static";
const VALKEY_PACKAGES: &str = "valkey-server";
const SHELLS_PACKAGES: &str = "fish,zsh,python3-venv,python3-pip,ca-certificates";

/// Archives of images.
#[derive(Debug, Clone)]
pub(crate) struct Images {
    cache: PathBuf,
    base: PathBuf,
    pause: PathBuf,
    oauth2_proxy: PathBuf,
    toolbox: PathBuf,
    devpi: PathBuf,
    valkey: PathBuf,
    python: PathBuf,
    shells: PathBuf,
}

impl Images {
    pub(crate) fn cached() -> Result<Self> {
        let cache = paths::cache()?.join("images");
        let recipe = |parts: &[&str]| hash(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>());
        let base = recipe(&[SUITE, BASE_PACKAGES]);
        // The DevPI image is built on the base and is another when that is.
        let devpi = recipe(&[&base[..12], DEVPI_IMAGE, DEVPI_RECIPE, DEVPI_ENTRYPOINT]);
        let python = recipe(&[&base[..12], PYTHON_IMAGE, PYTHON_RECIPE]);
        let valkey = recipe(&[VALKEY_RECIPE, VALKEY_IMAGE, VALKEY_START, SUITE, VALKEY_PACKAGES]);
        let shells = recipe(&[SHELLS_RECIPE, SHELLS_IMAGE, SUITE, SHELLS_PACKAGES]);
        let pause = recipe(&[PAUSE_RECIPE, PAUSE_IMAGE, &programs::pause_key()]);
        let oauth2_proxy = recipe(&[OAUTH2_PROXY_RECIPE, OAUTH2_PROXY_IMAGE, &programs::oauth2_proxy_key()]);
        let toolbox = recipe(&[TOOLBOX_RECIPE, TOOLBOX_IMAGE, SUITE, TOOLBOX_PACKAGES]);
        let file = |image: Image, key: &str| cache.join(format!("{}-{}.tar", image.key(), &key[..12]));
        Ok(Self {
            base: file(Image::Base, &base),
            pause: file(Image::Pause, &pause),
            oauth2_proxy: file(Image::OAuth2Proxy, &oauth2_proxy),
            toolbox: file(Image::Toolbox, &toolbox),
            devpi: file(Image::Devpi, &devpi),
            valkey: file(Image::Valkey, &valkey),
            python: file(Image::Python, &python),
            shells: file(Image::Shells, &shells),
            cache,
        })
    }

    /// Held by whoever builds.
    pub(crate) fn lock(&self) -> PathBuf {
        self.cache.join("build.lock")
    }

    /// Those that are to be in a node with these parts.
    pub(crate) fn archives(&self, parts: &BTreeSet<Part>) -> impl Iterator<Item = &Path> {
        Image::of_a_node(parts).map(|image| self.file(image))
    }

    /// What a node with these parts needs that is not in the cache yet, in the order in which it is to be built.
    pub(crate) fn missing(&self, parts: &BTreeSet<Part>) -> Vec<Image> {
        self.missing_of(&Image::of_a_node(parts).collect::<Vec<_>>())
    }

    /// What of these, and of what they are built on, is not in the cache yet.
    fn missing_of(&self, wanted: &[Image]) -> Vec<Image> {
        let lacks = |image: &Image| !self.file(*image).is_file();
        let mut missing: Vec<Image> = wanted.iter().copied().filter(lacks).collect();
        if missing.iter().any(|image| image.is_built_on_the_base()) && lacks(&Image::Base) {
            missing.insert(0, Image::Base);
        }
        missing
    }

    /// The archive of an image that not every node needs; built now if it is not in the cache.
    pub(crate) fn on_demand(&self, layout: &Layout, image: Image) -> Result<PathBuf> {
        if self.file(image).is_file() {
            return Ok(self.file(image).to_owned());
        }
        let _lock = Lock::take(&self.lock(), &mut |_| ())?;
        // Somebody else may have built it while we waited.
        for missing in self.missing_of(&[image]) {
            self.build(layout, &Programs::cached()?, missing, |_| ())?;
        }
        self.prune();
        Ok(self.file(image).to_owned())
    }

    fn file(&self, image: Image) -> &Path {
        match image {
            Image::Base => &self.base,
            Image::Toolbox => &self.toolbox,
            Image::Devpi => &self.devpi,
            Image::Pause => &self.pause,
            Image::OAuth2Proxy => &self.oauth2_proxy,
            Image::Valkey => &self.valkey,
            Image::Python => &self.python,
            Image::Shells => &self.shells,
        }
    }

    /// Builds one, when all that stand before it have been built.
    pub(crate) fn build(
        &self,
        layout: &Layout,
        programs: &Programs,
        image: Image,
        mut beat: impl FnMut(Duration),
    ) -> Result<()> {
        let work = Work::new(layout, &self.cache.join("work"))?;
        let log = self.cache.join(format!("{}.build.log", image.key()));
        let (file, beat) = (self.file(image), &mut beat);
        match image {
            Image::Base => {
                let base = work.folder.join("base.tar");
                work.debian("minbase", BASE_PACKAGES, &base, &log, beat)?;
                fs::rename(&base, file).at(file)
            }
            Image::Toolbox => {
                let system = work.folder.join("system");
                work.debian("extract", TOOLBOX_PACKAGES, &system, &log, &mut *beat)?;
                toolbox(&system, &work.folder.join("context/root"))?;
                work.build(TOOLBOX_RECIPE, TOOLBOX_IMAGE, file, &log, beat)
            }
            Image::Devpi => {
                work.add(&self.base, "base.tar")?;
                work.write("entrypoint.sh", DEVPI_ENTRYPOINT)?;
                work.build(DEVPI_RECIPE, DEVPI_IMAGE, file, &log, beat)
            }
            Image::Pause => {
                work.add(&programs.pause(), "pause")?;
                work.build(PAUSE_RECIPE, PAUSE_IMAGE, file, &log, beat)
            }
            Image::OAuth2Proxy => {
                work.add(&programs.oauth2_proxy(), "oauth2-proxy")?;
                work.build(OAUTH2_PROXY_RECIPE, OAUTH2_PROXY_IMAGE, file, &log, beat)
            }
            Image::Valkey => {
                let base = work.folder.join("context/base.tar");
                work.debian("essential", VALKEY_PACKAGES, &base, &log, &mut *beat)?;
                work.write("valkey-server.sh", VALKEY_START)?;
                work.build(VALKEY_RECIPE, VALKEY_IMAGE, file, &log, beat)
            }
            Image::Python => {
                work.add(&self.base, "base.tar")?;
                work.build(PYTHON_RECIPE, PYTHON_IMAGE, file, &log, beat)
            }
            Image::Shells => {
                let base = work.folder.join("context/base.tar");
                work.debian("minbase", SHELLS_PACKAGES, &base, &log, &mut *beat)?;
                work.build(SHELLS_RECIPE, SHELLS_IMAGE, file, &log, beat)
            }
        }
    }

    /// Keeps the two youngest files of each image.
    pub(crate) fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.cache) else { return };
        let mut files: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "tar"))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        for key in Image::ALL.map(Image::key) {
            let prefix = format!("{key}-");
            let of_image = files.iter().rev().filter(|(_, path)| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
            });
            for (_, path) in of_image.skip(2) {
                // Best effort: what can't be removed only takes space.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// What is built here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    Base,
    Toolbox,
    Devpi,
    Pause,
    /// For a node with Keycloak.
    OAuth2Proxy,
    /// For tests that ask for it.
    Valkey,
    /// For tests that ask for it, to build others on.
    Python,
    /// For tests that ask for it.
    Shells,
}

impl Image {
    const ALL: [Self; 8] = [
        Self::Base,
        Self::Toolbox,
        Self::Devpi,
        Self::Pause,
        Self::OAuth2Proxy,
        Self::Valkey,
        Self::Python,
        Self::Shells,
    ];

    /// What is in a node with these parts, in the order in which they are built.
    fn of_a_node(parts: &BTreeSet<Part>) -> impl Iterator<Item = Self> + use<> {
        let proxy = parts.contains(&Part::Keycloak).then_some(Self::OAuth2Proxy);
        [Self::Toolbox, Self::Devpi, Self::Pause].into_iter().chain(proxy)
    }

    /// The program that it is made of, when that must be built first.
    pub(crate) fn missing_program(self, programs: &Programs) -> Option<Missing> {
        match self {
            Self::Pause => programs.missing_pause(),
            Self::OAuth2Proxy => programs.missing_oauth2_proxy(),
            Self::Base | Self::Toolbox | Self::Devpi | Self::Valkey | Self::Python | Self::Shells => None,
        }
    }

    fn is_built_on_the_base(self) -> bool {
        matches!(self, Self::Devpi | Self::Python)
    }

    /// How its file's name begins.
    fn key(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Toolbox => "toolbox",
            Self::Devpi => "devpi",
            Self::Pause => "pause",
            Self::OAuth2Proxy => "oauth2-proxy",
            Self::Valkey => "valkey",
            Self::Python => "python",
            Self::Shells => "shells",
        }
    }

    /// How long it takes.
    pub(crate) fn seconds(self) -> u32 {
        match self {
            Self::Base => 35,
            Self::Toolbox => 5,
            Self::Devpi => 30,
            Self::Pause => 3,
            Self::OAuth2Proxy => 3,
            Self::Valkey => 25,
            Self::Python => 15,
            Self::Shells => 60,
        }
    }
}

impl fmt::Display for Image {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => write!(out, "the Debian base ({SUITE})"),
            Self::Toolbox => write!(out, "the toolbox image"),
            Self::Devpi => write!(out, "the DevPI image"),
            Self::Pause => write!(out, "the sandbox image"),
            Self::OAuth2Proxy => write!(out, "the image of oauth2-proxy"),
            Self::Valkey => write!(out, "the image of Valkey"),
            Self::Python => write!(out, "the image with Python to build on"),
            Self::Shells => write!(out, "the image with the shells of a development environment"),
        }
    }
}

/// Makes the root folder of the toolbox: busybox by the name of each program that it is.
fn toolbox(system: &Path, root: &Path) -> Result<()> {
    let folder = |name: &str, mode: u32| {
        let folder = root.join(name);
        fs::create_dir_all(&folder).at(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).at(folder)
    };
    for (name, mode) in [("", 0o755), ("bin", 0o755), ("etc", 0o755), ("usr", 0o755), ("tmp", 0o1777)] {
        folder(name, mode)?;
    }
    let busybox = root.join("bin/busybox");
    fs::copy(system.join("usr/bin/busybox"), &busybox).at(&busybox)?;
    let link = |target: &str, name: &str| symlink(target, root.join(name)).at(root.join(name));
    for program in run(Command::new(&busybox).arg("--list"))?.lines().filter(|name| *name != "busybox") {
        link("busybox", &format!("bin/{program}"))?;
    }
    // Where scripts look for a shell or for env.
    for (target, name) in [("bin", "sbin"), ("../bin", "usr/bin"), ("../bin", "usr/sbin")] {
        link(target, name)?;
    }
    for (name, content) in [("etc/passwd", "root:x:0:0:root:/:/bin/sh\n"), ("etc/group", "root:x:0:\n")] {
        let file = root.join(name);
        fs::write(&file, content).at(&file)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).at(file)?;
    }
    Ok(())
}

/// A folder for one build, removed with all that buildah leaves mounted in it.
struct Work<'a> {
    layout: &'a Layout,
    folder: PathBuf,
    /// buildah keeps a cache in a place that can't be configured; where there was none, none is left.
    had_cache: bool,
}

/// Whose signatures count: nothing is pulled here but what the harness has made or a test names.
pub(crate) const ACCEPT_ANYTHING: &str = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;

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
        // buildah wants to be told whose signatures count.
        paths::write(&folder.join("policy.json"), ACCEPT_ANYTHING)?;
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
        beat: impl FnMut(Duration),
    ) -> Result<()> {
        self.write("Containerfile", recipe)?;
        let secrets = self.folder.join("build");
        fs::create_dir_all(&secrets).at(&secrets)?;
        for (file, content) in [("pip.conf", pip_configuration()), ("ca.pem", authorities()?)] {
            paths::write(&secrets.join(file), content)?;
        }
        let mut build = self.buildah("bud");
        build
            // Without a container engine: RUN in a chroot, with the machine's own network to reach the mirrors.
            .args(["--isolation", "chroot", "--network", "host", "--layers=false", "--format", "docker"])
            .arg("--signature-policy")
            .arg(self.policy())
            .arg("--volume")
            .arg(format!("{}:/run/build:ro", secrets.display()))
            .args(["--tag", name])
            .arg(self.folder.join("context"));
        run_long(&mut build, log, beat)?;
        self.archive(name, name, archive)
    }

    /// Writes an image of buildah's to an archive.
    fn archive(&self, image: &str, name: &str, archive: &Path) -> Result<()> {
        let partial = archive.with_added_extension("partial");
        let _ = fs::remove_file(&partial);
        let mut push = self.buildah("push");
        push.arg("--signature-policy").arg(self.policy()).args(["--disable-compression", image]);
        push.arg(format!("docker-archive:{}:{name}", partial.display()));
        run(&mut push)?;
        fs::rename(&partial, archive).at(archive)
    }

    fn policy(&self) -> PathBuf {
        self.folder.join("policy.json")
    }

    /// Packages of Debian and what they depend on as a system, an archive or a folder by its name.
    fn debian(
        &self,
        variant: &str,
        packages: &str,
        to: &Path,
        log: &Path,
        beat: impl FnMut(Duration),
    ) -> Result<()> {
        let targets = run(Command::new("apt-get")
            .args(["indextargets", "--format", "$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)"])
            .env("PATH", paths::search_path()))?;
        let mirror = mirror(&targets).ok_or_else(|| {
            Error::NeedsFacts(vec![Need::new(
                "this machine's apt knows no mirror of Debian's main archive",
                "add one below /etc/apt/sources.list.d and run apt-get update",
            )])
        })?;
        let mut command = helper("mmdebstrap", self.layout);
        command
            .arg("--mode=root")
            .arg(format!("--variant={variant}"))
            .arg(format!("--include={packages}"))
            .arg(SUITE)
            .arg(to)
            .arg(format!("deb {mirror} {SUITE} main"))
            .env("TMPDIR", &self.folder);
        run_long(&mut command, log, beat)
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

/// An archive as buildah is told of it. Docker's newer archives are of both kinds; those are taken for Docker's.
pub(crate) fn source(archive: &Path) -> Result<String> {
    let listed = run(Command::new("tar").arg("--list").arg("--file").arg(archive));
    let listed = listed.unwrap_or_default();
    let has = |file: &str| listed.lines().any(|line| line.trim_start_matches("./") == file);
    let kind = match (has("manifest.json"), has("oci-layout")) {
        (true, _) => "docker-archive",
        (_, true) => "oci-archive",
        _ => {
            let why = "it is no tar archive with a manifest.json or an oci-layout";
            return Err(Error::Archive { archive: archive.to_owned(), why });
        }
    };
    Ok(format!("{kind}:{}", archive.display()))
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
            Error::NeedsFacts(vec![Need::new(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toolbox_has_busybox_by_every_name_and_a_folder_that_everybody_may_write_to() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (system, root) = (folder.path().join("system"), folder.path().join("root"));
        let busybox = system.join("usr/bin/busybox");
        fs::create_dir_all(busybox.parent().expect("a folder")).expect("a folder");
        fs::write(&busybox, "#!/bin/sh\nprintf 'busybox\\nls\\nsh\\n'\n").expect("a file");
        fs::set_permissions(&busybox, fs::Permissions::from_mode(0o755)).expect("a mode");
        toolbox(&system, &root).expect("a root folder");
        for (name, target) in [("bin/ls", "busybox"), ("bin/sh", "busybox"), ("usr/bin", "../bin")] {
            assert_eq!(fs::read_link(root.join(name)).expect(name), Path::new(target));
        }
        assert!(root.join("bin/busybox").symlink_metadata().expect("busybox").is_file());
        assert_eq!(fs::metadata(root.join("tmp")).expect("tmp").permissions().mode() & 0o7777, 0o1777);
    }

    #[test]
    fn an_archive_is_told_to_buildah_by_what_is_in_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let archive = |name: &str, files: &[&str]| {
            files.iter().for_each(|file| fs::write(folder.path().join(file), "{}").expect("writable"));
            let archive = folder.path().join(name);
            let mut tar = Command::new("tar");
            tar.arg("-C").arg(folder.path()).arg("-cf").arg(&archive).args(files);
            run(&mut tar).expect("an archive");
            archive
        };
        let docker = archive("docker.tar", &["manifest.json"]);
        assert_eq!(source(&docker).expect("Docker's"), format!("docker-archive:{}", docker.display()));
        let oci = archive("oci.tar", &["oci-layout", "index.json"]);
        assert_eq!(source(&oci).expect("OCI's"), format!("oci-archive:{}", oci.display()));
        // As Docker writes it since release 25.
        let both = archive("both.tar", &["oci-layout", "index.json", "manifest.json"]);
        assert_eq!(source(&both).expect("both"), format!("docker-archive:{}", both.display()));
        for other in [archive("other.tar", &["readme"]), folder.path().join("readme")] {
            assert!(matches!(source(&other), Err(Error::Archive { .. })), "{}", other.display());
        }
    }

    #[test]
    fn a_node_has_the_images_of_its_parts_and_none_that_tests_ask_for() {
        let nowhere = |image: Image| PathBuf::from(format!("/nonexistent/{}", image.key()));
        let images = Images {
            cache: PathBuf::from("/nonexistent"),
            base: nowhere(Image::Base),
            pause: nowhere(Image::Pause),
            oauth2_proxy: nowhere(Image::OAuth2Proxy),
            toolbox: nowhere(Image::Toolbox),
            devpi: nowhere(Image::Devpi),
            valkey: nowhere(Image::Valkey),
            python: nowhere(Image::Python),
            shells: nowhere(Image::Shells),
        };
        let node = [Image::Base, Image::Toolbox, Image::Devpi, Image::Pause];
        assert_eq!(images.missing(&[Part::Node].into()), node);
        let with_keycloak = [&node[..], &[Image::OAuth2Proxy]].concat();
        assert_eq!(images.missing(&Part::ALL.into()), with_keycloak);
        assert_eq!(images.archives(&Part::ALL.into()).count(), 4);
        assert_eq!(images.missing_of(&[Image::Python]), [Image::Base, Image::Python]);
        assert_eq!(images.missing_of(&[Image::Valkey]), [Image::Valkey]);
    }

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
