//! Operations: named day-2 plans.

use crate::bindings::operations::exports::thinkube::plugin::operations::Operation;
use crate::context::Context;
use crate::contract::{Outcome, Problem};
use crate::deserialize;
use crate::plugin::{Plugin, schema_of};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// Optional interface `operations`: `export_plugin!(X, operations)`. Both functions are pure.
pub trait Operations: Plugin {
    /// Lists the operations.
    fn operations() -> Vec<Operation>;

    /// Returns the plan of the named operation, or the queries whose answers it needs. The host calls it only with names
    /// that [`operations`](Self::operations) lists. The contract says what such a plan may hold.
    ///
    /// # Errors
    /// A [`Problem`] if these arguments or this cluster allow no plan.
    fn plan_operation(
        name: &str,
        arguments: Arguments,
        context: &Context<Self::Settings>,
    ) -> Result<Outcome, Problem>;
}

/// The arguments of an operation. The host has validated them against their schema and has filled in the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments(String);

impl Arguments {
    pub(crate) fn new(json: String) -> Self {
        Self(json)
    }

    /// Reads the arguments as the type that was given to [`Operation::arguments`].
    ///
    /// # Errors
    /// A [`Problem`] if they have another type.
    pub fn read<A: DeserializeOwned>(&self) -> Result<A, Problem> {
        deserialize::from_json(&self.0)
    }
}

/// ```
/// use thinkube_sdk::Operation;
///
/// /// Comments are shown to the operator.
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Backup {
///     /// The folder to write to.
///     folder: String,
/// }
///
/// let operation = Operation::new("backup", "Copy the database").arguments::<Backup>().secret_input("password");
/// assert!(operation.arguments_schema.contains("The folder to write to."));
/// ```
impl Operation {
    /// An operation without arguments and secret inputs. `name` is a DNS label; `title` is a short sentence that says what
    /// the operation does.
    pub fn new(name: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            secret_inputs: Vec::new(),
            arguments_schema: r#"{"type":"object","additionalProperties":false}"#.to_owned(),
        }
    }

    /// The type of the arguments. The same rules apply as to [`Plugin::Settings`].
    pub fn arguments<A: JsonSchema>(mut self) -> Self {
        self.arguments_schema = schema_of::<A>();
        self
    }

    /// A secret input of the descriptor that the operation uses.
    pub fn secret_input(mut self, name: impl Into<String>) -> Self {
        self.secret_inputs.push(name.into());
        self
    }
}
