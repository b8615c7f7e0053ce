//! The entries of a directory, and what identifies a file.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Identifies a file's content and mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FileFingerprint {
    /// Of the content.
    pub(crate) digest: thinkube_plan::Digest,
    /// Permission bits.
    pub(crate) mode: u32,
}

impl FileFingerprint {
    pub(crate) fn of(content: &[u8], mode: u32) -> Self {
        Self { digest: thinkube_plan::Digest::of(content), mode }
    }
}

/// The entry of a directory under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Absent,
    /// With its content, if that is UTF-8 and no longer than a plan may write.
    File(FileFingerprint, Option<String>),
    Directory {
        mode: u32,
    },
    Obstacle(Obstacle),
}

/// Blocks the way of a file or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Obstacle {
    /// A symbolic link, wherever it leads.
    Link,
    /// A file where a directory is expected.
    File,
    /// A directory where a file is expected.
    Directory,
    /// A device, a pipe or a socket.
    Special,
    /// An entry that this user may not read.
    Forbidden,
    /// A file of more than 64 MiB.
    Large,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "a symbolic link",
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Special => "a device, a pipe or a socket",
            Self::Forbidden => "an entry that you may not read",
            Self::Large => "a file of more than 64 MiB",
        })
    }
}
