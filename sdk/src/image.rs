//! Images that the host builds from source.

use crate::bindings::plugin::thinkube::plugin::plan::{GitSource, ImageSource, ImageStep};
use crate::contract::{Step, TypeMeta};

/// An image that the host builds and pushes. The host skips the build if the registry already has an image of the same
/// commit. Needs [`Permission::BuildFrom`](crate::Permission) for the source and `PushImage` for the destination.
///
/// The outputs are `reference`, which is REPOSITORY@DIGEST, and `digest`.
///
/// ```
/// use thinkube_sdk::serde_json::json;
/// use thinkube_sdk::{Image, Object, Stage};
///
/// let image = Image::from_git("server", "https://git.example.com/server", "v1", "registry.example.com/server:1");
/// let pod = Object::of(&json!({
///     "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "server", "namespace": "demo"},
///     "spec": {"containers": [{"name": "server", "image": ""}]},
/// }))
/// .bind("/spec/containers/0/image", "server", "reference");
/// let stage = Stage::new("server").image(image).object(pod);
/// assert_eq!(stage.steps.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image(ImageStep);

impl Image {
    /// Builds from a commit, tag or branch of a git repository, and pushes to REGISTRY/REPOSITORY:TAG. By default the build
    /// context is the whole repository, and the Dockerfile is `Dockerfile`.
    pub fn from_git(
        name: impl Into<String>,
        url: impl Into<String>,
        revision: impl Into<String>,
        destination: impl Into<String>,
    ) -> Self {
        let source = GitSource { url: url.into(), revision: revision.into() };
        Self::from_source(name, ImageSource::Git(source), destination)
    }

    /// Builds from a folder of the operator's machine: an absolute path, which a setting holds.
    pub fn from_folder(
        name: impl Into<String>,
        folder: impl Into<String>,
        destination: impl Into<String>,
    ) -> Self {
        Self::from_source(name, ImageSource::Folder(folder.into()), destination)
    }

    fn from_source(name: impl Into<String>, source: ImageSource, destination: impl Into<String>) -> Self {
        Self(ImageStep {
            name: name.into(),
            source,
            dockerfile: "Dockerfile".to_owned(),
            context: ".".to_owned(),
            destination: destination.into(),
            push_credentials: None,
        })
    }

    /// The path of another Dockerfile in the source.
    pub fn dockerfile(mut self, path: impl Into<String>) -> Self {
        self.0.dockerfile = path.into();
        self
    }

    /// The path of the build context in the source.
    pub fn context(mut self, path: impl Into<String>) -> Self {
        self.0.context = path.into();
        self
    }

    /// The Secret, of type kubernetes.io/dockerconfigjson, with the credentials to push with. Needs
    /// [`Permission::CopySecret`](crate::Permission).
    pub fn push_credentials(mut self, namespace: impl Into<String>, secret: impl Into<String>) -> Self {
        self.0.push_credentials = Some(TypeMeta::new("v1", "Secret").namespaced(namespace, secret));
        self
    }
}

impl From<Image> for Step {
    fn from(image: Image) -> Self {
        Self::Image(image.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(image: Image) -> ImageStep {
        let Step::Image(step) = image.into() else { panic!("an Image becomes an image step") };
        step
    }

    #[test]
    fn the_context_and_the_dockerfile_have_defaults() {
        let url = "https://git.example.org/devpi";
        let image = Image::from_git("devpi", url, "main", "registry.example.org/devpi:1");
        let step = step(image.push_credentials("default", "login"));
        assert_eq!((step.dockerfile.as_str(), step.context.as_str()), ("Dockerfile", "."));
        let credentials = step.push_credentials.expect("the step has push credentials");
        assert_eq!(
            (credentials.kind.as_str(), credentials.namespace.as_deref()),
            ("Secret", Some("default"))
        );
    }

    #[test]
    fn a_folder_can_be_the_source() {
        let step = step(Image::from_folder("a", "/srv/a", "b/c:1").dockerfile("x/Dockerfile").context("x"));
        assert_eq!(step.source, ImageSource::Folder("/srv/a".into()));
        assert_eq!((step.dockerfile.as_str(), step.context.as_str()), ("x/Dockerfile", "x"));
    }
}
