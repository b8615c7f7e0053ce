//! Waits until the objects of a stage are ready by the rules of kstatus.

use crate::api::client::Client;
use crate::api::concurrency::MAX_CONCURRENT;
use crate::api::key::{ObjectKey, by_key};
use crate::api::resource::ApiResource;
use crate::error::Error;
use crate::error::readiness::ReadinessError;
use crate::progress::{Progress, ProgressSink};
use crate::readiness::explain::{explain, waits_for_first_consumer};
use crate::readiness::job_logs::{job_logs, secret_values};
use crate::readiness::kstatus::{State, Status, status};
use crate::release::applyset::PART_OF;
use crate::release::lease::LeaseGuard;
use crate::release::record::EntryPhase;
use crate::release::stored::StoredRelease;
use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use thinkube_plan::{ObjectRef, SecretInputs};
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(300);
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// An explanation reads pods and events: several requests for each object.
const EXPLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Where the logs of a failed Job go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogsTo {
    /// Into the error.
    Error,
    /// Into the progress only: the error of an apply is recorded, and the record holds no output of a container.
    Progress,
}

/// What a wait needs of its apply.
pub(crate) struct WaitContext<'a> {
    pub(crate) client: &'a Client,
    pub(crate) applyset: &'a str,
    pub(crate) stage: &'a str,
    pub(crate) timeout: Duration,
    pub(crate) lease: &'a LeaseGuard,
    pub(crate) inputs: &'a SecretInputs,
    pub(crate) logs_to: LogsTo,
    pub(crate) progress: ProgressSink<'a>,
}

/// A wait for objects.
pub(crate) struct Waiter<'a> {
    context: WaitContext<'a>,
    /// The release's objects as they were read last. Holds the values of Secrets.
    live: &'a mut HashMap<ObjectKey, Value>,
    /// The record in memory. An object that became ready is marked at once, because a cancelled wait returns nothing.
    stored: &'a mut StoredRelease,
    pending: Vec<Pending>,
    started: Instant,
    explained_at: Instant,
    /// The cluster's StorageClasses, read when a PersistentVolumeClaim is pending.
    storage_classes: Option<Vec<Value>>,
    /// The last report, so that only a change is reported.
    reported: Vec<(ObjectRef, String)>,
}

/// An object that is not ready.
struct Pending {
    kind: ApiResource,
    object: ObjectRef,
    /// The present state by kstatus.
    message: String,
    failed: bool,
    /// The reasons of the last explanation, the most telling first.
    reasons: Vec<String>,
}

impl<'a> Waiter<'a> {
    pub(crate) fn new(
        context: WaitContext<'a>,
        objects: impl IntoIterator<Item = (ApiResource, ObjectRef)>,
        live: &'a mut HashMap<ObjectKey, Value>,
        stored: &'a mut StoredRelease,
    ) -> Self {
        let started = Instant::now();
        let mut waiter = Self {
            context,
            live,
            stored,
            pending: Vec::new(),
            started,
            explained_at: started,
            storage_classes: None,
            reported: Vec::new(),
        };
        for (kind, object) in objects {
            let key = ObjectKey::of(&object);
            let now = waiter.context.client.now();
            // An object that was not written and does not exist is a Job that finished and that its TTL deleted.
            if waiter.live.get(&key).is_none_or(|live| status(live, now).state == State::Current) {
                waiter.mark_ready(&key);
            } else {
                let (message, reasons) = (String::new(), Vec::new());
                waiter.pending.push(Pending { kind, object, message, failed: false, reasons });
            }
        }
        waiter
    }

    /// Waits.
    ///
    /// # Errors
    /// [`ReadinessError::NotReady`] at the timeout, and at once when an object has failed for good;
    /// [`ApiError::LostRace`](crate::ApiError::LostRace) if the Lease is lost; or why the cluster could not be read.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut pause = FIRST_PAUSE;
        while !self.pending.is_empty() {
            self.context.lease.check()?;
            self.refresh().await?;
            self.poll().await;
            if self.pending.is_empty() {
                break;
            }
            let timed_out = self.started.elapsed() >= self.context.timeout;
            if timed_out || self.has_failed() || self.explained_at.elapsed() >= EXPLAIN_INTERVAL {
                self.explain().await;
            }
            if self.has_failed() {
                self.read_logs().await;
            }
            if timed_out || self.has_failed() {
                return Err(self.not_ready().into());
            }
            self.report();
            let left = self.context.timeout.saturating_sub(self.started.elapsed());
            tokio::time::sleep(pause.min(left)).await;
            pause = pause.mul_f64(1.4).min(MAX_PAUSE);
        }
        Ok(())
    }

    /// Reads the pending objects: one LIST for each kind and namespace.
    async fn refresh(&mut self) -> Result<(), Error> {
        let mut scopes: BTreeMap<(ApiResource, Option<String>), Vec<ObjectKey>> = BTreeMap::new();
        for pending in &self.pending {
            let scope = (pending.kind.clone(), pending.object.namespace.clone());
            scopes.entry(scope).or_default().push(ObjectKey::of(&pending.object));
        }
        let selector = format!("{PART_OF}={}", self.context.applyset);
        let client = self.context.client;
        let lists = stream::iter(scopes).map(|((kind, namespace), keys)| {
            let selectors = [("labelSelector", selector.as_str())];
            async move { (keys, client.list(&kind, namespace.as_deref(), &selectors, false).await) }
        });
        let lists: Vec<_> = lists.buffer_unordered(MAX_CONCURRENT).collect().await;
        for (keys, listed) in lists {
            let mut found = by_key(listed?);
            for key in keys {
                match found.remove(&key) {
                    Some(object) => self.live.insert(key, object),
                    None => self.live.remove(&key),
                };
            }
        }
        Ok(())
    }

    /// Moves the objects that are ready out of `pending`.
    async fn poll(&mut self) {
        for mut pending in std::mem::take(&mut self.pending) {
            let status = self.status(&pending).await;
            if status.state == State::Current {
                self.mark_ready(&ObjectKey::of(&pending.object));
                let after = self.started.elapsed();
                (self.context.progress)(Progress::Ready { object: pending.object, after });
                continue;
            }
            pending.failed = status.state == State::Failed;
            pending.message = status.message;
            self.pending.push(pending);
        }
    }

    fn mark_ready(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.stored.entry_mut(key).filter(|entry| entry.phase == EntryPhase::Applied) {
            entry.phase = EntryPhase::Ready;
        }
    }

    async fn status(&mut self, pending: &Pending) -> Status {
        let client = self.context.client;
        let Some(live) = self.live.get(&ObjectKey::of(&pending.object)) else {
            // A Job that started and does not exist finished, and its TTL deleted it.
            return if pending.kind.is("batch", "Job") {
                Status { state: State::Current, message: "finished and deleted by its TTL".into() }
            } else {
                Status { state: State::InProgress, message: "it does not exist any more".into() }
            };
        };
        let status = status(live, client.now());
        if status.state == State::InProgress
            && pending.kind.is_pvc()
            && waits_for_first_consumer(client, live, &mut self.storage_classes).await
        {
            return Status { state: State::Current, message: "bound when a pod uses it".into() };
        }
        status
    }

    fn has_failed(&self) -> bool {
        self.pending.iter().any(|pending| pending.failed)
    }

    async fn explain(&mut self) {
        self.explained_at = Instant::now();
        for pending in &mut self.pending {
            if let Some(live) = self.live.get(&ObjectKey::of(&pending.object)) {
                let explanation = explain(self.context.client, live).await;
                pending.failed |= explanation.hopeless;
                pending.reasons = explanation.reasons;
            }
        }
    }

    async fn read_logs(&mut self) {
        let secrets = secret_values(self.context.inputs, self.live.values());
        for pending in self.pending.iter_mut().filter(|pending| pending.failed) {
            let Some(job) = self.live.get(&ObjectKey::of(&pending.object)) else { continue };
            let lines = job_logs(self.context.client, job, &secrets).await;
            match self.context.logs_to {
                LogsTo::Error => pending.reasons.extend(lines),
                LogsTo::Progress => lines.into_iter().for_each(|line| {
                    (self.context.progress)(Progress::Warning(format!("{}: {line}", pending.object)));
                }),
            }
        }
    }

    fn not_ready(&mut self) -> ReadinessError {
        let failed = self.has_failed();
        let reasons = |pending: Pending| {
            let reasons = std::iter::once(pending.message).chain(pending.reasons);
            (pending.object, reasons.collect())
        };
        ReadinessError::NotReady {
            stage: self.context.stage.to_owned(),
            after: self.started.elapsed(),
            failed,
            objects: std::mem::take(&mut self.pending).into_iter().map(reasons).collect(),
        }
    }

    fn report(&mut self) {
        let line = |pending: &Pending| {
            let reason = pending.reasons.first().map(|reason| format!("; {reason}")).unwrap_or_default();
            (pending.object.clone(), format!("{}{reason}", pending.message))
        };
        let lines: Vec<(ObjectRef, String)> = self.pending.iter().map(line).collect();
        if lines != self.reported {
            self.reported.clone_from(&lines);
            (self.context.progress)(Progress::Waiting { objects: lines });
        }
    }
}
