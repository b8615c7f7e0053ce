//! One writer at a time: a Lease that its holder renews, and that ends by itself when its holder dies.

use crate::Error;
use crate::api::client::{ApiRequest, Cluster};
use crate::api::status::StatusKind;
use crate::discovery::ApiResource;
use crate::progress::Events;
use crate::progress::quiet;
use crate::release::store::{Stored, parent_name};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Where the holder's process is, so that a host of the same machine can see that it has died.
const PROCESS: &str = "thinkube.org/holder-process";
/// Nobody applies for longer; a host that hangs lets go.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// The claim on a release. Dropping it stops the renewal, and the claim ends by itself.
pub(crate) struct LeaseGuard {
    cluster: Cluster,
    release: String,
    holder: String,
    lost: Arc<AtomicBool>,
    renewal: JoinHandle<()>,
}

fn name(release: &str) -> String {
    format!("release-{release}")
}

/// Whether there is a Lease of this host for the release, held or not.
pub(crate) async fn is_there(cluster: &Cluster, release: &str) -> Result<bool, Error> {
    let found = cluster.get(&ApiResource::lease(), Some(cluster.state_namespace()), &name(release)).await?;
    Ok(found
        .is_some_and(|lease| lease["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "thinkube-host"))
}

/// Claims the release, or says who has it. `owner` is its record, if there is one.
pub(crate) async fn claim(
    cluster: &Cluster,
    release: &str,
    lasts: Duration,
    owner: Option<&Stored>,
    events: Events<'_>,
) -> Result<LeaseGuard, Error> {
    let (kind, state_namespace, name) =
        (ApiResource::lease(), cluster.state_namespace().to_owned(), name(release));
    let holder = holder();
    let now = cluster.now();
    let mut body = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "namespace": state_namespace, "labels": {"app.kubernetes.io/managed-by": "thinkube-host"},
            "annotations": {PROCESS: process()}},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": lasts.as_secs().max(1),
            "acquireTime": micro(now), "renewTime": micro(now)},
    });
    if let Some(owner) = owner {
        // An uninstall that dies after it has deleted the record leaves no Lease behind either.
        body["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap",
            "name": parent_name(release), "uid": owner.uid}]);
    }
    let ask = match cluster.get(&kind, Some(&state_namespace), &name).await? {
        None => ApiRequest::create(&kind, Some(&state_namespace), &body),
        Some(live) => {
            if let Some(since) = held_since(&live, now) {
                let holder = live["spec"]["holderIdentity"].as_str().unwrap_or("?").to_owned();
                return Err(Error::Busy { release: release.to_owned(), holder, since });
            }
            body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            let transitions = live["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
            body["spec"]["leaseTransitions"] = json!(transitions + 1);
            ApiRequest::replace(&kind, Some(&state_namespace), &name, &body)
        }
    };
    let reply = cluster.call(&ask, events).await?;
    match reply.answered.class {
        StatusKind::Done => {}
        StatusKind::LostRace | StatusKind::AlreadyExists => {
            // Another host was faster, or this request was sent twice and was the faster one itself.
            let live = cluster.get(&kind, Some(&state_namespace), &name).await?.unwrap_or_default();
            let other = live["spec"]["holderIdentity"].as_str().unwrap_or("another host");
            if other != holder {
                let since = live["spec"]["acquireTime"].as_str().unwrap_or("just now").to_owned();
                return Err(Error::Busy { release: release.to_owned(), holder: other.to_owned(), since });
            }
        }
        _ => return Err(cluster.refusal(&ask, reply).await),
    }
    let lost = Arc::new(AtomicBool::new(false));
    let renewal = tokio::spawn(renew(cluster.clone(), name, holder.clone(), lasts, lost.clone()));
    Ok(LeaseGuard { cluster: cluster.clone(), release: release.to_owned(), holder, lost, renewal })
}

async fn renew(cluster: Cluster, name: String, holder: String, lasts: Duration, lost: Arc<AtomicBool>) {
    let (kind, state_namespace) = (ApiResource::lease(), cluster.state_namespace().to_owned());
    let started = tokio::time::Instant::now();
    let mut renewed = started;
    while started.elapsed() < LONGEST {
        tokio::time::sleep(lasts / 3).await;
        match renew_once(&cluster, &kind, &state_namespace, &name, &holder).await {
            Ok(true) => renewed = tokio::time::Instant::now(),
            Ok(false) => break,
            Err(_) if renewed.elapsed() < lasts => {}
            Err(_) => break,
        }
    }
    lost.store(true, Ordering::Release);
}

/// False if it is somebody else's.
async fn renew_once(
    cluster: &Cluster,
    kind: &ApiResource,
    state_namespace: &str,
    name: &str,
    holder: &str,
) -> Result<bool, Error> {
    let Some(mut live) = cluster.get(kind, Some(state_namespace), name).await? else { return Ok(false) };
    if live["spec"]["holderIdentity"] != holder {
        return Ok(false);
    }
    live["spec"]["renewTime"] = json!(micro(cluster.now()));
    cluster.must(&ApiRequest::replace(kind, Some(state_namespace), name, &live), &quiet).await.map(|_| true)
}

impl LeaseGuard {
    /// Fails if somebody else may be working on the release by now.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.lost.load(Ordering::Acquire) {
            return Err(Error::LostRace { what: format!("the claim on release {}", self.release) });
        }
        Ok(())
    }

    /// Lets go. What fails here ends by itself.
    pub(crate) async fn release(self, delete: bool) {
        self.renewal.abort();
        let (kind, state_namespace, name) =
            (ApiResource::lease(), self.cluster.state_namespace().to_owned(), name(&self.release));
        let Ok(Some(mut live)) = self.cluster.get(&kind, Some(&state_namespace), &name).await else { return };
        if live["spec"]["holderIdentity"] != self.holder {
            return;
        }
        let ask = if delete {
            let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
            ApiRequest::delete(&kind, &kind.object(Some(&state_namespace), &name), uid, "Background")
        } else {
            live["spec"]["holderIdentity"] = json!("");
            ApiRequest::replace(&kind, Some(&state_namespace), &name, &live)
        };
        if let Err(error) = self.cluster.must(&ask, &quiet).await {
            tracing::debug!(%error, "the claim on the release was not given back; it ends by itself");
        }
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Since when somebody holds it; None if nobody does.
fn held_since(lease: &Value, now: Timestamp) -> Option<String> {
    let spec = &lease["spec"];
    spec["holderIdentity"].as_str().filter(|holder| !holder.is_empty())?;
    let renewed: Timestamp = spec["renewTime"].as_str()?.parse().ok()?;
    let lasts = SignedDuration::from_secs(spec["leaseDurationSeconds"].as_i64().unwrap_or(30));
    if now.duration_since(renewed) > lasts {
        return None;
    }
    let process = lease["metadata"]["annotations"][PROCESS].as_str().unwrap_or_default();
    if has_died(process) {
        return None;
    }
    Some(spec["acquireTime"].as_str().unwrap_or("?").to_owned())
}

/// `HOST/PID/RANDOM`: for people, and never the same twice.
fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "unknown" } else { host.trim() }.to_owned();
    format!("{host}/{}/{:08x}", std::process::id(), rand::random::<u32>())
}

/// This process, unmistakably: the machine's boot, the PID namespace, the PID and when it began. Empty where the
/// operating system does not tell.
fn process() -> String {
    let pid = std::process::id();
    match (place(), began(pid)) {
        (Some(place), Some(began)) => format!("{place} {pid} {began}"),
        _ => String::new(),
    }
}

fn place() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.to_str()?))
}

fn began(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name is in parentheses and may hold anything; the start time is field 22.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

fn has_died(process: &str) -> bool {
    let Some((before, began_then)) = process.rsplit_once(' ') else { return false };
    let Some((there, pid)) = before.rsplit_once(' ') else { return false };
    let (Some(here), Ok(pid)) = (place(), pid.parse::<u32>()) else { return false };
    here == there && began(pid).as_deref() != Some(began_then)
}

fn micro(at: Timestamp) -> String {
    format!("{at:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(renewed: &str, holder: &str, process: &str) -> Value {
        json!({"metadata": {"annotations": {PROCESS: process}}, "spec": {"holderIdentity": holder,
            "leaseDurationSeconds": 30, "acquireTime": "2026-11-22T11:00:00.000000Z", "renewTime": renewed}})
    }

    #[test]
    fn a_claim_ends_with_its_time_its_release_or_its_process() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let (fresh, old) = ("2026-11-22T11:59:45.000000Z", "2026-11-22T11:59:29.000000Z");
        assert_eq!(held_since(&lease(fresh, "a", ""), now).as_deref(), Some("2026-11-22T11:00:00.000000Z"));
        assert_eq!(held_since(&lease(old, "a", ""), now), None);
        assert_eq!(held_since(&lease(fresh, "", ""), now), None);
        assert!(held_since(&lease(fresh, "a", &process()), now).is_some(), "this process lives");
        if let Some(place) = place() {
            let gone = format!("{place} {} 1", std::process::id());
            assert_eq!(
                held_since(&lease(fresh, "a", &gone), now),
                None,
                "a process of another start has died"
            );
        }
        assert!(held_since(&lease(fresh, "a", "elsewhere pid:[1] 1 1"), now).is_some());
    }

    #[test]
    fn times_have_six_digits() {
        assert_eq!(micro("2026-11-22T12:00:00Z".parse().unwrap()), "2026-11-22T12:00:00.000000Z");
    }
}
