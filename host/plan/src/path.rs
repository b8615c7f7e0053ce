//! Relative paths that stay in their folder, whatever program reads them.

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A path below a folder. Its text cannot leave the folder: it has no `..`, no leading slash, and no character that a
/// terminal, a shell or a file system could read in another way. Symbolic links are the concern of the code that opens it.
///
/// ```
/// use thinkube_plan::RelativePath;
/// let path: RelativePath = ".config/fish/config.fish".parse()?;
/// assert!(path.is_within(&".config".parse()?));
/// assert!("../.ssh/id_rsa".parse::<RelativePath>().is_err());
/// # Ok::<(), thinkube_plan::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelativePath(String);

impl RelativePath {
    /// Longest path, in bytes. Linux bounds the whole path, with the folder, at 4096.
    pub const MAX_BYTES: usize = 1024;
    /// Longest name in a path, in bytes. File systems bound it at 255; this leaves room for a suffix.
    pub const MAX_NAME_BYTES: usize = 200;
    /// Most names in a path.
    pub const MAX_DEPTH: usize = 32;

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names in the path, outermost first.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The folder that contains it; None for a path of one name.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// The folders that contain it, innermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// Whether the path is `folder` or lies below it.
    pub fn is_within(&self, folder: &Self) -> bool {
        self.0.strip_prefix(&folder.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn fault(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > RelativePath::MAX_BYTES {
        return Some("it is longer than 1024 bytes");
    }
    if path.starts_with('/') {
        return Some("it begins with `/`; expected a relative path");
    }
    // Characters beyond ASCII can look like others, be encoded in several ways, or reverse the reading order.
    if !path.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\') {
        return Some("it has a backslash or a character that is not printable ASCII");
    }
    if path.split('/').count() > RelativePath::MAX_DEPTH {
        return Some("it is more than 32 names deep");
    }
    for name in path.split('/') {
        if name.is_empty() {
            return Some("a name in it is empty");
        }
        if name == "." || name == ".." {
            return Some("it has a `.` or `..` segment");
        }
        if name.len() > RelativePath::MAX_NAME_BYTES {
            return Some("a name in it is longer than 200 bytes");
        }
        if name.trim() != name {
            return Some("a name in it begins or ends with a space");
        }
    }
    None
}

impl FromStr for RelativePath {
    type Err = Error;

    fn from_str(path: &str) -> Result<Self, Error> {
        match fault(path) {
            None => Ok(Self(path.to_owned())),
            Some(message) => Err(Error::Path { path: path.chars().take(200).collect(), message }),
        }
    }
}

impl TryFrom<String> for RelativePath {
    type Error = Error;

    fn try_from(path: String) -> Result<Self, Error> {
        path.parse()
    }
}

impl From<RelativePath> for String {
    fn from(path: RelativePath) -> Self {
        path.0
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelativePath {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_path_that_leaves_its_folder_or_is_ambiguous_is_refused() {
        let long = "a".repeat(201);
        let deep = ["a"; 33].join("/");
        let endless = ["a".repeat(200).as_str(); 6].join("/");
        for hostile in [
            "",
            "/etc/passwd",
            "..",
            "../a",
            "a/../../b",
            "a/./b",
            ".",
            "a//b",
            "a/",
            "a\0b",
            "a\nb",
            "a\u{1b}[2Jb",
            "a\\b",
            "ä",
            "a\u{202e}b",
            " a",
            "a/b ",
            &long,
            &deep,
            &endless,
        ] {
            assert!(hostile.parse::<RelativePath>().is_err(), "{hostile:?}");
        }
        for fine in ["a", ".config/fish/conf.d/devpi.fish", "a b", "..a", "a..", "~", "$HOME"] {
            assert_eq!(path(fine).as_str(), fine);
        }
    }

    #[test]
    fn the_error_escapes_a_hostile_path() {
        let error =
            "a\u{1b}[2J\n".parse::<RelativePath>().expect_err("a hostile path is refused").to_string();
        assert!(error.chars().all(|character| !character.is_control()), "{error:?}");
    }

    #[test]
    fn a_path_with_the_same_first_letters_is_not_within() {
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a").is_within(&path("a")));
        assert!(!path("ab").is_within(&path("a")));
        assert!(!path("a").is_within(&path("a/b")));
    }

    #[test]
    fn ancestors_come_innermost_first() {
        let found: Vec<String> = path("a/b/c").ancestors().map(String::from).collect();
        assert_eq!(found, ["a/b", "a"]);
        assert_eq!(path("a/b/c").name(), "c");
    }

    #[test]
    fn a_record_with_a_hostile_path_is_refused() {
        assert!(serde_json::from_str::<RelativePath>("\"../a\"").is_err());
        assert_eq!(serde_json::to_string(&path("a/b")).expect("a path serializes"), "\"a/b\"");
    }
}
