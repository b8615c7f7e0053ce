//! The SDK for authors of thinkube plugins.
//!
//! A plugin is a pure function from settings and facts about the cluster to a plan of Kubernetes objects and checks. A type
//! implements [`Plugin`], and [`export_plugin!`] exports it. Built for `wasm32-wasip2` the crate is a component. Built
//! natively it is an ordinary library, so that unit tests can call it: see [`testing`], which exists only on native targets.
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
//!     /// The text of the note.
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
//!         let exists = Check::object("note", "The note exists", &note);
//!         Ok(Plan::new().stage(Stage::new("note").object(note)).health(exists).into())
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
//! The documentation of [`Plan`], [`Check`] and the other types of the contract is that of the contract.

mod check;
mod context;
mod contract;
mod descriptor;
mod deserialize;

mod export;
mod external;
mod image;
pub mod log;
mod object;
mod operation;
mod plan;
mod plugin;
mod pod_files;
pub mod recipes;
mod secret;
mod template;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod workstation;

#[doc(hidden)]
pub mod bindings;

pub use context::{Context, ObjectFact};
pub use contract::{
    Answer, Check, Credentials, Dependency, Descriptor, Encoding, Expectation, Fact, FieldError, HttpMethod,
    HttpProbe, HttpTarget, Installed, KindPermission, ObjectRef, Observation, OnChange, OnUninstall,
    Operation, Outcome, Permission, Plan, Probe, Problem, Query, RandomText, Scope, SecretInput, SecretKey,
    Selection, ServiceTarget, Severity, Stage, Status, Step, TypeMeta, Verdict, WorkstationDirectory,
    WorkstationFile, WorkstationPlan,
};
#[doc(hidden)]
pub use export::Adapter;
pub use external::External;
pub use image::Image;
pub use k8s_openapi;
pub use object::Object;
pub use operation::{Arguments, Operations};
pub use plugin::{Evaluate, Plugin, default_from, schema_of};
pub use pod_files::PodFiles;
pub use schemars;
pub use secret::Secret;
pub use serde_json;
pub use template::{fill_text, template};
pub use workstation::Workstation;
#[doc(hidden)]
pub use workstation::WorkstationPlanOf;
