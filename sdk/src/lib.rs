//! For authors of thinkube plugins.
//!
//! A plugin is a pure function: settings and facts about the cluster go in, a plan of Kubernetes objects and checks
//! comes out. It implements [`Plugin`], names the type in [`export_plugin!`], and is a component when it is built for
//! `wasm32-wasip2`. Built for the machine at hand it is an ordinary library, so `plan` runs in a unit test: see
//! [`testing`], which is only there on such a target.
//!
//! ```
//! use thinkube_sdk::k8s_openapi::api::core::v1::ConfigMap;
//! use thinkube_sdk::{
//!     Check, Context, Descriptor, TypeMeta, Object, Outcome, Plan, Plugin, Problem, Scope, Stage, export_plugin,
//! };
//!
//! /// What the operator can set.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     /// The text to keep.
//!     text: String,
//! }
//!
//! struct Note;
//!
//! impl Plugin for Note {
//!     type Settings = Settings;
//!
//!     fn describe() -> Descriptor {
//!         Descriptor::new("note", "1.0.0").emits(TypeMeta::of::<ConfigMap>(), Scope::OwnNamespace)
//!     }
//!
//!     fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
//!         let note = Object::of(&serde_json::json!({
//!             "apiVersion": "v1", "kind": "ConfigMap",
//!             "metadata": {"name": "note", "namespace": context.namespace},
//!             "data": {"text": context.settings.text},
//!         }));
//!         let kept = Check::object("note", "The note is there", &note);
//!         Ok(Plan::new().stage(Stage::new("note").object(note)).health(kept).into())
//!     }
//! }
//!
//! export_plugin!(Note);
//!
//! # #[cfg(not(target_family = "wasm"))] {
//! let planned = thinkube_sdk::testing::plan::<Note>(serde_json::json!({"text": "hello"}));
//! assert_eq!(planned.object("ConfigMap", "note")["data"]["text"], "hello");
//! # }
//! ```
//!
//! What the contract's types mean is written in the contract; its words are the documentation of [`Plan`],
//! [`Check`] and the others.

mod check;
mod context;
mod descriptor;
mod export;
mod external;
mod given;
mod image;
pub mod log;
mod object;
mod operation;
mod plan;
mod pod_files;
pub mod recipes;
mod secret;
mod template;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod workstation;

#[doc(hidden)]
pub mod bindings;

pub use bindings::checks::exports::thinkube::plugin::checks::{Observation, Status, Verdict};
pub use bindings::operations::exports::thinkube::plugin::operations::Operation;
pub use bindings::plugin::exports::thinkube::plugin::lifecycle::{
    Dependency, Descriptor, KindPermission, Permission, Scope, SecretInput,
};
pub use bindings::plugin::thinkube::plugin::plan::{
    Check, Credentials, Encoding, Expectation, HttpMethod, HttpProbe, HttpTarget, OnChange, OnUninstall,
    Outcome, Plan, Probe, RandomText, ServiceTarget, Severity, Stage, Step,
};
pub use bindings::plugin::thinkube::plugin::types::{
    Answer, Fact, FieldError, Installed, ObjectRef, Problem, Query, SecretKey, Selection, TypeMeta,
};
pub use bindings::workstation::exports::thinkube::plugin::workstation::{
    WorkstationDirectory, WorkstationFile, WorkstationPlan,
};
pub use context::Context;
#[doc(hidden)]
pub use export::Adapter;
pub use external::External;
pub use image::Image;
pub use k8s_openapi;
pub use object::Object;
pub use operation::{Arguments, Operations};
pub use pod_files::PodFiles;
pub use schemars;
pub use secret::Secret;
pub use serde_json;
pub use template::template;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;

/// What an author writes. Both functions are pure: the same input gives the same output.
pub trait Plugin {
    /// What the operator can set. Every field needs a comment, which the operator reads; a field that may be left out
    /// needs `#[serde(default = "…")]`. Say `#[serde(deny_unknown_fields)]`, or a misspelt setting is ignored.
    type Settings: DeserializeOwned + JsonSchema;

    /// Says what the plugin is, what it depends on and what it asks to be allowed.
    fn describe() -> Descriptor;

    /// Answers what is wanted in the cluster, or which facts are needed to say it.
    ///
    /// # Errors
    /// A [`Problem`] when there is no plan for these settings or this cluster.
    fn plan(context: &Context<Self::Settings>) -> Result<Outcome, Problem>;

    /// The JSON Schema of the settings, made from their type. A plugin that must be small can return a schema that it
    /// made beforehand: the code that makes one is about 60 KB.
    fn settings_schema() -> String {
        schema_of::<Self::Settings>()
    }
}

/// The optional part of the contract for checks that CEL cannot say: `export_plugin!(X, checks)`.
pub trait Evaluate {
    /// Judges what the host observed for a check that expects [`Expectation::Evaluate`].
    fn evaluate(observation: Observation) -> Verdict;
}

/// The optional part of the contract for the home of an operator or a developer: `export_plugin!(X, workstation)`.
pub trait Workstation: Plugin {
    /// Answers what is wanted in a home. It is pure as [`Plugin::plan`] is, and knows no facts: there may be no cluster.
    /// No secret can be in it, for none is known here.
    ///
    /// # Errors
    /// A [`Problem`] when there is no setup for these settings.
    fn plan_workstation(context: &Context<Self::Settings>) -> Result<WorkstationPlan, Problem>;
}

#[doc(hidden)]
pub type WorkstationPlanOf<P> = fn(&Context<<P as Plugin>::Settings>) -> Result<WorkstationPlan, Problem>;

/// Marks a setting that may be left out, because the host then works it out of others:
/// `#[serde(default)] #[schemars(transform = default_from("devpi.${domain_name}"))] host: String`. `${NAME}` is a setting's
/// value, `${NAME:dashed}` with a dash for each dot, `$$` a dollar sign. The conditions of permissions, `${NAME:if}` and
/// `${NAME:unless}`, are refused here.
pub fn default_from(text: &'static str) -> impl FnMut(&mut schemars::Schema) {
    move |schema| {
        // What serde would fill in is not what the operator gets.
        schema.remove("default");
        schema.insert("x-thinkube-default".to_owned(), text.into());
    }
}

/// The JSON Schema 2020-12 of a settings type, without references, so that every setting is said in one place.
pub fn schema_of<S: JsonSchema>() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<S>();
    schema.as_value().to_string()
}
