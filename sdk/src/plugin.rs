//! The traits that a plugin implements, and the schema of its settings.

use crate::context::Context;
use crate::contract::{Descriptor, Observation, Outcome, Problem, Verdict};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;

/// A plugin. Both required functions are pure: the same input gives the same output.
pub trait Plugin {
    /// The settings. Every field needs a comment, which the operator reads. An optional field needs
    /// `#[serde(default = "…")]`. Add `#[serde(deny_unknown_fields)]`, or the host accepts misspelt settings.
    type Settings: DeserializeOwned + JsonSchema;

    /// Returns the identity of the plugin, its dependencies and the permissions it requests.
    fn describe() -> Descriptor;

    /// Returns the plan, or the queries whose answers it needs.
    ///
    /// # Errors
    /// A [`Problem`] if these settings or this cluster allow no plan.
    fn plan(context: &Context<Self::Settings>) -> Result<Outcome, Problem>;

    /// The JSON Schema of the settings, generated from their type. A plugin that must be small can return a schema that was
    /// generated before: the generator makes a component about 60 KB larger.
    fn settings_schema() -> String {
        schema_of::<Self::Settings>()
    }
}

/// Optional interface `checks`, for checks that CEL cannot express: `export_plugin!(X, checks)`.
pub trait Evaluate {
    /// Decides whether a check that expects [`Expectation::Evaluate`](crate::Expectation) passes. The function is pure.
    fn evaluate(observation: Observation) -> Verdict;
}

/// The default of a setting that the host derives from other settings:
/// `#[serde(default)] #[schemars(transform = default_from("devpi.${domain_name}"))] host: String`. `${NAME}` is the value of
/// a setting, `${NAME:dashed}` the value with a dash for each dot, `$$` a dollar sign. The host rejects `${NAME:if}` and
/// `${NAME:unless}`, which are only for permissions.
pub fn default_from(text: &'static str) -> impl FnMut(&mut schemars::Schema) {
    move |schema| {
        // schemars states serde's default, which the host must not fill in.
        schema.remove("default");
        schema.insert("x-thinkube-default".to_owned(), text.into());
    }
}

/// The JSON Schema 2020-12 of a settings type. It has no references, so that each setting is described in one place.
pub fn schema_of<S: JsonSchema>() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<S>();
    schema.as_value().to_string()
}
