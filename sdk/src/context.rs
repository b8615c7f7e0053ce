use crate::bindings::plugin::exports::thinkube::plugin::lifecycle;
use crate::{
    Answer, Fact, FieldError, Installed, ObjectRef, Outcome, Problem, Query, Selection, TypeMeta, given,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Everything that a plan may depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Context<S> {
    /// The release's name.
    pub release: String,
    /// The release's own namespace.
    pub namespace: String,
    /// What the operator set, checked against the schema and with its defaults filled in.
    pub settings: S,
    /// Major and minor, for example `1.34`.
    pub kubernetes_version: String,
    /// What is there now, on an upgrade.
    pub installed: Option<Installed>,
    facts: Vec<Fact>,
}

impl<S: DeserializeOwned> Context<S> {
    pub(crate) fn parse(context: lifecycle::Context) -> Result<Self, Problem> {
        let settings = given::read(&context.settings)?;
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
    /// Whether the cluster serves `kind`. None: not asked yet, so return [`Outcome::needs`] with this query.
    pub fn served(&self, kind: &TypeMeta) -> Option<bool> {
        let fact =
            self.facts.iter().find(|fact| matches!(&fact.query, Query::Served(asked) if asked == kind))?;
        Some(matches!(fact.answer, Answer::Served(true)))
    }

    /// The object, or `Some(None)` when there is none. None: not asked yet.
    pub fn object(&self, reference: &ObjectRef) -> Option<Option<Value>> {
        let asks = |query: &Query| matches!(query, Query::Object(asked) if asked == reference);
        match &self.facts.iter().find(|fact| asks(&fact.query))?.answer {
            Answer::Object(json) => Some(Some(parse(json))),
            _ => Some(None),
        }
    }

    /// The selected objects, ordered by namespace and name. None: not asked yet.
    pub fn objects(&self, selection: &Selection) -> Option<Vec<Value>> {
        let asks = |query: &Query| matches!(query, Query::Objects(asked) if asked == selection);
        match &self.facts.iter().find(|fact| asks(&fact.query))?.answer {
            Answer::Objects(objects) => Some(objects.iter().map(|json| parse(json)).collect()),
            _ => Some(Vec::new()),
        }
    }

    /// For a plugin that needs several facts: the outcome that asks for those not yet known, or None when all are.
    pub fn missing(&self, queries: impl IntoIterator<Item = Query>) -> Option<Outcome> {
        let known = |query: &Query| self.facts.iter().any(|fact| fact.query == *query);
        let missing: Vec<Query> = queries.into_iter().filter(|query| !known(query)).collect();
        (!missing.is_empty()).then_some(Outcome::NeedsFacts(missing))
    }
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).expect("the host answers with JSON text that it wrote itself")
}

impl Outcome {
    /// Asks the host for facts; `plan` is called again with the answers.
    pub fn needs_facts(queries: impl IntoIterator<Item = Query>) -> Self {
        Self::NeedsFacts(queries.into_iter().collect())
    }
}

impl Problem {
    /// The settings are wrong together. `path` is a JSON Pointer into them, for example `/api_hostname`.
    pub fn invalid_settings(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidSettings(FieldError { path: path.into(), message: message.into() })
    }

    /// The cluster lacks something; `message` says what to do.
    pub fn unmet_requirement(message: impl Into<String>) -> Self {
        Self::UnmetRequirement(message.into())
    }

    /// Anything else.
    pub fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }
}
