//! The inputs of a plan: settings, facts and the installed release.

use crate::bindings::plugin::exports::thinkube::plugin::lifecycle;
use crate::contract::{
    Answer, Fact, FieldError, Installed, ObjectRef, Outcome, Problem, Query, Selection, TypeMeta,
};
use crate::deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Every input of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Context<S> {
    /// The name of the release.
    pub release: String,
    /// The namespace of the release.
    pub namespace: String,
    /// The operator's settings. The host has validated them against the schema and has filled in the defaults.
    pub settings: S,
    /// Major and minor, for example `1.34`.
    pub kubernetes_version: String,
    /// The installed revision of the release. None on the first install.
    pub installed: Option<Installed>,
    facts: Vec<Fact>,
}

/// What a plugin knows about an object.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectFact {
    /// The fact is not known yet: return [`Outcome::needs_facts`] with the query.
    Unknown,
    /// The object does not exist.
    Absent,
    /// The object. A Secret has the names of its keys, as `keys`, instead of data.
    Present(Value),
}

impl<S: DeserializeOwned> Context<S> {
    pub(crate) fn parse(context: lifecycle::Context) -> Result<Self, Problem> {
        let settings = deserialize::from_json(&context.settings)?;
        Ok(Self {
            release: context.release,
            namespace: context.namespace,
            settings,
            kubernetes_version: context.kubernetes_version,
            installed: context.installed,
            facts: context.facts,
        })
    }
}

impl<S> Context<S> {
    /// Whether the cluster serves `kind`. None: the fact is not known yet; return [`Outcome::needs_facts`] with the query.
    pub fn served(&self, kind: &TypeMeta) -> Option<bool> {
        let fact =
            self.facts.iter().find(|fact| matches!(&fact.query, Query::Served(asked) if asked == kind))?;
        Some(matches!(fact.answer, Answer::Served(true)))
    }

    /// What is known about an object.
    pub fn object(&self, reference: &ObjectRef) -> ObjectFact {
        let asks = |query: &Query| matches!(query, Query::Object(asked) if asked == reference);
        match self.facts.iter().find(|fact| asks(&fact.query)).map(|fact| &fact.answer) {
            None => ObjectFact::Unknown,
            Some(Answer::Object(json)) => ObjectFact::Present(parse(json)),
            Some(_) => ObjectFact::Absent,
        }
    }

    /// The selected objects, ordered by namespace and name. None: the fact is not known yet.
    pub fn objects(&self, selection: &Selection) -> Option<Vec<Value>> {
        let asks = |query: &Query| matches!(query, Query::Objects(asked) if asked == selection);
        match &self.facts.iter().find(|fact| asks(&fact.query))?.answer {
            Answer::Objects(objects) => Some(objects.iter().map(|json| parse(json)).collect()),
            _ => Some(Vec::new()),
        }
    }

    /// The outcome that asks for those of the queries that have no answer yet. None: all have one.
    pub fn missing(&self, queries: impl IntoIterator<Item = Query>) -> Option<Outcome> {
        let known = |query: &Query| self.facts.iter().any(|fact| fact.query == *query);
        let missing: Vec<Query> = queries.into_iter().filter(|query| !known(query)).collect();
        (!missing.is_empty()).then_some(Outcome::NeedsFacts(missing))
    }
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).expect("the host answers with JSON text")
}

impl Outcome {
    /// Asks the host for facts. The host then calls the function again with the answers.
    pub fn needs_facts(queries: impl IntoIterator<Item = Query>) -> Self {
        Self::NeedsFacts(queries.into_iter().collect())
    }
}

impl Problem {
    /// The settings contradict each other. `path` is a JSON Pointer into them, for example `/api_hostname`.
    pub fn invalid_settings(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidSettings(FieldError { path: path.into(), message: message.into() })
    }

    /// The cluster lacks something. `message` says what to install or change.
    pub fn unmet_requirement(message: impl Into<String>) -> Self {
        Self::UnmetRequirement(message.into())
    }

    /// Any other reason.
    pub fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }
}
