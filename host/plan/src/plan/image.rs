//! An image that the host builds and pushes. The rules refuse whatever a container tool or git could read as an option, as
//! another place, or as a file of this machine.

use crate::error::Error;
use crate::object::ObjectRef;
use crate::path::RelativePath;
use crate::plan::secret::is_secret;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An image that the host builds from source and pushes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageStep {
    /// Unique among the steps.
    pub name: String,
    /// What the image is built from.
    pub source: ImageSource,
    /// The path of the Dockerfile in the source.
    pub dockerfile: String,
    /// The path of the build context in the source; `.` for the whole source.
    pub context: String,
    /// The image name: REGISTRY/REPOSITORY:TAG.
    pub destination: String,
    /// The Secret with the registry credentials, of type kubernetes.io/dockerconfigjson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_credentials: Option<ObjectRef>,
}

/// The source of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ImageSource {
    /// A git repository.
    Git(GitSource),
    /// The absolute path of a folder on the machine that the host runs on.
    Folder(String),
}

impl ImageSource {
    /// The URL or the path.
    pub fn location(&self) -> &str {
        match self {
            Self::Git(git) => &git.url,
            Self::Folder(folder) => folder,
        }
    }
}

/// A revision of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSource {
    /// The URL of the repository.
    pub url: String,
    /// A commit, tag or branch.
    pub revision: String,
}

/// The name of an image: REGISTRY/REPOSITORY:TAG. The registry is required, because container tools fill in different
/// defaults.
///
/// ```
/// use thinkube_plan::ImageName;
/// let name: ImageName = "registry.example.org:5000/library/devpi:1.0".parse()?;
/// assert_eq!(name.repository, "library/devpi");
/// assert_eq!(name.with_tag("1.1").to_string(), "registry.example.org:5000/library/devpi:1.1");
/// # Ok::<(), thinkube_plan::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The host, and the port if there is one.
    pub registry: String,
    /// The path below the registry.
    pub repository: String,
    /// The tag.
    pub tag: String,
}

impl ImageName {
    /// REGISTRY/REPOSITORY.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository with another tag.
    pub fn with_tag(&self, tag: impl Into<String>) -> Self {
        Self { tag: tag.into(), ..self.clone() }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.registry, self.repository, self.tag)
    }
}

impl FromStr for ImageName {
    type Err = Error;

    /// Follows the OCI distribution specification; the registry and the tag are required.
    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let (registry, path) = text.split_once('/')?;
            let (repository, tag) = path.rsplit_once(':')?;
            let fine = is_registry(registry)
                && repository.len() + registry.len() < 255
                && repository.split('/').all(is_repository_part)
                && is_tag(tag);
            fine.then(|| Self { registry: registry.into(), repository: repository.into(), tag: tag.into() })
        };
        read().ok_or_else(|| Error::ImageName(text.chars().take(300).collect()))
    }
}

/// Container tools read a host without a dot and a port, except `localhost`, as part of the repository.
fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let fine_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    host.len() <= 253
        && host.split('.').all(label)
        && port.is_none_or(fine_port)
        && (host.contains('.') || port.is_some() || host == "localhost")
}

fn is_repository_part(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let between = |separator: &[u8]| {
        matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
    };
    text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().next_back().is_some_and(alphanumeric)
        && text
            .as_bytes()
            .split(|byte| alphanumeric(*byte))
            .filter(|between| !between.is_empty())
            .all(between)
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl ImageStep {
    /// The outputs of an image step.
    pub(super) const OUTPUTS: [&str; 2] = ["digest", "reference"];

    /// Every rule that the step breaks, whatever was granted.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Err(error) = self.destination.parse::<ImageName>() {
            faults.push(error.to_string());
        }
        match &self.source {
            ImageSource::Git(GitSource { url, revision }) => {
                if !is_git_url(url) {
                    faults.push(format!(
                        "the source {url:?} is not a valid git URL: expected https://HOST/PATH or file:///PATH, without user, \
                         `..` and `%`"
                    ));
                }
                if !is_revision(revision) {
                    faults.push(format!("the revision {revision:?} is not a valid commit, tag or branch"));
                }
            }
            ImageSource::Folder(folder) => {
                if !is_folder(folder) {
                    faults.push(format!(
                        "the source {folder:?} is not a valid folder: expected an absolute path without `.` and `..`"
                    ));
                }
            }
        }
        for (what, path) in [("dockerfile", &self.dockerfile), ("context", &self.context)] {
            // `.` is the whole source: a context, but not a Dockerfile.
            if what == "context" && path == "." {
                continue;
            }
            // buildah-build(1) runs the C preprocessor on such a file, which can include any file of this machine.
            if what == "dockerfile" && path.ends_with(".in") {
                faults.push(format!(
                    "the dockerfile {path:?} ends in `.in`: a preprocessor would read files of this machine into it"
                ));
            }
            if let Err(error) = path.parse::<RelativePath>() {
                faults.push(format!("the {what}: {error}"));
            }
        }
        if !self.push_credentials.as_ref().is_none_or(is_secret) {
            faults.push("the push credentials must be a v1 Secret in a namespace".to_owned());
        }
        faults
    }
}

/// A grant is a prefix of this text, so no two programs may read the text in different ways.
fn is_git_url(url: &str) -> bool {
    let path = if let Some(rest) = url.strip_prefix("https://") {
        let Some((authority, path)) = rest.split_once('/') else { return false };
        let (host, port) =
            authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        {
            return false;
        }
        if !port.is_none_or(|port| port.parse::<u16>().is_ok() && !port.starts_with('+')) {
            return false;
        }
        path
    } else if let Some(path) = url.strip_prefix("file:///") {
        path
    } else {
        return false;
    };
    url.len() <= 1024
        && path.trim_end_matches('/').split('/').all(|part| !matches!(part, "" | "." | ".."))
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+~".contains(&byte))
}

/// A subset of the names of git-check-ref-format(1) that git cannot read as an option or an expression.
fn is_revision(revision: &str) -> bool {
    (1..=200).contains(&revision.len())
        && !revision.starts_with(['-', '/', '.'])
        && !revision.ends_with(['/', '.'])
        && !revision.contains("..")
        && !revision.contains("//")
        && revision.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+=#,@".contains(&byte))
}

fn is_folder(folder: &str) -> bool {
    folder.len() <= 1024
        && folder.strip_prefix('/').is_some_and(|rest| {
            rest.trim_end_matches('/').split('/').all(|part| !matches!(part, "" | "." | ".."))
        })
        && !folder.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_name_has_a_registry_a_repository_and_a_tag() {
        let name: ImageName = "registry.example.org:5000/library/devpi:1.0".parse().expect("an image name");
        assert_eq!(name.name(), "registry.example.org:5000/library/devpi");
        assert_eq!(name.tag, "1.0");
        assert_eq!(name.to_string().parse::<ImageName>().expect("an image name"), name);
        for fine in ["localhost/a:1", "a.b/c__d/e-f.g:X_1", "a:1/b:c"] {
            assert!(fine.parse::<ImageName>().is_ok(), "{fine}");
        }
        for wrong in [
            "library/devpi:1",
            "devpi",
            "a.b/devpi",
            "a.b/devpi:",
            "a.b/Devpi:1",
            "a.b//devpi:1",
            "a.b/devpi:1@sha256:00",
            "a.b/-x:1",
            "a.b/../x:1",
            "--x.y/b:1",
            "a.b:99999/b:1",
            "a.b/c:-1",
            "user@a.b/c:1",
            "a.b/c d:1",
            "dir:/tmp/x:1",
        ] {
            assert!(wrong.parse::<ImageName>().is_err(), "{wrong}");
        }
    }

    fn step(url: &str, revision: &str, dockerfile: &str, context: &str) -> ImageStep {
        ImageStep {
            name: "image".into(),
            source: ImageSource::Git(GitSource { url: url.into(), revision: revision.into() }),
            dockerfile: dockerfile.into(),
            context: context.into(),
            destination: "registry.example.org/library/devpi:1".into(),
            push_credentials: None,
        }
    }

    #[test]
    fn an_ambiguous_git_url_is_refused() {
        for fine in ["https://example.org/a/b.git", "https://example.org:8443/a", "file:///srv/git/a.git"] {
            assert_eq!(step(fine, "main", "Dockerfile", ".").faults(), Vec::<String>::new(), "{fine}");
        }
        for wrong in [
            "ext::sh -c whoami",
            "http://example.org/a",
            "git://example.org/a",
            "ssh://git@example.org/a",
            "git@example.org:a",
            "/srv/git/a",
            "file://host/a",
            "https://user:word@example.org/a",
            "https://example.org",
            "https:///a",
            "https://example.org/a/../b",
            "https://example.org/a/%2e%2e/b",
            "https://example.org/a?b",
            "https://example.org/a#b",
            "https://example.org\\@evil.example/a",
            "https://example.org/a b",
            "--upload-pack=whoami",
        ] {
            assert_eq!(step(wrong, "main", "Dockerfile", ".").faults().len(), 1, "{wrong}");
        }
    }

    #[test]
    fn a_revision_that_git_reads_as_an_option_or_expression_is_refused() {
        for fine in
            ["main", "v1.0", "refs/heads/main", "feature/a-b", "7bbfb79f0a1b2c3d4e5f60718293a4b5c6d7e8f9"]
        {
            assert_eq!(
                step("https://a.b/c", fine, "Dockerfile", ".").faults(),
                Vec::<String>::new(),
                "{fine}"
            );
        }
        for wrong in
            ["", "-x", "--upload-pack=x", "a..b", "a b", "a:b", "a^{}", "a~1", "refs/*", "@{u}", "a\n"]
        {
            assert_eq!(step("https://a.b/c", wrong, "Dockerfile", ".").faults().len(), 1, "{wrong:?}");
        }
    }

    #[test]
    fn dockerfile_and_context_stay_in_the_source() {
        for wrong in ["../Dockerfile", "/etc/passwd", ".", "Dockerfile.in"] {
            assert_eq!(step("https://a.b/c", "main", wrong, ".").faults().len(), 1, "{wrong}");
        }
        assert_eq!(step("https://a.b/c", "main", "Dockerfile", "..").faults().len(), 1);
    }

    #[test]
    fn a_folder_is_an_absolute_path() {
        for (folder, faults) in
            [("/srv/a", 0), ("/srv/a/", 0), ("srv", 1), ("/", 1), ("/srv/../etc", 1), ("/a\nb", 1)]
        {
            let source = ImageSource::Folder(folder.into());
            assert_eq!(
                ImageStep { source, ..step("", "", "Dockerfile", ".") }.faults().len(),
                faults,
                "{folder}"
            );
        }
    }
}
