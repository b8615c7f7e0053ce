use crate::bindings::operations::exports::thinkube::plugin::operations::Operation;
use crate::{Context, Outcome, Plugin, Problem, given, schema_of};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// The optional part of the contract for day 2: `export_plugin!(X, operations)`. Both functions are pure.
pub trait Operations: Plugin {
    /// Says what there is.
    fn operations() -> Vec<Operation>;

    /// Answers what the operation of this name wants, or which facts are needed to say it. What a plan may do here is
    /// written at the contract's `operations`. The host asks only for operations of the list.
    ///
    /// # Errors
    /// A [`Problem`] when there is no plan for these arguments or this cluster.
    fn plan_operation(
        name: &str,
        arguments: Arguments,
        context: &Context<Self::Settings>,
    ) -> Result<Outcome, Problem>;
}

/// What the operator gave to an operation, checked against its schema and with the defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments(String);

impl Arguments {
    pub(crate) fn new(json: String) -> Self {
        Self(json)
    }

    /// The arguments as the type that [`Operation::arguments`] was told.
    ///
    /// # Errors
    /// A [`Problem`] if they are of another type.
    pub fn read<A: DeserializeOwned>(&self) -> Result<A, Problem> {
        given::read(&self.0)
    }
}

impl Operation {
    /// An operation without arguments and secret inputs. `name` is a DNS label; `title` says what it does, as a short
    /// sentence.
    pub fn new(name: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            secret_inputs: Vec::new(),
            arguments_schema: r#"{"type":"object","additionalProperties":false}"#.to_owned(),
        }
    }

    /// The type of its arguments, as [`Plugin::Settings`] is that of the settings.
    pub fn arguments<A: JsonSchema>(mut self) -> Self {
        self.arguments_schema = schema_of::<A>();
        self
    }

    /// A secret input of the descriptor that it uses.
    pub fn secret_input(mut self, name: impl Into<String>) -> Self {
        self.secret_inputs.push(name.into());
        self
    }
}
