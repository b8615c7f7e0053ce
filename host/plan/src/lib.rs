//! The typed plan of a release: what a plugin wants to exist, as a value that can be shown, compared,
//! judged and kept. Nothing here does I/O, and no plan ever holds a secret's value.
//!
//! The types mirror the contract in `wit/`; their serde form is the plan file that people and tools read.

mod canonical;
mod check;
mod descriptor;
mod diff;
mod facts;
mod grants;
mod object;
mod plan;
mod rules;
mod secret;

pub use canonical::{Digest, canonical_bytes};
pub use check::{
    Check, Encoding, Expectation, HttpMethod, HttpProbe, HttpTarget, Observation, Probe, ServiceTarget,
    Severity, Status, Verdict,
};
pub use descriptor::{
    Dependency, Descriptor, Identity, KindPermission, Permission, Scope, SecretInput, widened,
};
pub use diff::{Change, FieldChange, diff};
pub use facts::{Answer, Context, Fact, Installed, Outcome, Problem, Query};
pub use grants::{Denial, Grants, permits_query};
pub use object::{ObjectRef, Selection, TypeMeta};
pub use plan::{
    Auth, Binding, ExternalOutput, ExternalStep, GitSource, HttpRequest, ImageStep, ObjectStep, OnChange,
    OnUninstall, Outline, OutputRef, Plan, PodFile, PodFilesStep, PodLine, RandomText, SecretContent,
    SecretEntry, SecretKey, SecretSource, SecretStep, Stage, Step,
};
pub use rules::{Fault, check_outline, is_dns_label};
pub use secret::{Output, Outputs, SecretInputs, SecretText};

/// Why a document of this crate could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not the document that was expected.
    #[error("this is no {what}: {source}")]
    Malformed {
        /// What was expected, for example `grants file`.
        what: &'static str,
        /// What the parser said, with line and column.
        source: serde_json::Error,
    },
    /// A digest is not `sha256:` and 64 hexadecimal digits.
    #[error("`{0}` is no digest: expected `sha256:` and 64 hexadecimal digits")]
    Digest(String),
}
