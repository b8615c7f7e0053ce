//! The name of a release.

use crate::error::release::ReleaseError;
use thinkube_plan::{MAX_RELEASE_NAME, is_release_name};

/// Checks that a name is a DNS label (RFC 1123) of at most 53 characters.
///
/// # Errors
/// [`ReleaseError::InvalidName`].
pub(crate) fn check_release_name(name: &str) -> Result<(), ReleaseError> {
    if is_release_name(name) {
        return Ok(());
    }
    Err(ReleaseError::InvalidName { name: name.to_owned(), max: MAX_RELEASE_NAME })
}
