use crate::{Error, GitSource, ImageSource, ImageStep, RelativePath};
use std::fmt;
use std::str::FromStr;

/// Where an image is pushed to: REGISTRY/REPOSITORY:TAG. The registry is always said, so that no tool puts its own
/// default there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// Host, and port where there is one.
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

    /// As the OCI distribution specification says, with the registry and the tag said.
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

/// With a dot, a port or the name `localhost`: else container tools take it for a part of the repository.
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
    /// What is wrong with it, whatever was granted. Empty means that a tool may be told.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Err(error) = self.destination.parse::<ImageName>() {
            faults.push(error.to_string());
        }
        match &self.source {
            ImageSource::Git(GitSource { url, revision }) => {
                if !is_git_url(url) {
                    faults.push(format!(
                        "the source {url:?} is no URL of a git repository: expected https://HOST/PATH or file:///PATH, with no \
                         user, no `..` and no `%`"
                    ));
                }
                if !is_revision(revision) {
                    faults.push(format!("the revision {revision:?} is no commit, tag or branch"));
                }
            }
            ImageSource::Folder(folder) => {
                if !is_folder(folder) {
                    faults.push(format!(
                        "the source {folder:?} is no folder: expected an absolute path without `.` or `..`"
                    ));
                }
            }
        }
        for (what, path) in [("dockerfile", &self.dockerfile), ("context", &self.context)] {
            // The source itself is a context, and no Dockerfile.
            if what == "context" && path == "." {
                continue;
            }
            // buildah-build(1): such a file goes through the preprocessor of this machine, which includes any file of it.
            if what == "dockerfile" && path.ends_with(".in") {
                faults.push(format!(
                    "the dockerfile {path:?} ends in `.in`, which reads files of this machine"
                ));
            }
            if let Err(error) = path.parse::<RelativePath>() {
                faults.push(format!("the {what}: {error}"));
            }
        }
        let secret = |object: &crate::ObjectRef| {
            object.kind == "Secret" && object.api_version == "v1" && object.namespace.is_some()
        };
        if !self.push_credentials.as_ref().is_none_or(secret) {
            faults.push("its push credentials must be a v1 Secret in a namespace".to_owned());
        }
        faults
    }
}

/// Nothing that two programs could read in two ways: what is granted is a prefix of this text.
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

/// Close to what `git check-ref-format` says of names, and no option.
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
    fn a_destination_names_its_registry_its_repository_and_its_tag() {
        let name: ImageName = "registry.example.org:5000/library/devpi:1.0".parse().expect("a name");
        assert_eq!(name.name(), "registry.example.org:5000/library/devpi");
        assert_eq!(name.tag, "1.0");
        assert_eq!(name.to_string().parse::<ImageName>().expect("a name"), name);
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
    fn a_url_that_could_be_read_in_two_ways_is_refused() {
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
    fn a_revision_is_no_option_and_no_expression() {
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
    fn dockerfile_and_context_lie_in_the_source_and_nothing_of_this_machine_gets_into_them() {
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
