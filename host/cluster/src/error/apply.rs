//! Why the server refuses an object.

use std::fmt;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, ObjectRef};

/// A field that another manager owns.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldConflict {
    /// The field, as the server writes it: `.spec.replicas`.
    pub field: String,
    /// The manager that owns it: `kubectl (subresource scale)`.
    pub manager: String,
}

/// Why the server refuses an object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The object is invalid.
    #[error("{object}: the server rejects the object ({code}): {message}")]
    Rejected {
        /// The object.
        object: Box<ObjectRef>,
        /// The HTTP status.
        code: u16,
        /// The fields that the server names.
        fields: Vec<String>,
        /// The server's message. Masked for a confidential object: the server may quote a value.
        message: String,
    },
    /// An admission policy, a webhook or a quota denies the object.
    #[error("{object}: an admission policy of the cluster denies the request: {message}")]
    Denied {
        /// The object.
        object: Box<ObjectRef>,
        /// The policy's message.
        message: String,
    },
    /// Immutable fields would change.
    #[error("{object}: {} cannot be changed once set", fields.join(", "))]
    Immutable {
        /// The object.
        object: Box<ObjectRef>,
        /// The fields.
        fields: Vec<String>,
    },
    /// Other field managers own fields that the plan sets.
    #[error(fmt = conflict)]
    Conflict {
        /// The object.
        object: Box<ObjectRef>,
        /// The fields and their managers.
        fields: Vec<FieldConflict>,
    },
}

impl Diagnostic for ApplyError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Rejected { .. } => ErrorKind::Rejected,
            Self::Denied { .. } => ErrorKind::AdmissionDenied,
            Self::Immutable { .. } => ErrorKind::Immutable,
            Self::Conflict { .. } => ErrorKind::Conflict,
        }
    }

    fn hint(&self) -> Option<Hint> {
        let advice = match self {
            Self::Rejected { .. } | Self::Denied { .. } => return None,
            Self::Immutable { .. } => {
                "delete the object with kubectl, or have the plugin declare it `on-change: recreate`"
            }
            Self::Conflict { .. } => {
                "have the other manager give up the fields, or leave them out of the plan"
            }
        };
        Some(Hint::Advice(advice.into()))
    }
}

fn conflict(object: &ObjectRef, fields: &[FieldConflict], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{object}: other managers own fields that the plan sets; the host does not force them:")?;
    let width = fields.iter().map(|conflict| conflict.field.len()).max().unwrap_or(0);
    for conflict in fields {
        write!(f, "\n  {:width$}  owned by {}", conflict.field, conflict.manager)?;
    }
    Ok(())
}
