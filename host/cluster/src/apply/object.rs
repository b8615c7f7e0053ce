//! Writes one object by server-side apply. An object that must be recreated is deleted only after the server has accepted
//! the new one in a dry run.

use crate::api::client::Client;
use crate::api::confidential::is_confidential;
use crate::api::request::ApiRequest;
use crate::api::response::ApiResponse;
use crate::api::status::StatusKind;
use crate::delete::objects::wait_gone;
use crate::diff::desired::{Composer, RESTART_MANAGER};
use crate::diff::managed_fields::fingerprint;
use crate::diff::rejection::{apply_error, could_be_created};
use crate::diff::release_diff::{ObjectDiff, PlannedObject};
use crate::diff::target::{Desired, Target};
use crate::error::Error;
use crate::progress::{Progress, ProgressSink};
use crate::release::applyset::PART_OF;
use crate::release::record::Fingerprint;
use serde_json::{Value, json};
use std::time::Duration;
use thinkube_plan::{Action, OnChange, Values};
use tokio::time::Instant;

/// How long a deleted object may take to disappear before it is created again.
const GONE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long dependents of a recreated object may take to be deleted.
const RECREATE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long the server may take to serve a kind whose definition it has just accepted.
const SERVED_TIMEOUT: Duration = Duration::from_secs(10);
const SERVED_PAUSE: Duration = Duration::from_millis(200);

/// An object after it was applied.
pub(super) struct AppliedObject {
    pub(super) index: usize,
    pub(super) live: Value,
    pub(super) action: Action,
    pub(super) fingerprint: Option<Fingerprint>,
}

/// What the writes of one apply have in common.
pub(super) struct ObjectWriter<'r> {
    pub(super) client: &'r Client,
    pub(super) progress: ProgressSink<'r>,
    pub(super) applyset: &'r str,
    pub(super) values: &'r Values,
}

impl ObjectWriter<'_> {
    /// Applies the object at `index`. `live` is the object as it was last read.
    pub(super) async fn apply(
        &self,
        index: usize,
        planned: &PlannedObject,
        live: Option<&Value>,
    ) -> Result<AppliedObject, Error> {
        let PlannedObject { target, diff, .. } = planned;
        let unwritten = |action: Action| {
            Ok(AppliedObject { index, live: live.cloned().unwrap_or_default(), action, fingerprint: None })
        };
        match diff {
            ObjectDiff::Unchanged => return unwritten(Action::Unchanged),
            ObjectDiff::Keep | ObjectDiff::Shared => return unwritten(Action::Keep),
            ObjectDiff::Create | ObjectDiff::Update | ObjectDiff::Skipped | ObjectDiff::NotOwned => {}
        }
        let is_terminating = |live: &&Value| live["metadata"]["deletionTimestamp"].is_string();
        if live.as_ref().is_some_and(is_terminating) {
            wait_gone(self.client, &target.kind, &target.object, GONE_TIMEOUT).await?;
        }
        let live = live.filter(|live| !is_terminating(live));
        let desired = self.desired(target, live.is_some()).await?;
        // Updating in place would drop our confidential annotation but keep keys another manager now owns, exposing them.
        if let Some(live) = live
            && is_confidential(live)
            && !target.is_confidential()
            && could_be_created(self.client, &target.kind, &target.object, &desired).await?
        {
            return self.recreate(index, target, live, &desired).await;
        }
        let response = self.send(target, &desired).await?;
        if response.status.kind == StatusKind::Success {
            return applied(index, target, &desired, &response);
        }
        if matches!(response.status.kind, StatusKind::InvalidFields(_))
            && target.on_change == OnChange::Recreate
            && !target.kind.holds_data()
            && let Some(live) = live
            && could_be_created(self.client, &target.kind, &target.object, &desired).await?
        {
            return self.recreate(index, target, live, &desired).await;
        }
        Err(apply_error(self.client, target, &desired, live.is_some(), response).await)
    }

    /// Sends the object, again while its new kind is not served yet.
    async fn send(&self, target: &Target, desired: &Value) -> Result<ApiResponse, Error> {
        let request = match target.desired {
            Desired::Restart => ApiRequest::apply_as(RESTART_MANAGER, &target.kind, &target.object, desired),
            _ => ApiRequest::apply(&target.kind, &target.object, desired, false),
        };
        let started = Instant::now();
        loop {
            let response = self.client.request(&request, self.progress).await?;
            let early = response.status.kind == StatusKind::NoSuchPath && target.own_kind;
            if !early || started.elapsed() > SERVED_TIMEOUT {
                return Ok(response);
            }
            tokio::time::sleep(SERVED_PAUSE).await;
        }
    }

    /// The object to send; for an adopted `create-only` object only the release's label.
    async fn desired(&self, target: &Target, exists: bool) -> Result<Value, Error> {
        let live = match &target.desired {
            Desired::Secret(_) | Desired::Restart => {
                let namespace = target.object.namespace.as_deref();
                self.client.get(&target.kind, namespace, &target.object.name).await?
            }
            _ if exists && target.on_change == OnChange::CreateOnly => {
                return Ok(json!({
                    "apiVersion": target.object.api_version, "kind": target.object.kind,
                    "metadata": {"name": target.object.name, "namespace": target.object.namespace,
                        "labels": {PART_OF: self.applyset}},
                }));
            }
            _ => None,
        };
        let composer =
            Composer { client: self.client, applyset: self.applyset, values: self.values, generate: true };
        composer.desired(target, live.as_ref()).await.map_err(|error| error.of(target))
    }

    /// Deletes an object by its UID, with its dependents, and waits until it is gone.
    pub(super) async fn delete(&self, target: &Target, live: &Value) -> Result<(), Error> {
        let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
        (self.progress)(Progress::Deleting { object: target.object.clone() });
        let request = ApiRequest::delete(&target.kind, &target.object, uid, "Foreground");
        let response = self.client.request(&request, self.progress).await?;
        if !matches!(response.status.kind, StatusKind::Success | StatusKind::NotFound { .. }) {
            return Err(self.client.error_from(&request, response).await.into());
        }
        wait_gone(self.client, &target.kind, &target.object, RECREATE_TIMEOUT).await
    }

    async fn recreate(
        &self,
        index: usize,
        target: &Target,
        live: &Value,
        desired: &Value,
    ) -> Result<AppliedObject, Error> {
        self.delete(target, live).await?;
        let request = ApiRequest::apply(&target.kind, &target.object, desired, false);
        let response = self.client.request(&request, self.progress).await?;
        if response.status.kind != StatusKind::Success {
            return Err(apply_error(self.client, target, desired, false, response).await);
        }
        let live = response.value("apply")?;
        let fingerprint = fingerprint(desired, &live);
        Ok(AppliedObject { index, live, action: Action::Recreate, fingerprint })
    }
}

fn applied(
    index: usize,
    target: &Target,
    desired: &Value,
    response: &ApiResponse,
) -> Result<AppliedObject, Error> {
    let live = response.value("apply")?;
    // The restart annotation has a field manager of its own, so the fingerprint of the object stays.
    if matches!(target.desired, Desired::Restart) {
        return Ok(AppliedObject { index, live, action: Action::Restart, fingerprint: None });
    }
    let action = if response.code == 201 { Action::Create } else { Action::Update };
    let fingerprint = fingerprint(desired, &live);
    Ok(AppliedObject { index, live, action, fingerprint })
}
