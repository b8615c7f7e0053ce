use crate::{ObjectRef, PluginPlan, Selection, TypeMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// What a plugin wants to know about the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Query {
    /// One object.
    Object(ObjectRef),
    /// Objects by label.
    Objects(Selection),
    /// Is this kind served?
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
    /// There is no such object.
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
    /// What was asked.
    pub query: Query,
    /// What the cluster said.
    pub answer: Answer,
}

/// Everything a plugin's `plan` may depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// The release's name.
    pub release: String,
    /// The release's own namespace.
    pub namespace: String,
    /// Checked against the plugin's schema, with its defaults filled in.
    pub settings: Value,
    /// What has been asked and answered so far.
    pub facts: Vec<Fact>,
    /// Major and minor, for example `1.34`.
    pub kubernetes_version: String,
    /// What is there now.
    pub installed: Option<Installed>,
}

/// What is installed under the release's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Installed {
    /// The plugin's version.
    pub version: String,
    /// The settings it was given.
    pub settings: Value,
    /// The release's revision, counted from 1.
    pub revision: u32,
}

/// What `plan` answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Ask again with these facts.
    NeedsFacts(Vec<Query>),
    /// The plan.
    Plan(PluginPlan),
}

/// Why a plugin cannot go on: its own words, not a failure of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The settings are wrong together.
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
