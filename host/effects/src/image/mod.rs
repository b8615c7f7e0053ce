//! Images built from source and pushed.
//!
//! An image is known by the commit that it was built from: it is pushed under the tag of the commit first, and a registry
//! that has this tag has the image, so it is not built again. The tag that the plan wants leads to the same digest. Whether
//! the registry takes it is asked before the build.

mod build_dir;
mod builder;
mod connect_proxy;
pub(crate) mod git;
mod registry;

use crate::Error;
use crate::http::client::HttpOptions;
use build_dir::BuildDir;
use builder::Tool;
use git::Commit;
use registry::client::{Login, Manifest, Registry};
use std::path::PathBuf;
use std::time::Duration;
use thinkube_plan::{
    Digest, ImageName, ImageStep, Output, Outputs, Permission, SecretText, missing_for_image,
};

/// Longer builds hang.
const BUILD: Duration = Duration::from_secs(3600);

/// What a person who watches is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ImageEvent {
    /// The source is fetched.
    Fetching {
        /// The step.
        name: String,
        /// From where.
        source: String,
        /// Which commit.
        commit: String,
    },
    /// The image is built.
    Building {
        /// The step.
        name: String,
    },
    /// The image is pushed.
    Pushing {
        /// The step.
        name: String,
        /// To where.
        to: String,
    },
    /// A program says something.
    Output(String),
    /// A temporary folder could not be removed.
    NotRemoved(PathBuf),
}

/// Where events go.
pub type ImageEvents<'a> = &'a (dyn Fn(ImageEvent) + Send + Sync);

/// How images are built.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    /// What was granted. Nothing else is built from or pushed to.
    pub granted: Vec<Permission>,
    /// How registries and repositories are found and trusted, by the host and by the programs that fetch, build and push.
    /// Its own `granted` does not count.
    pub http: HttpOptions,
    /// How long one build may take; an hour if it is not said.
    pub limit: Option<Duration>,
}

/// Builds images and pushes them, by the buildah or podman, and the git, of this machine.
#[derive(Debug, Clone)]
pub struct Images {
    options: ImageOptions,
}

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// REGISTRY/REPOSITORY.
    pub name: String,
    /// Of its manifest.
    pub digest: Digest,
}

impl Image {
    /// REGISTRY/REPOSITORY@DIGEST: what a pod is to run.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.digest)
    }

    /// What other steps may use: `digest` and `reference`.
    pub fn outputs(&self, step: &str) -> Outputs {
        let mut outputs = Outputs::default();
        outputs.insert(step, "digest", Output::Open(self.digest.to_string()));
        outputs.insert(step, "reference", Output::Open(self.reference()));
        outputs
    }
}

/// What a look at an image step showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedImage {
    /// What the source is now.
    pub commit: Commit,
    /// What the registry has of it.
    pub state: ImageState,
}

/// What a registry has of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// No image of it: it is to be built.
    Absent,
    /// The image, and the tag of the plan leads elsewhere or nowhere.
    Untagged(Image),
    /// The image, and the tag of the plan leads to it.
    Current(Image),
}

/// What became of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOutcome {
    /// The image.
    pub image: Image,
    /// What was done.
    pub action: ImageAction,
}

/// What was done for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageAction {
    /// It was built and pushed.
    Built,
    /// The registry had it, and the tag of the plan now leads to it.
    Tagged,
    /// Nothing.
    Unchanged,
}

/// Whether this machine has a program that builds images.
///
/// # Errors
/// [`Error::NoProgram`].
pub fn require_image_builder() -> Result<(), Error> {
    builder::program().map(drop)
}

/// What is known of a step before anything is run.
struct Checked<'a> {
    step: &'a ImageStep,
    destination: ImageName,
    login: Option<Login>,
    what: String,
}

impl Images {
    /// For the images of one plan.
    pub fn new(options: ImageOptions) -> Self {
        Self { options }
    }

    fn checked<'a>(&self, step: &'a ImageStep, login: Option<&SecretText>) -> Result<Checked<'a>, Error> {
        let what = format!("image {}", step.name);
        let invalid = |message: String| Error::Invalid { what: what.clone(), message };
        if let Some(fault) = step.faults().into_iter().next() {
            return Err(invalid(fault));
        }
        if let Some(needed) = missing_for_image(&self.options.granted, step).into_iter().next() {
            return Err(invalid(format!("it needs the permission to {needed}")));
        }
        let destination: ImageName =
            step.destination.parse().map_err(|error: thinkube_plan::Error| invalid(error.to_string()))?;
        let login = login.map(|login| Login::of(login, &destination, &what)).transpose()?;
        Ok(Checked { step, destination, login, what })
    }

    fn registry<'a>(&'a self, checked: &'a Checked<'_>) -> Result<Registry<'a>, Error> {
        Registry::new(&self.options.http, &checked.destination, checked.login.as_ref(), &checked.what)
    }

    /// What the source of a step is now: the commit that its revision leads to, without fetching it, or the hash of what
    /// its folder holds.
    ///
    /// # Errors
    /// [`Error::NoRevision`], [`Error::Git`], [`Error::Source`] and those of running programs.
    pub async fn resolve(&self, step: &ImageStep) -> Result<Commit, Error> {
        self.checked(step, None)?;
        let build_dir = BuildDir::open(&self.options.http).await?;
        git::resolve(step, &build_dir).await
    }

    /// Looks what the source is, and whether the registry has an image of it. Nothing is changed. `login` is the text of a
    /// `.dockerconfigjson`; none: nobody is logged in, whatever this machine's tools are.
    ///
    /// # Errors
    /// As those of [`Images::resolve`]; [`Error::NoLogin`]; [`Error::RegistryRefused`]; those of HTTP, of which
    /// [`Error::NotTrusted`] says that the registry's certificate is not.
    pub async fn observe(
        &self,
        step: &ImageStep,
        login: Option<&SecretText>,
    ) -> Result<ObservedImage, Error> {
        let checked = self.checked(step, login)?;
        let commit = self.resolve(step).await?;
        let tag = &checked.destination.tag;
        // Else whoever builds that other commit would be given this image.
        if git::is_tag_of_commit(tag) && tag != commit.tag() {
            let message =
                format!("the tag {tag} is by which the image of another commit is found; choose another one");
            return Err(Error::Invalid { what: checked.what, message });
        }
        let registry = self.registry(&checked)?;
        let state = match registry.manifest(commit.tag()).await? {
            None => ImageState::Absent,
            Some(manifest) => {
                let image = checked.image(&manifest);
                let tagged = registry.manifest(tag).await?;
                if tagged.is_some_and(|tagged| tagged.digest == manifest.digest) {
                    ImageState::Current(image)
                } else {
                    ImageState::Untagged(image)
                }
            }
        };
        Ok(ObservedImage { commit, state })
    }

    /// Builds and pushes what the registry lacks. `seen` is what [`Images::observe`] showed; it is built from that commit,
    /// wherever its branch leads by now.
    ///
    /// Dropping the future ends every program that was started, and removes the private folder.
    ///
    /// # Errors
    /// As those of [`Images::observe`]; [`Error::RegistryRefused`] and [`Error::NoRepository`] before anything is built;
    /// [`Error::Build`], [`Error::Push`], [`Error::SourceMoved`], and [`Error::TooSlow`].
    pub async fn ensure(
        &self,
        step: &ImageStep,
        seen: &ObservedImage,
        login: Option<&SecretText>,
        events: ImageEvents<'_>,
    ) -> Result<ImageOutcome, Error> {
        if let ImageState::Current(image) = &seen.state {
            return Ok(ImageOutcome { image: image.clone(), action: ImageAction::Unchanged });
        }
        let checked = self.checked(step, login)?;
        let registry = self.registry(&checked)?;
        let tag = seen.commit.tag();
        let (manifest, action) = match registry.manifest(tag).await? {
            Some(manifest) => (manifest, ImageAction::Tagged),
            None => {
                registry.may_push().await?;
                let digest = self.build_and_push(&checked, &seen.commit, events).await?;
                let manifest = registry.manifest(tag).await?;
                let to = checked.destination.with_tag(tag);
                match manifest.filter(|manifest| manifest.digest == digest) {
                    Some(manifest) => (manifest, ImageAction::Built),
                    None => {
                        let lines = vec![format!("the registry does not show {digest} there")];
                        return Err(Error::Push { destination: to.to_string(), lines });
                    }
                }
            }
        };
        registry.tag(&checked.destination.tag, &manifest).await?;
        Ok(ImageOutcome { image: checked.image(&manifest), action })
    }

    /// Deletes an image of a step from its registry, with every tag that leads to it. False: it was not there.
    ///
    /// # Errors
    /// As those of [`Images::observe`]; [`Error::NoDeletion`].
    pub async fn remove(
        &self,
        step: &ImageStep,
        digest: &Digest,
        login: Option<&SecretText>,
    ) -> Result<bool, Error> {
        let checked = self.checked(step, login)?;
        self.registry(&checked)?.forget(digest).await
    }

    /// Fetches the source, builds the image and pushes it under the tag of its commit.
    async fn build_and_push(
        &self,
        checked: &Checked<'_>,
        commit: &Commit,
        events: ImageEvents<'_>,
    ) -> Result<Digest, Error> {
        let Checked { step, destination, login, what } = checked;
        for left in build_dir::sweep() {
            events(ImageEvent::NotRemoved(left));
        }
        let mut build_dir = BuildDir::open(&self.options.http).await?;
        // Also where nobody is logged in: else the tools would look for logins of the operator's.
        let nobody = SecretText::new(r#"{"auths":{}}"#.to_owned());
        let auth = login.as_ref().map_or(nobody, |login| login.auth_file(&destination.registry));
        let auth_file = build_dir.write_secret("auth.json", &auth)?;
        let secrets = login.as_ref().map(Login::secrets).unwrap_or_default();
        let says = |line: &str| events(ImageEvent::Output(line.to_owned()));
        let name = || step.name.clone();

        let built = async {
            let tool = Tool::find(&build_dir, auth_file, &says, &secrets)?;
            let source = step.source.location().to_owned();
            events(ImageEvent::Fetching { name: name(), source, commit: commit.id().to_owned() });
            let checkout = git::fetch(step, commit, &build_dir, &says).await?;
            events(ImageEvent::Building { name: name() });
            tool.build(&checkout, self.options.limit.unwrap_or(BUILD), what).await?;
            let to = destination.with_tag(commit.tag());
            events(ImageEvent::Pushing { name: name(), to: to.to_string() });
            tool.push(&to).await
        };
        let built = built.await;
        if let Some(left) = build_dir.remove() {
            events(ImageEvent::NotRemoved(left));
        }
        built
    }
}

impl Checked<'_> {
    fn image(&self, manifest: &Manifest) -> Image {
        Image { name: self.destination.name(), digest: manifest.digest.clone() }
    }
}
