//! The images of the node and of tests, built instead of pulled: a machine may reach package registries and no image registry.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::addon::Addon;
use crate::build::image_build::ImageBuild;
use crate::build::image_build::SUITE;
use crate::build::modules;
use crate::build::programs::{Missing, Programs};
use crate::build::toolbox::toolbox;
use crate::content_hash::content_hash;
use crate::error::{At, Result};
use crate::lock::Lock;
use crate::paths::{self, Layout};

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

/// The name of the Python image in its archive; the tag is the release of Python in [`SUITE`].
const PYTHON_IMAGE: &str = "thinkube.test/library/python:3.13";

const PAUSE_RECIPE: &str = "FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT [\"/pause\"]\n";

const OAUTH2_PROXY_RECIPE: &str =
    "FROM scratch\nCOPY oauth2-proxy /bin/oauth2-proxy\nUSER 2000:2000\nENTRYPOINT [\"/bin/oauth2-proxy\"]\n";

const TOOLBOX_RECIPE: &str = "FROM scratch\nCOPY root /\nENV PATH=/bin\nCMD [\"sh\"]\n";

const DEVPI_RECIPE: &str = include_str!("../../images/devpi/Containerfile");

pub(crate) const DEVPI_ENTRYPOINT: &str = include_str!("../../images/devpi/entrypoint.sh");

const VALKEY_RECIPE: &str = include_str!("../../images/valkey/Containerfile");

const VALKEY_START: &str = include_str!("../../images/valkey/valkey-server.sh");

const PYTHON_RECIPE: &str = include_str!("../../images/python/Containerfile");

const SHELLS_RECIPE: &str = include_str!("../../images/shells/Containerfile");

const BASE_PACKAGES: &str = "python3-venv,python3-pip,ca-certificates";

const TOOLBOX_PACKAGES: &str = "busybox-static";

const VALKEY_PACKAGES: &str = "valkey-server";

const SHELLS_PACKAGES: &str = "fish,zsh,python3-venv,python3-pip,ca-certificates";

/// The image archives in the cache.
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
        let recipe =
            |parts: &[&str]| content_hash(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>());
        let base = recipe(&[SUITE, BASE_PACKAGES]);
        // With the base's hash, because the DevPI image is built on the base.
        let devpi = recipe(&[&base[..12], DEVPI_IMAGE, DEVPI_RECIPE, DEVPI_ENTRYPOINT]);
        let python = recipe(&[&base[..12], PYTHON_IMAGE, PYTHON_RECIPE]);
        let valkey = recipe(&[VALKEY_RECIPE, VALKEY_IMAGE, VALKEY_START, SUITE, VALKEY_PACKAGES]);
        let shells = recipe(&[SHELLS_RECIPE, SHELLS_IMAGE, SUITE, SHELLS_PACKAGES]);
        let pause = recipe(&[PAUSE_RECIPE, PAUSE_IMAGE, &modules::pause_key()]);
        let oauth2_proxy = recipe(&[OAUTH2_PROXY_RECIPE, OAUTH2_PROXY_IMAGE, &modules::oauth2_proxy_key()]);
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

    /// The lock of every image build.
    pub(crate) fn lock(&self) -> PathBuf {
        self.cache.join("build.lock")
    }

    /// The archives for a node with these addons.
    pub(crate) fn archives(&self, addons: &BTreeSet<Addon>) -> impl Iterator<Item = &Path> {
        Image::of_node(addons).map(|image| self.file(image))
    }

    /// The images of a node with these addons that the cache lacks, in the order of their builds.
    pub(crate) fn missing(&self, addons: &BTreeSet<Addon>) -> Vec<Image> {
        self.missing_of(&Image::of_node(addons).collect::<Vec<_>>())
    }

    /// Those of these images, and of the images that they are built on, that the cache lacks.
    fn missing_of(&self, wanted: &[Image]) -> Vec<Image> {
        let lacks = |image: &Image| !self.file(*image).is_file();
        let mut missing: Vec<Image> = wanted.iter().copied().filter(lacks).collect();
        if missing.iter().any(|image| image.is_built_on_the_base()) && lacks(&Image::Base) {
            missing.insert(0, Image::Base);
        }
        missing
    }

    /// The archive of an image, built now if the cache lacks it.
    pub(crate) fn on_demand(&self, layout: &Layout, image: Image) -> Result<PathBuf> {
        if self.file(image).is_file() {
            return Ok(self.file(image).to_owned());
        }
        let _lock = Lock::take(&self.lock(), &mut |_| ())?;
        // Another process may have built it during the wait.
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

    /// Builds one image. Those that stand before it in the order must be built.
    pub(crate) fn build(
        &self,
        layout: &Layout,
        programs: &Programs,
        image: Image,
        mut beat: impl FnMut(Duration),
    ) -> Result<()> {
        let build = ImageBuild::new(layout, &self.cache.join("work"))?;
        let log = self.cache.join(format!("{}.build.log", image.key()));
        let (file, beat) = (self.file(image), &mut beat);
        match image {
            Image::Base => {
                let base = build.folder.join("base.tar");
                build.debian("minbase", BASE_PACKAGES, &base, &log, beat)?;
                fs::rename(&base, file).at(file)
            }
            Image::Toolbox => {
                let system = build.folder.join("system");
                build.debian("extract", TOOLBOX_PACKAGES, &system, &log, &mut *beat)?;
                toolbox(&system, &build.folder.join("context/root"))?;
                build.build(TOOLBOX_RECIPE, TOOLBOX_IMAGE, file, &log, beat)
            }
            Image::Devpi => {
                build.add(&self.base, "base.tar")?;
                build.write("entrypoint.sh", DEVPI_ENTRYPOINT)?;
                build.build(DEVPI_RECIPE, DEVPI_IMAGE, file, &log, beat)
            }
            Image::Pause => {
                build.add(&programs.pause(), "pause")?;
                build.build(PAUSE_RECIPE, PAUSE_IMAGE, file, &log, beat)
            }
            Image::OAuth2Proxy => {
                build.add(&programs.oauth2_proxy(), "oauth2-proxy")?;
                build.build(OAUTH2_PROXY_RECIPE, OAUTH2_PROXY_IMAGE, file, &log, beat)
            }
            Image::Valkey => {
                let base = build.folder.join("context/base.tar");
                build.debian("essential", VALKEY_PACKAGES, &base, &log, &mut *beat)?;
                build.write("valkey-server.sh", VALKEY_START)?;
                build.build(VALKEY_RECIPE, VALKEY_IMAGE, file, &log, beat)
            }
            Image::Python => {
                build.add(&self.base, "base.tar")?;
                build.build(PYTHON_RECIPE, PYTHON_IMAGE, file, &log, beat)
            }
            Image::Shells => {
                let base = build.folder.join("context/base.tar");
                build.debian("minbase", SHELLS_PACKAGES, &base, &log, &mut *beat)?;
                build.build(SHELLS_RECIPE, SHELLS_IMAGE, file, &log, beat)
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
                // What cannot be removed only takes space.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// An image that is built here.
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

    /// The images of a node with these addons, in the order of their builds.
    fn of_node(addons: &BTreeSet<Addon>) -> impl Iterator<Item = Self> + use<> {
        let proxy = addons.contains(&Addon::Keycloak).then_some(Self::OAuth2Proxy);
        [Self::Toolbox, Self::Devpi, Self::Pause].into_iter().chain(proxy)
    }

    /// Its program, when that must be built first.
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

    /// The begin of its file's name.
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

    /// Seconds of its build on two cores.
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
            Self::Python => write!(out, "the image with Python"),
            Self::Shells => write!(out, "the image of a development environment"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_the_images_of_its_addons_only() {
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
        assert_eq!(images.missing(&[Addon::Node].into()), node);
        let with_keycloak = [&node[..], &[Image::OAuth2Proxy]].concat();
        assert_eq!(images.missing(&Addon::ALL.into()), with_keycloak);
        assert_eq!(images.archives(&Addon::ALL.into()).count(), 4);
        assert_eq!(images.missing_of(&[Image::Python]), [Image::Base, Image::Python]);
        assert_eq!(images.missing_of(&[Image::Valkey]), [Image::Valkey]);
    }
}
