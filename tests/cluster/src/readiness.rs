//! The answer to the question whether a server does its work.

/// Whether a server, or something that is waited for, is ready.
pub(crate) enum Readiness {
    Ready,
    /// With what was found instead.
    NotReady(String),
}
