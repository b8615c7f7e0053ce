//! What a plugin asks about the cluster, what it is told, and what it answers.

use crate::object::{ObjectRef, Selection, TypeMeta};
use crate::plan::PluginPlan;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A question of a plugin about the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Query {
    /// The state of one object.
    Object(ObjectRef),
    /// The objects that a selection has.
    Objects(Selection),
    /// Whether the API server serves this kind.
    Served(TypeMeta),
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(object) => object.fmt(f),
            Self::Objects(selection) => selection.fmt(f),
            Self::Served(kind) => write!(f, "whether {kind} is served"),
        }
    }
}

/// The answer to a query. A Secret comes without its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// The object does not exist.
    Absent,
    /// The object.
    Object(Value),
    /// The objects, in the order of namespace and name.
    Objects(Vec<Value>),
    /// Whether the kind is served.
    Served(bool),
}

/// A query with its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fact {
    /// The question.
    pub query: Query,
    /// The answer of the cluster.
    pub answer: Answer,
}

/// Everything that a plugin's plan may depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// The release's name.
    pub release: String,
    /// The release's own namespace.
    pub namespace: String,
    /// Valid by the plugin's schema, with the defaults filled in.
    pub settings: Value,
    /// The questions that have been answered so far.
    pub facts: Vec<Fact>,
    /// Major and minor, for example `1.34`.
    pub kubernetes_version: String,
    /// The release's present revision; None before the first apply.
    pub installed: Option<Installed>,
}

/// A release that is installed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Installed {
    /// The plugin's version.
    pub version: String,
    /// The settings of its last apply, with the defaults filled in.
    pub settings: Value,
    /// The revision, counted from 1.
    pub revision: u32,
}

/// What a plugin answers when it is asked for a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The plugin needs the answers to these questions first.
    NeedsFacts(Vec<Query>),
    /// The plan.
    Plan(PluginPlan),
}

/// Why a plugin cannot plan. This is an answer of the plugin, not a failure of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The settings do not fit each other.
    InvalidSettings {
        /// JSON Pointer into the settings.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// The cluster lacks something.
    UnmetRequirement(String),
    /// Anything else.
    Other(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSettings { path, message } => write!(f, "setting {path}: {message}"),
            Self::UnmetRequirement(message) | Self::Other(message) => f.write_str(message),
        }
    }
}
