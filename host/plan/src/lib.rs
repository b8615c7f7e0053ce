//! The typed plan of a release: what a plugin wants to exist, as a value that can be shown, compared,
//! judged and kept. Nothing here does I/O, and no plan ever holds a secret's value.
//!
//! The types mirror the contract in `wit/`; their serde form is the plan file that people and tools read.

mod canonical;
mod change;
mod check;
mod credentials;
mod descriptor;
mod diagnostic;
mod diff;
mod escape;
mod external;
mod facts;
mod fill;
mod grant_policy;
mod grants;
mod image;
mod nearest;
mod object;
mod operation;
mod path;
mod plan;
mod pod_files;
mod rules;
mod secret;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod workstation;

pub use canonical::{Digest, canonical_bytes};
pub use change::{Action, Change, ChangesByKind, ExternalRef, ImageBuild, PodFileRef, Subject};
pub use check::{
    Check, Encoding, Expectation, HttpMethod, HttpProbe, HttpTarget, Observation, Probe, ServiceTarget,
    Severity, Status, Verdict,
};
pub use credentials::{Credentials, faults as credential_faults};
pub use descriptor::{
    Dependency, Descriptor, Identity, KindPermission, Permission, Scope, SecretInput, widened,
};
pub use diagnostic::{Diagnostic, ErrorKind, FailureClass, Hint};
pub use diff::{FieldChange, FieldEdit, diff};
pub use escape::{Untrusted, UntrustedLines};
pub use external::{Part, Template, path_fault};
pub use facts::{Answer, Context, Fact, Installed, Outcome, Problem, Query};
pub use fill::{settings_in, with_settings};
pub use grant_policy::{CarriedGrants, GrantPolicy};
pub use grants::{Denial, Grants, connecting, lacking_for_image, permits_query};
pub use image::ImageName;
pub use nearest::{nearest, nearest_first};
pub use object::{ObjectRef, Selection, TypeMeta};
pub use operation::{Operation, borrowed, overlay};
pub use path::RelativePath;
pub use plan::{
    Auth, Binding, ExternalOutput, ExternalStep, GitSource, HttpRequest, ImageSource, ImageStep, ObjectStep,
    OnChange, OnUninstall, OutputRef, Plan, PluginPlan, PodFile, PodFilesStep, PodLine, RandomText,
    SecretContent, SecretEntry, SecretKey, SecretSource, SecretStep, Stage, Step,
};
pub use rules::{Fault, is_dns_label, validate_operation, validate_plan};
pub use secret::{Output, Outputs, SecretInputs, SecretText, Values};
pub use workstation::{
    PythonPackage, WorkstationDirectory, WorkstationFault, WorkstationFile, WorkstationPlan,
};

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
    /// A path could lead elsewhere than it seems to.
    #[error("{path:?} is no path in a folder: {message}")]
    Path {
        /// The path, cut where it is too long.
        path: String,
        /// What is wrong with it.
        message: &'static str,
    },
    /// A Python package is not pinned to one version.
    #[error("{0:?} is no Python package: expected NAME==VERSION")]
    PythonPackage(String),
    /// A destination of an image is not said in full.
    #[error(
        "{0:?} is no destination of an image: expected REGISTRY/REPOSITORY:TAG, the registry with a dot or a port"
    )]
    ImageName(String),
}
