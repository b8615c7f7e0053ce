//! The typed plan of a release: what a plugin wants to exist, as a value that can be shown, compared, judged and recorded.
//! Nothing here does I/O, and no plan ever holds the value of a secret.
//!
//! The types mirror the contract in `wit/`; their serde form is the plan file that people and tools read.

mod change;
mod check;
mod descriptor;
mod diagnostic;
mod diff;
mod digest;
mod error;
mod escape;
mod facts;
mod name;
mod nearest;
mod object;
mod operation;
mod origin;
mod path;
mod permission;
mod plan;
mod python_package;
mod template;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod validate;
mod values;
mod workstation;

pub use change::{Action, Change, ChangesByKind, ExternalRef, ImageBuild, PodFileRef, Subject};
pub use check::{
    Check, Credentials, Expectation, HttpMethod, HttpProbe, HttpTarget, Observation, Probe, ServiceTarget,
    Severity, Status, Verdict,
};
pub use descriptor::{Dependency, Descriptor, SecretInput};
pub use diagnostic::{Diagnostic, ErrorKind, FailureClass, Hint};
pub use diff::{FieldChange, FieldEdit, diff};
pub use digest::{Digest, canonical_bytes};
pub use error::Error;
pub use escape::{Untrusted, UntrustedLines};
pub use facts::{Answer, Context, Fact, Installed, Outcome, Problem, Query};
pub use name::{MAX_RELEASE_NAME, is_dns_label, is_dns_subdomain, is_release_name, is_rfc1035_label};
pub use nearest::{nearest, nearest_first};
pub use object::{ObjectRef, Selection, TypeMeta};
pub use operation::{Operation, overlay, overridden_steps};
pub use origin::origin;
pub use path::RelativePath;
pub use permission::gate::{Denial, Grants, connect_permissions, missing_for_image, permits_query};
pub use permission::grant_policy::{CarriedGrants, GrantPolicy};
pub use permission::placeholder::{settings_in, with_settings};
pub use permission::{KindPermission, Permission, Scope, widened};
pub use plan::external::{
    Auth, ExternalOutput, ExternalStep, HttpRequest, RequestSegment, request_segments, url_path_fault,
};
pub use plan::image::{GitSource, ImageName, ImageSource, ImageStep};
pub use plan::object::{Binding, ObjectStep, OnChange, OnUninstall, OutputRef};
pub use plan::pod_files::{PodFile, PodFilesStep, PodLine};
pub use plan::secret::{
    Encoding, RandomText, SecretContent, SecretEntry, SecretKey, SecretSource, SecretStep,
};
pub use plan::stage::{Stage, Step};
pub use plan::{Identity, Plan, PluginPlan};
pub use python_package::PythonPackage;
pub use template::{Segment, Template, TemplateError};
pub use validate::credentials::credential_faults;
pub use validate::{Fault, validate_operation, validate_plan};
pub use values::{Output, Outputs, SecretInputs, SecretText, Values};
pub use workstation::{WorkstationDirectory, WorkstationFault, WorkstationFile, WorkstationPlan};
