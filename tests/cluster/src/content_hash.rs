//! Names for content.

use sha2::{Digest, Sha256};

/// SHA-256 over the parts, each with its length, in hexadecimal.
pub(crate) fn content_hash(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
