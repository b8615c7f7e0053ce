//! The name of a release.

use crate::error::release::ReleaseError;

/// The longest name, in characters: names of other objects are made from it, and a label's value has at most 63.
const MAX_NAME: usize = 53;

/// Checks that a name is a DNS label (RFC 1123) of at most 53 characters.
///
/// # Errors
/// [`ReleaseError::InvalidName`].
pub(crate) fn check_release_name(name: &str) -> Result<(), ReleaseError> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let valid = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if valid {
        return Ok(());
    }
    Err(ReleaseError::InvalidName { name: name.to_owned(), max: MAX_NAME })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_name_is_a_dns_label_of_at_most_53_characters() {
        for valid in ["devpi", "a", "a-1", &"a".repeat(53)] {
            assert!(check_release_name(valid).is_ok(), "{valid}");
        }
        for invalid in ["", "-a", "a-", "A", "a.b", "a/b", &"a".repeat(54)] {
            assert!(check_release_name(invalid).is_err(), "{invalid}");
        }
    }
}
