//! What a caller asks of a run: the options of an apply, an operation, an uninstall, and of checks.

use std::time::Duration;
use thinkube_cluster::{Adopt, UninstallOptions};
use thinkube_plan::Change;

/// The options of an apply or an operation.
pub struct ApplyRequest {
    /// The longest time that one stage may take to become ready.
    pub timeout: Duration,
    /// Existing objects and external resources that the release takes over.
    pub adopt: Vec<Adopt>,
    /// Names of preflight checks whose failure is only a warning; `all` is every one.
    pub ignore_preflight: Vec<String>,
    /// Whether to wait for readiness, gates and health.
    pub wait: bool,
    /// The changes of the preview that a person confirmed; empty if no preview was shown. An image whose source has
    /// changed since is not built.
    pub shown: Vec<Change>,
}

/// The options of an uninstall.
pub struct UninstallRequest {
    /// How to delete objects and pod files, and what to leave in place.
    pub objects: UninstallOptions,
    /// Whether images that the release built are deleted from their registries.
    pub delete_images: bool,
}

/// How often a check is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryPolicy {
    /// One attempt.
    Once,
    /// Until the check passes or its timeout is over.
    UntilTimeout,
}
