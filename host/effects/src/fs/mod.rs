//! Files and directories below one directory.

pub(crate) mod beneath;
