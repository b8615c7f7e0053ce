//! Waiting for readiness, and saying why it takes long.

use crate::Error;
use crate::api::client::Cluster;
use crate::apply::run::Apply;
use crate::diff::compare::AT_ONCE;
use crate::diff::target::{ObjectKey, id};
use crate::discovery::{ApiResource, array};
use crate::progress::Event;
use crate::readiness::kstatus::{State, Status, status, told, troubled_containers};
use crate::release::applyset::PART_OF;
use crate::release::record::EntryPhase;
use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use thinkube_plan::ObjectRef;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(300);
const LATER: Duration = Duration::from_secs(2);
/// A look behind the object, at pods and events, costs several requests.
const EXPLAIN_EVERY: Duration = Duration::from_secs(5);
const MOST_REASONS: usize = 6;
/// A container that has crashed so often will not come up while somebody waits: kstatus gives it not even one.
const CRASHES: i64 = 5;

impl Apply<'_> {
    /// Waits until every object of a stage is ready by the rules of kstatus.
    ///
    /// # Errors
    /// [`Error::NotReady`] when the time is over, and at once when an object has failed for good.
    pub async fn wait(&mut self, index: usize, timeout: Duration) -> Result<(), Error> {
        let mine: Vec<usize> =
            (0..self.targets.len()).filter(|target| self.targets[*target].stage == index).collect();
        let name =
            self.targets.iter().find(|target| target.stage == index).map(|target| target.stage_name.clone());
        self.wait_for(&mine, &name.unwrap_or_default(), timeout).await
    }

    pub(crate) async fn wait_for(
        &mut self,
        mine: &[usize],
        stage: &str,
        timeout: Duration,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let mut pending: Vec<usize> = Vec::new();
        let mut ready = Vec::new();
        for index in mine {
            let target = &self.targets[*index];
            let settled = self.live.get(&target.id()).map(|live| status(live, self.cluster.now()));
            // What is not there any more, though nothing had to be written, is a Job that was done and cleaned up.
            match settled {
                None => ready.push((*index, false)),
                Some(status) if status.state == State::Current => ready.push((*index, false)),
                Some(_) => pending.push(*index),
            }
        }
        for (index, said) in ready {
            self.mark_ready(index, said.then(|| started.elapsed()));
        }
        let mut said = String::new();
        let mut explained: HashMap<ObjectKey, Vec<String>> = HashMap::new();
        let mut explained_at = started;
        let mut pause = FIRST;
        let mut classes: Option<Vec<Value>> = None;
        while !pending.is_empty() {
            self.check_claim()?;
            self.refresh(&pending).await?;
            let mut lines: Vec<(ObjectRef, String)> = Vec::new();
            let mut failures: Vec<usize> = Vec::new();
            let mut still = Vec::new();
            for index in pending.clone() {
                let target = &self.targets[index];
                let live = self.live.get(&target.id()).cloned();
                let mut state = match &live {
                    Some(live) => status(live, self.cluster.now()),
                    // A Job that has started and is not there any more was done and then cleaned up by its TTL.
                    None if target.kind.is("batch", "Job") => {
                        Status { state: State::Current, message: "done and cleaned up".into() }
                    }
                    None => Status { state: State::InProgress, message: "it is not there any more".into() },
                };
                if let Some(live) = live.as_ref().filter(|_| state.state == State::InProgress)
                    && target.kind.is_claim()
                    && self.cluster.binds_late(live, &mut classes).await
                {
                    let message = "bound when a pod uses it".to_owned();
                    state = Status { state: State::Current, message };
                }
                match state.state {
                    State::Current => {
                        self.mark_ready(index, Some(started.elapsed()));
                        continue;
                    }
                    State::Failed => failures.push(index),
                    State::InProgress | State::Terminating => {}
                }
                lines.push((self.targets[index].object.clone(), state.message));
                still.push(index);
            }
            pending = still;
            if pending.is_empty() {
                break;
            }
            let over = started.elapsed() >= timeout;
            if over || !failures.is_empty() || explained_at.elapsed() >= EXPLAIN_EVERY {
                explained_at = Instant::now();
                for index in &pending {
                    let target = &self.targets[*index];
                    let Some(live) = self.live.get(&target.id()) else { continue };
                    let (reasons, hopeless) = self.cluster.explain(live).await;
                    if hopeless && !failures.contains(index) {
                        failures.push(*index);
                    }
                    explained.insert(target.id(), reasons);
                }
            }
            for index in &failures {
                let target = &self.targets[*index];
                let Some(job) = self.live.get(&target.id()) else { continue };
                let words = self.last_words(job).await;
                if self.operation {
                    explained.entry(target.id()).or_default().extend(words);
                } else {
                    // The error of an apply goes into the record, where no container's output belongs.
                    for said in words {
                        (self.events)(Event::Warning(format!("{}: {said}", target.object)));
                    }
                }
            }
            if over || !failures.is_empty() {
                let objects = lines.into_iter().map(|(object, message)| {
                    let mut reasons = vec![message];
                    reasons.extend(explained.remove(&id(&object)).unwrap_or_default());
                    (object, reasons)
                });
                return Err(Error::NotReady {
                    stage: stage.to_owned(),
                    after: started.elapsed(),
                    failed: !failures.is_empty(),
                    objects: objects.collect(),
                });
            }
            for (object, message) in &mut lines {
                if let Some(reason) = explained.get(&id(object)).and_then(|reasons| reasons.first()) {
                    message.push_str("; ");
                    message.push_str(reason);
                }
            }
            let now = format!("{lines:?}");
            if now != said {
                said = now;
                (self.events)(Event::Waiting { objects: lines });
            }
            tokio::time::sleep(pause.min(timeout.saturating_sub(started.elapsed()))).await;
            pause = pause.mul_f64(1.4).min(LATER);
        }
        Ok(())
    }

    fn mark_ready(&mut self, index: usize, after: Option<Duration>) {
        let target = &self.targets[index];
        let (object, at) = (target.object.clone(), target.id());
        if let Some(entry) = self.entry(&at).filter(|entry| entry.phase == EntryPhase::Applied) {
            entry.phase = EntryPhase::Ready;
        }
        if let Some(after) = after {
            (self.events)(Event::Ready { object, after });
        }
    }

    /// Reads the pending objects again: one LIST a kind and namespace.
    async fn refresh(&mut self, pending: &[usize]) -> Result<(), Error> {
        let mut places: BTreeMap<(ApiResource, Option<String>), Vec<ObjectKey>> = BTreeMap::new();
        for index in pending {
            let target = &self.targets[*index];
            let place = (target.kind.clone(), target.object.namespace.clone());
            places.entry(place).or_default().push(target.id());
        }
        let selector = format!("{PART_OF}={}", self.applyset);
        let cluster = self.cluster;
        let looks = stream::iter(places).map(|((kind, namespace), ids)| {
            let selector = &selector;
            async move {
                let listed =
                    cluster.list(&kind, namespace.as_deref(), &[("labelSelector", selector)], false).await;
                (ids, listed)
            }
        });
        let looks: Vec<_> = looks.buffer_unordered(AT_ONCE).collect().await;
        for (ids, listed) in looks {
            let mut found: HashMap<ObjectKey, Value> = listed?
                .into_iter()
                .filter_map(|object| Some((id(&ObjectRef::of(&object)?), object)))
                .collect();
            for at in ids {
                match found.remove(&at) {
                    Some(object) => self.live.insert(at, object),
                    None => self.live.remove(&at),
                };
            }
        }
        Ok(())
    }
}

impl Cluster {
    /// Whether a claim is bound only when a pod uses it: then waiting for it before its user is waiting for ever.
    async fn binds_late(&self, claim: &Value, classes: &mut Option<Vec<Value>>) -> bool {
        if classes.is_none() {
            // Who may not read classes learns it from the claim's events instead.
            *classes =
                Some(self.list(&ApiResource::storage_class(), None, &[], false).await.unwrap_or_default());
        }
        let wanted = claim["spec"]["storageClassName"].as_str();
        let class = classes.iter().flatten().find(|class| match wanted {
            Some(name) => class["metadata"]["name"] == name,
            None => class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true",
        });
        match class {
            Some(class) => class["volumeBindingMode"] == "WaitForFirstConsumer",
            None => self
                .events_of(claim)
                .await
                .last()
                .is_some_and(|event| event["reason"] == "WaitForFirstConsumer"),
        }
    }

    /// Why an object is not ready, the most telling first, and whether there is no hope left.
    pub(crate) async fn explain(&self, object: &Value) -> (Vec<String>, bool) {
        let mut reasons = Vec::new();
        let mut hopeless = false;
        let (kind, namespace) = (&object["kind"], object["metadata"]["namespace"].as_str());
        let has_pods =
            ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"].iter().any(|name| kind == name);
        let mut look_at = vec![object.clone()];
        if has_pods && let Some(selector) = selector(object) {
            let pods =
                self.list(&ApiResource::pod(), namespace, &[("labelSelector", &selector)], false).await;
            for pod in pods.unwrap_or_default() {
                let name = pod["metadata"]["name"].as_str().unwrap_or("?");
                for (reason, line) in troubled_containers(&pod) {
                    let lists = ["containerStatuses", "initContainerStatuses"];
                    let restarts = lists.iter().flat_map(|list| array(&pod["status"][*list]));
                    let restarts = restarts.filter_map(|container| container["restartCount"].as_i64()).max();
                    hopeless |= reason == "CrashLoopBackOff" && restarts.unwrap_or(0) >= CRASHES;
                    reasons.push(format!("pod {name}, {line}"));
                }
                for condition in array(&pod["status"]["conditions"]) {
                    if condition["type"] == "PodScheduled" && condition["status"] == "False" {
                        reasons.push(format!("pod {name}: {}", told(condition)));
                    }
                }
                look_at.push(pod);
            }
        }
        for condition in array(&object["status"]["conditions"]) {
            let bad = condition["status"] == "False" || condition["type"] == "ReplicaFailure";
            if bad && condition["message"].as_str().is_some_and(|message| !message.is_empty()) {
                reasons.push(told(condition));
            }
        }
        for thing in look_at.iter().take(4) {
            let events = self.events_of(thing).await;
            let mut warnings = events
                .iter()
                .filter(|event| event["type"] == "Warning" || thing["kind"] == "PersistentVolumeClaim");
            if let Some(event) = warnings.next_back() {
                let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
                reasons.push(format!("event {}: {}", text("reason"), text("message")));
            }
        }
        reasons.dedup();
        let bounded = reasons.into_iter().take(MOST_REASONS).map(|reason| reason.chars().take(400).collect());
        (bounded.collect(), hopeless)
    }

    /// The events of an object, the newest last. None where they may not be read.
    async fn events_of(&self, object: &Value) -> Vec<Value> {
        let (Some(uid), namespace) =
            (object["metadata"]["uid"].as_str(), object["metadata"]["namespace"].as_str())
        else {
            return Vec::new();
        };
        let selector = format!("involvedObject.uid={uid}");
        let namespace = namespace.or(Some("default"));
        let mut events = self
            .list(&ApiResource::event(), namespace, &[("fieldSelector", &selector)], false)
            .await
            .unwrap_or_default();
        let at = |event: &Value| {
            let of = |field: &str| event[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            of("lastTimestamp").or_else(|| of("eventTime")).unwrap_or_default()
        };
        events.sort_by_key(at);
        events
    }
}

pub(crate) fn selector(object: &Value) -> Option<String> {
    let labels = object["spec"]["selector"]["matchLabels"].as_object().filter(|labels| !labels.is_empty())?;
    let pairs = labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    Some(pairs.collect::<Vec<_>>().join(","))
}
