//! The types of the contract, under short names: wit-bindgen generates them below long paths.

pub use crate::bindings::checks::exports::thinkube::plugin::checks::{Observation, Status, Verdict};
pub use crate::bindings::operations::exports::thinkube::plugin::operations::Operation;
pub use crate::bindings::plugin::exports::thinkube::plugin::lifecycle::{
    Dependency, Descriptor, KindPermission, Permission, Scope, SecretInput,
};
pub use crate::bindings::plugin::thinkube::plugin::plan::{
    Check, Credentials, Encoding, Expectation, HttpMethod, HttpProbe, HttpTarget, OnChange, OnUninstall,
    Outcome, Plan, Probe, RandomText, ServiceTarget, Severity, Stage, Step,
};
pub use crate::bindings::plugin::thinkube::plugin::types::{
    Answer, Fact, FieldError, Installed, ObjectRef, Problem, Query, SecretKey, Selection, TypeMeta,
};
pub use crate::bindings::workstation::exports::thinkube::plugin::workstation::{
    WorkstationDirectory, WorkstationFile, WorkstationPlan,
};
