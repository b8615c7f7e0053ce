use crate::bindings::plugin::thinkube::plugin::plan::{GitSource, ImageSource, ImageStep};
use crate::{Step, TypeMeta};

/// An image that the host builds and pushes, unless the registry has it of the same commit already. Needs
/// [`Permission::BuildFrom`](crate::Permission) for its source and `PushImage` for its destination.
///
/// It yields `reference`, REPOSITORY@DIGEST, for [`Object::bind`](crate::Object::bind) to put into a manifest, and `digest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image(ImageStep);

impl Image {
    /// From a commit, tag or branch of a git repository, to REGISTRY/REPOSITORY:TAG. The context is the repository, its
    /// Dockerfile is `Dockerfile`.
    pub fn from_git(
        name: impl Into<String>,
        url: impl Into<String>,
        revision: impl Into<String>,
        destination: impl Into<String>,
    ) -> Self {
        let source = GitSource { url: url.into(), revision: revision.into() };
        Self::from_source(name, ImageSource::Git(source), destination)
    }

    /// From a folder of the operator's machine, which a setting names.
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

    /// Another Dockerfile, by its path in the source.
    pub fn dockerfile(mut self, path: impl Into<String>) -> Self {
        self.0.dockerfile = path.into();
        self
    }

    /// A part of the source as context.
    pub fn context(mut self, path: impl Into<String>) -> Self {
        self.0.context = path.into();
        self
    }

    /// Pushed with the login that this Secret, of type kubernetes.io/dockerconfigjson, holds. Needs
    /// [`Permission::CopySecret`](crate::Permission).
    pub fn login(mut self, namespace: impl Into<String>, secret: impl Into<String>) -> Self {
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

    #[test]
    fn what_is_not_said_is_the_usual_place() {
        let Step::Image(step) =
            Image::from_git("devpi", "https://git.example.org/devpi", "main", "registry.example.org/devpi:1")
                .login("default", "login")
                .into()
        else {
            panic!("it is an image");
        };
        assert_eq!((step.dockerfile.as_str(), step.context.as_str()), ("Dockerfile", "."));
        let login = step.push_credentials.expect("a Secret");
        assert_eq!((login.kind.as_str(), login.namespace.as_deref()), ("Secret", Some("default")));
        let Step::Image(step) =
            Image::from_folder("a", "/srv/a", "b/c:1").dockerfile("x/Dockerfile").context("x").into()
        else {
            panic!("it is an image");
        };
        assert_eq!(step.source, ImageSource::Folder("/srv/a".into()));
        assert_eq!((step.dockerfile.as_str(), step.context.as_str()), ("x/Dockerfile", "x"));
    }
}
