//! The canonical bytes of a document and their digest. The same document has the same digest on every machine.

use crate::error::Error;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Compact JSON with the keys of every object sorted by their UTF-8 bytes.
///
/// The map of `serde_json::Value` sorts the keys as long as no crate enables its feature `preserve_order`; a test notices
/// when one does.
///
/// # Panics
/// If `value` has a map whose keys are not strings. No type of this crate has one.
pub fn canonical_bytes(value: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(value).expect("plan types have string keys only");
    value.to_string().into_bytes()
}

/// A SHA-256 digest in the form of OCI: `sha256:` and 64 lower-case hexadecimal digits.
///
/// ```
/// use thinkube_plan::Digest;
/// let digest = Digest::of(b"");
/// assert_eq!(digest.short(), "e3b0c44298fc");
/// assert_eq!(digest.to_string().parse::<Digest>()?, digest);
/// # Ok::<(), thinkube_plan::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{:x}", Sha256::digest(bytes)))
    }

    /// The 64 hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The first twelve hexadecimal digits, for people.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        let valid = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if valid { Ok(Self(text.to_owned())) } else { Err(Error::Digest(text.to_owned())) }
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_in_which_keys_were_written_does_not_change_the_bytes() {
        let one: serde_json::Value = serde_json::from_str(r#"{"b":1,"a":{"d":[2,1],"c":null}}"#).unwrap();
        assert_eq!(canonical_bytes(&one), br#"{"a":{"c":null,"d":[2,1]},"b":1}"#);
        assert_eq!(canonical_bytes(&one), canonical_bytes(&json!({"a":{"c":null,"d":[2,1]},"b":1})));
    }

    #[test]
    fn a_digest_reads_back_and_refuses_anything_else() {
        let digest = Digest::of(b"");
        assert_eq!(
            digest.to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        for wrong in ["", "sha256:", "sha256:E3B0", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
