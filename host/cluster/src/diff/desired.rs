//! A planned object as it is sent to the server. Composed Secrets are in memory only.

use crate::api::client::Client;
use crate::api::resource::{ApiResource, check_name};
use crate::diff::target::{Desired, Target};
use crate::error::Error;
use crate::error::api::ApiError;
use crate::error::diff::DiffError;
use crate::secrets::compose::{Sources, compose, copies, mirror};
use crate::secrets::value::{ComposeError, Copies, value_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map;
use thinkube_plan::{ObjectRef, SecretContent, SecretEntry, SecretStep, Values};

/// The field manager of the restart annotation. It is a manager of its own, so that the next apply neither removes the
/// annotation nor restarts the workload again.
pub(crate) const RESTART_MANAGER: &str = "thinkube-host-restart";
const RESTARTED_AT: &str = "thinkube.org/restarted-at";

/// Why an object cannot be sent.
pub(crate) enum DesiredError {
    /// A source of the object is missing or invalid.
    Compose(ComposeError),
    /// The cluster could not be read.
    Read(Error),
}

impl From<ComposeError> for DesiredError {
    fn from(error: ComposeError) -> Self {
        Self::Compose(error)
    }
}

impl From<ApiError> for DesiredError {
    fn from(error: ApiError) -> Self {
        Self::Read(error.into())
    }
}

impl DesiredError {
    /// The error with the target's stage and name.
    pub(crate) fn of(self, target: &Target) -> Error {
        match self {
            Self::Compose(error) => compose_error(target, &error),
            Self::Read(error) => error,
        }
    }
}

/// What it takes to compose the objects of one release.
pub(crate) struct Composer<'a> {
    pub(crate) client: &'a Client,
    pub(crate) applyset: &'a str,
    pub(crate) values: &'a Values,
    /// Whether random values of Secrets are generated where none exists.
    pub(crate) generate: bool,
}

impl Composer<'_> {
    /// The object as it is sent. `live` is the object in the cluster.
    pub(crate) async fn desired(&self, target: &Target, live: Option<&Value>) -> Result<Value, DesiredError> {
        match &target.desired {
            Desired::Secret(step) => self.secret(step, live).await,
            Desired::Restart => self.restart(&target.object, live),
            Desired::Manifest(manifest) => Ok(manifest.clone()),
            Desired::Templated(_) => Ok(target.bound_manifest(self.applyset, &self.values.outputs)?),
        }
    }

    async fn secret(&self, step: &SecretStep, live: Option<&Value>) -> Result<Value, DesiredError> {
        match &step.content {
            SecretContent::Entries(entries) => {
                let copies = self.read_copies(entries).await?;
                let sources = Sources { values: self.values, live, copies: &copies, generate: self.generate };
                Ok(compose(step, entries, self.applyset, &sources)?)
            }
            SecretContent::Mirror(source) => {
                let namespace = source.namespace.as_deref().unwrap_or_default();
                check_name("Namespace", namespace)?;
                let found = self.client.get(&ApiResource::secret(), Some(namespace), &source.name).await?;
                Ok(mirror(step, self.applyset, source, found.as_ref())?)
            }
        }
    }

    async fn read_copies(&self, entries: &[SecretEntry]) -> Result<Copies, DesiredError> {
        let mut values = Copies::new();
        let mut read: BTreeMap<(&str, &str), Option<Value>> = BTreeMap::new();
        for source in copies(entries) {
            let place = (source.namespace.as_str(), source.name.as_str());
            if let btree_map::Entry::Vacant(vacant) = read.entry(place) {
                check_name("Namespace", &source.namespace)?;
                let kind = ApiResource::secret();
                vacant.insert(self.client.get(&kind, Some(&source.namespace), &source.name).await?);
            }
            if let Some(Some(secret)) = read.get(&place)
                && let Some(value) = value_of(secret, &source.key)
            {
                values.insert((source.namespace.clone(), source.name.clone(), source.key.clone()), value);
            }
        }
        Ok(values)
    }

    /// The patch of `kubectl rollout restart`. With the UID the server does not create a workload that was deleted meanwhile.
    fn restart(&self, object: &ObjectRef, live: Option<&Value>) -> Result<Value, DesiredError> {
        let live = live.ok_or(ComposeError::Restart)?;
        Ok(json!({
            "apiVersion": object.api_version, "kind": object.kind,
            "metadata": {"name": object.name, "namespace": object.namespace, "uid": live["metadata"]["uid"]},
            "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: self.client.now().to_string()}}}},
        }))
    }
}

/// A [`ComposeError`] with the target's stage and name.
pub(crate) fn compose_error(target: &Target, error: &ComposeError) -> Error {
    let (stage, object) = (&target.stage_name, &target.object);
    if let ComposeError::Input { key, input } = error {
        return Error::Diff(DiffError::MissingInput {
            stage: stage.clone(),
            object: Box::new(object.clone()),
            key: key.clone(),
            input: input.clone(),
        });
    }
    Error::Diff(DiffError::invalid(stage, object.to_string(), error.to_string()))
}
