//! Files and directories below one directory.

pub(crate) mod beneath;
pub(crate) mod content;
pub(crate) mod entry;
