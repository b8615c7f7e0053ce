/// Why an effect outside the cluster could not be brought about. Every message says what, where, and what to do; none
/// holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What a plan asks for and nobody could do, found before anything was done.
    #[error("{what}: {message}")]
    Invalid {
        /// The step or check.
        what: String,
        /// What is wrong and what is expected.
        message: String,
    },
}
