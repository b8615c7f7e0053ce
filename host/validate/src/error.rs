//! Why a schema or an expression cannot be used. A value that a schema refuses is not an error but a fault.

use thinkube_plan::{Diagnostic, ErrorKind};

/// Why a schema or an expression cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plugin's settings schema is not a valid JSON Schema 2020-12.
    #[error("the plugin's settings schema is not a valid JSON Schema 2020-12: at {path}: {message}")]
    Schema {
        /// JSON Pointer into the schema.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A CEL expression is not valid or has no result. The message never repeats a value that the expression was applied to.
    #[error("{0}")]
    Expression(String),
}

impl Diagnostic for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Schema { .. } => ErrorKind::SettingsSchema,
            // An expression is part of the plan.
            Self::Expression(_) => ErrorKind::InvalidPlan,
        }
    }
}
