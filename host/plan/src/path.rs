use crate::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A path below some folder, that can't lead out of it by what it says: no `..`, no beginning slash, nothing that a
/// terminal, a shell or a file system would read differently. What symbolic links do is for whoever opens it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelativePath(String);

impl RelativePath {
    /// Longest path, in bytes. Systems bound it at 4096, with the folder that it is below.
    pub const LONGEST: usize = 1024;
    /// Longest name in a path. Systems bound it at 255; this leaves room for a suffix.
    pub const LONGEST_NAME: usize = 200;
    /// Most names in a path.
    pub const DEEPEST: usize = 32;

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its names, outermost first.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Its last name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// What it lies in; none for a path of one name.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// What it lies in, innermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// Whether it is this path or lies below it.
    pub fn is_within(&self, folder: &Self) -> bool {
        self.0.strip_prefix(&folder.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn fault(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > RelativePath::LONGEST {
        return Some("it is longer than 1024 bytes");
    }
    if path.starts_with('/') {
        return Some("it begins with `/`: write it relative to the folder that it is in");
    }
    // Letters beyond ASCII look like others, are written in several ways, or turn the reading order around.
    if !path.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\') {
        return Some("it holds something else than printable ASCII, or a backslash");
    }
    if path.split('/').count() > RelativePath::DEEPEST {
        return Some("it is more than 32 names deep");
    }
    for name in path.split('/') {
        if name.is_empty() {
            return Some("a name in it is empty");
        }
        if name == "." || name == ".." {
            return Some("it holds `.` or `..`");
        }
        if name.len() > RelativePath::LONGEST_NAME {
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
    fn a_path_that_could_lead_out_or_be_read_in_two_ways_is_refused() {
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
    fn the_error_shows_a_hostile_path_without_doing_what_it_says() {
        let error = "a\u{1b}[2J\n".parse::<RelativePath>().expect_err("it is hostile").to_string();
        assert!(error.chars().all(|character| !character.is_control()), "{error:?}");
    }

    #[test]
    fn what_begins_with_the_same_letters_is_not_within() {
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
    fn a_record_with_a_hostile_path_is_not_read() {
        assert!(serde_json::from_str::<RelativePath>("\"../a\"").is_err());
        assert_eq!(serde_json::to_string(&path("a/b")).expect("text"), "\"a/b\"");
    }
}
