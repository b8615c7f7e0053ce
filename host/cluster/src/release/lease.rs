//! One writer at a time: a Lease that its holder renews, and that expires when the holder dies.
//!
//! The words are kubert's (holder, acquire). kubert itself is not used: it pins kube below 1.2, and it does not see that a
//! holder on the same machine has died, which lets the next run begin at once.

use crate::api::client::Client;
use crate::api::request::ApiRequest;
use crate::api::resource::ApiResource;
use crate::api::status::StatusKind;
use crate::error::Error;
use crate::error::api::ApiError;
use crate::error::release::ReleaseError;
use crate::progress::{ProgressSink, ignore};
use crate::release::store::parent_name;
use crate::release::stored::StoredRelease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The annotation with the holder's process, by which another host on the same machine sees that the holder has died.
const PROCESS: &str = "thinkube.org/holder-process";
/// A holder that hangs loses the Lease after this time. No apply takes longer.
const MAX_HOLD: Duration = Duration::from_secs(6 * 3600);
/// Seconds, where a Lease of another writer has no duration.
const DEFAULT_DURATION: i64 = 30;

/// An acquired Lease. Dropping it stops the renewal, so that the Lease expires.
pub(crate) struct LeaseGuard {
    lease: Lease,
    lost: Arc<AtomicBool>,
    renewal: JoinHandle<()>,
}

/// The Lease of one release, and who holds it.
#[derive(Clone)]
struct Lease {
    client: Client,
    release: String,
    holder: String,
    duration: Duration,
}

/// Whether a Lease of this host exists for the release, held or not.
pub(crate) async fn exists(client: &Client, release: &str) -> Result<bool, Error> {
    let (kind, namespace) = (ApiResource::lease(), client.state_namespace());
    let lease = client.get(&kind, Some(namespace), &parent_name(release)).await?.unwrap_or_default();
    Ok(lease["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "thinkube-host")
}

/// Acquires the Lease of a release. `owner` is the release's record, if it has one.
///
/// # Errors
/// [`ReleaseError::Busy`], or why the server refuses the write.
pub(crate) async fn acquire(
    client: &Client,
    release: &str,
    duration: Duration,
    owner: Option<&StoredRelease>,
    progress: ProgressSink<'_>,
) -> Result<LeaseGuard, Error> {
    let lease = Lease { client: client.clone(), release: release.to_owned(), holder: holder(), duration };
    let now = client.now();
    let existing = lease.get().await?;
    if let Some(since) = existing.as_ref().and_then(|existing| held_since(existing, now)) {
        let other = existing.as_ref().and_then(holder_of).unwrap_or("?");
        return Err(lease.busy(other, since).into());
    }
    let request = lease.acquire_request(existing.as_ref(), owner, now);
    let response = client.request(&request, progress).await?;
    match response.status.kind {
        StatusKind::Success => {}
        StatusKind::LostRace | StatusKind::AlreadyExists => {
            // Either another host was faster, or this request was sent twice and its first answer was lost.
            let existing = lease.get().await?.unwrap_or_default();
            let other = holder_of(&existing).unwrap_or("another host");
            if other != lease.holder {
                let since = existing["spec"]["acquireTime"].as_str().unwrap_or("just now");
                return Err(lease.busy(other, since.to_owned()).into());
            }
        }
        _ => return Err(client.error_from(&request, response).await.into()),
    }
    let lost = Arc::new(AtomicBool::new(false));
    let renewal = tokio::spawn(renew(lease.clone(), lost.clone()));
    Ok(LeaseGuard { lease, lost, renewal })
}

impl LeaseGuard {
    /// Fails if another host may have acquired the Lease.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        if self.lost.load(Ordering::Acquire) {
            return Err(ApiError::LostRace { what: format!("the Lease of release {}", self.lease.release) });
        }
        Ok(())
    }

    /// Releases the Lease, or deletes it. An error is only logged: the Lease expires anyway.
    pub(crate) async fn release(self, delete: bool) {
        self.renewal.abort();
        if let Err(error) = self.lease.release(delete).await {
            tracing::debug!(%error, "the Lease of the release was not released; it expires within its duration");
        }
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Lease {
    fn name(&self) -> String {
        parent_name(&self.release)
    }

    fn namespace(&self) -> &str {
        self.client.state_namespace()
    }

    async fn get(&self) -> Result<Option<Value>, ApiError> {
        self.client.get(&ApiResource::lease(), Some(self.namespace()), &self.name()).await
    }

    fn replace(&self, body: &Value) -> ApiRequest {
        ApiRequest::replace(&ApiResource::lease(), Some(self.namespace()), &self.name(), body)
    }

    fn busy(&self, holder: &str, since: String) -> ReleaseError {
        ReleaseError::Busy { release: self.release.clone(), holder: holder.to_owned(), since }
    }

    fn acquire_request(
        &self,
        existing: Option<&Value>,
        owner: Option<&StoredRelease>,
        now: Timestamp,
    ) -> ApiRequest {
        let mut body = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self.name(), "namespace": self.namespace(),
                "labels": {"app.kubernetes.io/managed-by": "thinkube-host"},
                "annotations": {PROCESS: process()}},
            "spec": {"holderIdentity": self.holder, "leaseDurationSeconds": self.duration.as_secs().max(1),
                "acquireTime": micro_time(now), "renewTime": micro_time(now)},
        });
        if let Some(owner) = owner {
            // The server deletes the Lease with the record, also for an uninstall that dies between the two.
            body["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap",
                "name": parent_name(&self.release), "uid": owner.uid}]);
        }
        let Some(existing) = existing else {
            return ApiRequest::create(&ApiResource::lease(), Some(self.namespace()), &body);
        };
        body["metadata"]["resourceVersion"] = existing["metadata"]["resourceVersion"].clone();
        let transitions = existing["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
        body["spec"]["leaseTransitions"] = json!(transitions + 1);
        self.replace(&body)
    }

    /// False if another host holds the Lease.
    async fn renew_once(&self) -> Result<bool, ApiError> {
        let Some(mut live) = self.get().await? else { return Ok(false) };
        if live["spec"]["holderIdentity"] != self.holder {
            return Ok(false);
        }
        live["spec"]["renewTime"] = json!(micro_time(self.client.now()));
        self.client.request_ok(&self.replace(&live), &ignore).await.map(|_| true)
    }

    async fn release(&self, delete: bool) -> Result<(), ApiError> {
        let Some(mut live) = self.get().await? else { return Ok(()) };
        if live["spec"]["holderIdentity"] != self.holder {
            return Ok(());
        }
        let request = if delete {
            let (kind, uid) = (ApiResource::lease(), live["metadata"]["uid"].as_str().unwrap_or_default());
            ApiRequest::delete(&kind, &kind.object(Some(self.namespace()), &self.name()), uid, "Background")
        } else {
            live["spec"]["holderIdentity"] = json!("");
            self.replace(&live)
        };
        self.client.request_ok(&request, &ignore).await.map(|_| ())
    }
}

async fn renew(lease: Lease, lost: Arc<AtomicBool>) {
    let started = Instant::now();
    let mut renewed = started;
    while started.elapsed() < MAX_HOLD {
        tokio::time::sleep(lease.duration / 3).await;
        match lease.renew_once().await {
            Ok(true) => renewed = Instant::now(),
            Err(_) if renewed.elapsed() < lease.duration => {}
            Ok(false) | Err(_) => break,
        }
    }
    lost.store(true, Ordering::Release);
}

fn holder_of(lease: &Value) -> Option<&str> {
    lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty())
}

/// When the present holder acquired the Lease. None: it is free, expired, or its holder has died.
fn held_since(lease: &Value, now: Timestamp) -> Option<String> {
    let spec = &lease["spec"];
    holder_of(lease)?;
    let renewed: Timestamp = spec["renewTime"].as_str()?.parse().ok()?;
    let seconds = spec["leaseDurationSeconds"].as_i64().unwrap_or(DEFAULT_DURATION);
    if now.duration_since(renewed) > SignedDuration::from_secs(seconds) {
        return None;
    }
    let process = lease["metadata"]["annotations"][PROCESS].as_str().unwrap_or_default();
    if has_died(process) {
        return None;
    }
    Some(spec["acquireTime"].as_str().unwrap_or("?").to_owned())
}

/// `HOST/PID/RANDOM`: for people, and unique.
fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "unknown" } else { host.trim() }.to_owned();
    format!("{host}/{}/{:08x}", std::process::id(), rand::random::<u32>())
}

/// This process: the machine's boot id, the PID namespace, the PID and its start time. Empty where the operating system does
/// not tell.
fn process() -> String {
    let pid = std::process::id();
    match (boot_and_namespace(), start_time(pid)) {
        (Some(machine), Some(started)) => format!("{machine} {pid} {started}"),
        _ => String::new(),
    }
}

fn boot_and_namespace() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.to_str()?))
}

fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name is in parentheses and may hold any character; the start time is field 22.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

/// Whether the process ran here and has ended. False for one on another machine, which cannot be seen.
fn has_died(process: &str) -> bool {
    let Some((before, recorded_start)) = process.rsplit_once(' ') else { return false };
    let Some((machine, pid)) = before.rsplit_once(' ') else { return false };
    let (Some(here), Ok(pid)) = (boot_and_namespace(), pid.parse::<u32>()) else { return false };
    here == machine && start_time(pid).as_deref() != Some(recorded_start)
}

/// Kubernetes' `MicroTime`.
fn micro_time(at: Timestamp) -> String {
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
    fn a_lease_ends_with_its_duration_its_release_or_its_process() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let (fresh, old) = ("2026-11-22T11:59:45.000000Z", "2026-11-22T11:59:29.000000Z");
        assert_eq!(held_since(&lease(fresh, "a", ""), now).as_deref(), Some("2026-11-22T11:00:00.000000Z"));
        assert_eq!(held_since(&lease(old, "a", ""), now), None);
        assert_eq!(held_since(&lease(fresh, "", ""), now), None);
        assert!(held_since(&lease(fresh, "a", &process()), now).is_some(), "this process lives");
        if let Some(machine) = boot_and_namespace() {
            let dead = format!("{machine} {} 1", std::process::id());
            assert_eq!(
                held_since(&lease(fresh, "a", &dead), now),
                None,
                "a process of another start has died"
            );
        }
        assert!(held_since(&lease(fresh, "a", "other-boot pid:[1] 1 1"), now).is_some());
    }

    #[test]
    fn times_have_six_decimals() {
        assert_eq!(micro_time("2026-11-22T12:00:00Z".parse().unwrap()), "2026-11-22T12:00:00.000000Z");
    }
}
