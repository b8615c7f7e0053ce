//! Carries out the checks of a plan, and reads the logs of a failed Job.

pub(crate) mod certificate;
pub(crate) mod credentials;
pub(crate) mod job_logs;
pub(crate) mod observe;
