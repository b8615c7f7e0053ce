//! Why an external resource is not as a plan wants it.

use crate::http::auth::AuthError;
use crate::http::error::Error as HttpError;
use crate::http::response::ResponseError;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, Untrusted};

/// Why an external resource cannot be observed, ensured or removed. `what` names the step, and its request as the plan writes
/// it; no message holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan's step cannot be carried out.
    #[error("{}: {}", Untrusted(.what), Untrusted(.message))]
    Invalid {
        /// The step.
        what: String,
        /// What is wrong and what is expected.
        message: String,
    },
    /// An earlier step has not yielded an output.
    #[error("{}: the output {} of step {} is missing", Untrusted(.what), Untrusted(.output), Untrusted(.step))]
    MissingOutput {
        /// The step.
        what: String,
        /// The earlier step.
        step: String,
        /// Its output.
        output: String,
    },
    /// A CEL expression has no result for the response.
    #[error("{}: {} in {}", Untrusted(.what), Untrusted(.message), Untrusted(.expression))]
    Select {
        /// The step, and the request.
        what: String,
        /// The expression.
        expression: String,
        /// Why.
        message: String,
    },
    /// The resource differs, and the plan has no request to update it.
    #[error("{}: the resource differs in {}, and the plan cannot update it", Untrusted(.what), joined(fields))]
    NoUpdate {
        /// The step.
        what: String,
        /// The fields that differ.
        fields: Vec<String>,
    },
    /// The server accepted the change, but the resource still differs.
    #[error("{}: the server accepted the change, but {} still differs", Untrusted(.what), joined(fields))]
    NotKept {
        /// The step.
        what: String,
        /// The fields that differ.
        fields: Vec<String>,
    },
    /// The server accepted the resource, or reports a conflict, but does not show the resource.
    #[error("{}: the server reports that the resource exists, but `find` and `select` do not find it", Untrusted(.what))]
    NotShown {
        /// The step.
        what: String,
    },
    /// The server accepted the deletion, but still shows the resource.
    #[error("{}: the server accepted the deletion, but the resource still exists", Untrusted(.what))]
    NotDeleted {
        /// The step.
        what: String,
    },
    /// There are no credentials.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The response is not a success.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// There is no response.
    #[error(transparent)]
    Http(#[from] HttpError),
}

fn joined(fields: &[String]) -> String {
    Untrusted(&fields.join(", ")).to_string()
}

impl Diagnostic for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } => ErrorKind::InvalidPlan,
            Self::MissingOutput { .. } => ErrorKind::MissingOutput,
            Self::Select { .. } => ErrorKind::UnexpectedResponse,
            Self::NoUpdate { .. } => ErrorKind::NotUpdatable,
            Self::NotKept { .. } | Self::NotShown { .. } => ErrorKind::NotKept,
            Self::NotDeleted { .. } => ErrorKind::NotGone,
            Self::Auth(error) => error.kind(),
            Self::Response(error) => error.kind(),
            Self::Http(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        let advice = match self {
            Self::NoUpdate { .. } => "change the resource by hand, or delete it and run the command again",
            Self::NotKept { .. } => {
                "ask the plugin's author: the server may store these fields in another form, or not at all"
            }
            Self::NotShown { .. } => "ask the plugin's author to correct `find` and `select`",
            Self::Auth(error) => return error.hint(),
            Self::Response(error) => return error.hint(),
            Self::Http(error) => return error.hint(),
            Self::Invalid { .. }
            | Self::MissingOutput { .. }
            | Self::Select { .. }
            | Self::NotDeleted { .. } => return None,
        };
        Some(Hint::Advice(advice.to_owned()))
    }
}
