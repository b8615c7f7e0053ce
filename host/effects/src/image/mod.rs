//! Images that are built from source and pushed to a registry.
//!
//! An image is first pushed under the tag of its commit. A registry that has this tag has the image, so the image is not built
//! again, and the tag of the plan is pointed to it. The right to push is checked before the build. Push credentials reach the
//! registry and the builder only; without credentials the builder uses no login of the operator.

pub(crate) mod build_dir;
mod builder;
mod connect_proxy;
pub(crate) mod error;
pub(crate) mod registry;
pub(crate) mod source;

use crate::http::client::HttpOptions;
use build_dir::BuildDir;
use builder::Builder;
use error::Error;
use registry::auth::Login;
use registry::client::{Manifest, Registry};
use source::Commit;
use std::path::PathBuf;
use std::time::Duration;
use thinkube_plan::{
    Digest, ImageName, ImageStep, Output, Outputs, Permission, SecretText, missing_for_image,
};

const DEFAULT_BUILD_TIMEOUT: Duration = Duration::from_secs(3600);

/// Progress of a build.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ImageEvent {
    /// The source is being fetched.
    Fetching {
        /// The step.
        name: String,
        /// The URL or directory.
        source: String,
        /// The commit.
        commit: String,
    },
    /// The image is being built.
    Building {
        /// The step.
        name: String,
    },
    /// The image is being pushed.
    Pushing {
        /// The step.
        name: String,
        /// REGISTRY/REPOSITORY:TAG.
        to: String,
    },
    /// A line of a program's output.
    Output(String),
    /// A build directory that cannot be removed.
    NotRemoved(PathBuf),
}

/// Receives events.
pub type ImageEvents<'a> = &'a (dyn Fn(ImageEvent) + Send + Sync);

/// How images are built.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    /// The granted permissions, which name the sources and destinations that may be used.
    pub granted: Vec<Permission>,
    /// How the host and its programs find and trust registries and repositories. `granted` of these options is ignored.
    pub http: HttpOptions,
    /// The time limit of one build. None: an hour.
    pub limit: Option<Duration>,
}

/// Builds and pushes images with the buildah or podman, and the git, of this machine.
#[derive(Debug, Clone)]
pub struct Images {
    options: ImageOptions,
}

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// REGISTRY/REPOSITORY.
    pub name: String,
    /// The digest of the manifest.
    pub digest: Digest,
}

impl Image {
    /// REGISTRY/REPOSITORY@DIGEST, as a pod names the image.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.digest)
    }

    /// The outputs of the step: `digest` and `reference`.
    pub fn outputs(&self, step: &str) -> Outputs {
        let mut outputs = Outputs::default();
        outputs.insert(step, "digest", Output::Open(self.digest.to_string()));
        outputs.insert(step, "reference", Output::Open(self.reference()));
        outputs
    }
}

/// The present state of an image step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedImage {
    /// The commit of the source.
    pub commit: Commit,
    /// What the registry has of this commit.
    pub state: ImageState,
}

/// What a registry has of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// No image: it must be built.
    Absent,
    /// The image, but the tag of the plan is absent or leads to another image.
    Untagged(Image),
    /// The image, under the tag of the plan.
    Current(Image),
}

/// The result of [`Images::ensure`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOutcome {
    /// The image.
    pub image: Image,
    /// What was done.
    pub action: ImageAction,
}

/// What [`Images::ensure`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageAction {
    /// Built and pushed the image.
    Built,
    /// Pointed the tag of the plan to an image that the registry has.
    Tagged,
    /// Nothing.
    Unchanged,
}

/// Checks that this machine has a program that builds images.
///
/// # Errors
/// [`Error::Program`].
pub fn require_image_builder() -> Result<(), Error> {
    builder::find_builder()?;
    Ok(())
}

/// A step that passed the checks which need no server.
struct ValidStep<'a> {
    step: &'a ImageStep,
    destination: ImageName,
    login: Option<Login>,
    what: String,
}

impl Images {
    /// Builds images with these options.
    pub fn new(options: ImageOptions) -> Self {
        Self { options }
    }

    fn validate<'a>(&self, step: &'a ImageStep, login: Option<&SecretText>) -> Result<ValidStep<'a>, Error> {
        let what = format!("image {}", step.name);
        let invalid = |message: String| Error::Invalid { what: what.clone(), message };
        if let Some(fault) = step.faults().into_iter().next() {
            return Err(invalid(fault));
        }
        if let Some(needed) = missing_for_image(&self.options.granted, step).into_iter().next() {
            return Err(Error::NotGranted { what, needed: needed.to_string() });
        }
        let destination: ImageName =
            step.destination.parse().map_err(|error: thinkube_plan::Error| invalid(error.to_string()))?;
        let login = login.map(|login| Login::of(login, &destination, &what)).transpose()?;
        Ok(ValidStep { step, destination, login, what })
    }

    fn registry<'a>(&'a self, valid: &'a ValidStep<'_>) -> Result<Registry<'a>, Error> {
        Ok(Registry::new(&self.options.http, &valid.destination, valid.login.as_ref(), &valid.what)?)
    }

    /// The present commit of a step's source: that of its git revision, without a fetch, or the hash of its directory.
    ///
    /// # Errors
    /// [`Error::Source`], and those of running programs.
    pub async fn resolve(&self, step: &ImageStep) -> Result<Commit, Error> {
        self.validate(step, None)?;
        let build_dir = BuildDir::open(&self.options.http).await?;
        Ok(source::resolve(step, &build_dir).await?)
    }

    /// The commit of a step's source, and what the registry has of it. Changes nothing. `login` is the text of a
    /// `.dockerconfigjson`. None: anonymous, whatever logins the builder of this machine has.
    ///
    /// # Errors
    /// As those of [`Images::resolve`]; [`Error::Registry`]; [`Error::Http`].
    pub async fn observe(
        &self,
        step: &ImageStep,
        login: Option<&SecretText>,
    ) -> Result<ObservedImage, Error> {
        let valid = self.validate(step, login)?;
        let commit = self.resolve(step).await?;
        let tag = &valid.destination.tag;
        // This tag would give this image to a later build of another commit.
        if source::is_commit_tag(tag) && tag != commit.tag() {
            let message =
                format!("the tag {tag} is reserved for the image of another commit; choose another tag");
            return Err(Error::Invalid { what: valid.what, message });
        }
        let registry = self.registry(&valid)?;
        let state = match registry.manifest(commit.tag()).await? {
            None => ImageState::Absent,
            Some(manifest) => {
                let image = valid.image(&manifest);
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

    /// Builds, pushes and tags what the registry lacks. `observed` is the result of [`Images::observe`]; its commit is built,
    /// even if the branch has moved.
    ///
    /// Dropping the future stops every program that it started, and removes the build directory.
    ///
    /// # Errors
    /// As those of [`Images::observe`]; a refused push before the build; [`Error::Build`], [`Error::Push`], and a timeout.
    pub async fn ensure(
        &self,
        step: &ImageStep,
        observed: &ObservedImage,
        login: Option<&SecretText>,
        events: ImageEvents<'_>,
    ) -> Result<ImageOutcome, Error> {
        if let ImageState::Current(image) = &observed.state {
            return Ok(ImageOutcome { image: image.clone(), action: ImageAction::Unchanged });
        }
        let valid = self.validate(step, login)?;
        let registry = self.registry(&valid)?;
        let tag = observed.commit.tag();
        let (manifest, action) = match registry.manifest(tag).await? {
            Some(manifest) => (manifest, ImageAction::Tagged),
            None => {
                registry.require_push().await?;
                let digest = self.build_and_push(&valid, &observed.commit, events).await?;
                let manifest = registry.manifest(tag).await?;
                match manifest.filter(|manifest| manifest.digest == digest) {
                    Some(manifest) => (manifest, ImageAction::Built),
                    None => {
                        let destination = valid.destination.with_tag(tag).to_string();
                        let lines = vec![format!("the registry does not have {digest} under this tag")];
                        return Err(Error::Push { destination, lines });
                    }
                }
            }
        };
        registry.tag(&valid.destination.tag, &manifest).await?;
        Ok(ImageOutcome { image: valid.image(&manifest), action })
    }

    /// Deletes an image of a step from its registry, with all of its tags. False: it does not exist.
    ///
    /// # Errors
    /// As those of [`Images::observe`].
    pub async fn remove(
        &self,
        step: &ImageStep,
        digest: &Digest,
        login: Option<&SecretText>,
    ) -> Result<bool, Error> {
        let valid = self.validate(step, login)?;
        Ok(self.registry(&valid)?.delete(digest).await?)
    }

    /// Fetches the source, builds the image, and pushes it under the tag of its commit.
    async fn build_and_push(
        &self,
        valid: &ValidStep<'_>,
        commit: &Commit,
        events: ImageEvents<'_>,
    ) -> Result<Digest, Error> {
        let ValidStep { step, destination, login, what } = valid;
        for path in build_dir::remove_abandoned() {
            events(ImageEvent::NotRemoved(path));
        }
        let mut build_dir = BuildDir::open(&self.options.http).await?;
        // Also without a login: else the builder would use the operator's.
        let anonymous = SecretText::new(r#"{"auths":{}}"#.to_owned());
        let auth = login.as_ref().map_or(anonymous, |login| login.auth_file(&destination.registry));
        let auth_file = build_dir.write_secret("auth.json", &auth)?;
        let secrets = login.as_ref().map(Login::secrets).unwrap_or_default();
        let sink = |line: &str| events(ImageEvent::Output(line.to_owned()));
        let name = || step.name.clone();

        let pushed = async {
            let builder = Builder::new(&build_dir, auth_file, &sink, &secrets)?;
            let source = step.source.location().to_owned();
            events(ImageEvent::Fetching { name: name(), source, commit: commit.id().to_owned() });
            let layout = source::fetch(step, commit, &build_dir, &sink).await?;
            events(ImageEvent::Building { name: name() });
            builder.build(&layout, self.options.limit.unwrap_or(DEFAULT_BUILD_TIMEOUT), what).await?;
            let to = destination.with_tag(commit.tag());
            events(ImageEvent::Pushing { name: name(), to: to.to_string() });
            builder.push(&to).await
        };
        let pushed = pushed.await;
        if let Some(path) = build_dir.remove() {
            events(ImageEvent::NotRemoved(path));
        }
        pushed
    }
}

impl ValidStep<'_> {
    fn image(&self, manifest: &Manifest) -> Image {
        Image { name: self.destination.name(), digest: manifest.digest.clone() }
    }
}
