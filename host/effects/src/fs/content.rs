//! Reads and hashes the content of a file, up to a limit.

use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _};
use thinkube_plan::WorkstationPlan;

/// Bytes of a file that is read. A workstation plan writes shorter files.
const MAX_READ_BYTES: u64 = 64 << 20;

pub(super) struct Content {
    pub(super) digest: thinkube_plan::Digest,
    /// UTF-8 of at most [`WorkstationPlan::MAX_CONTENT_BYTES`] bytes.
    pub(super) text: Option<String>,
}

/// None: the file is longer than [`MAX_READ_BYTES`].
pub(super) fn read(file: File) -> io::Result<Option<Content>> {
    let mut kept = Vec::new();
    let mut fits = true;
    let digest = sha256_of(file, MAX_READ_BYTES, |bytes| {
        fits &= kept.len() + bytes.len() <= WorkstationPlan::MAX_CONTENT_BYTES;
        if fits {
            kept.extend_from_slice(bytes);
        }
        Ok(())
    })?;
    let Some(digest) = digest else { return Ok(None) };
    let digest = format!("sha256:{digest}").parse().map_err(io::Error::other)?;
    let text = if fits { String::from_utf8(kept).ok() } else { None };
    Ok(Some(Content { digest, text }))
}

/// The SHA-256 of a file in hexadecimal digits; `each` receives every chunk that is hashed. None: the file is longer than
/// `limit` bytes.
pub(crate) fn sha256_of(
    mut file: File,
    limit: u64,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Option<String>> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(format!("{:x}", hash.finalize()))),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        length += count as u64;
        if length > limit {
            return Ok(None);
        }
        hash.update(&buffer[..count]);
        each(&buffer[..count])?;
    }
}
