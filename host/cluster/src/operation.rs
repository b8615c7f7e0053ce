//! An operation: another plan for the objects of a release, which passes. See `docs/decisions/0005-operations.md`.
//!
//! The record of the release keeps its plan and its revision; while an operation runs its inventory holds the objects
//! of the operation too. So whatever host comes after one that has died, and whatever it does, an `apply` of the
//! release, an uninstall or the operation again, finds them and takes them away.

use crate::client::{Ask, Cluster};
use crate::compare::{Comparison, Need};
use crate::compose::{Lack, value_of};
use crate::event::{Event, Events, quiet};
use crate::kind::{Kind, array};
use crate::lease::claim;
use crate::normalise::is_confidential;
use crate::release::{Entry, EntryPhase, Phase, Release};
use crate::resolve::{Id, Target, id};
use crate::state::Stored;
use crate::wait::selector;
use crate::{Apply, ApplyOptions, Error};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use thinkube_plan::{Plan, Values};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Who writes when a workload was restarted. The release's plan says nothing of it, so nobody takes it back, and an
/// apply of the release restarts nothing a second time.
pub(crate) const RESTARTS: &str = "thinkube-host-restart";
const RESTARTED_AT: &str = "thinkube.org/restarted-at";

/// What is read of a container's log, and shown of it.
const LAST_LINES: usize = 10;
const LAST_BYTES: usize = 4096;
/// Shorter values of Secrets are words like `admin`, which would make a message unreadable.
const SHORTEST_SECRET: usize = 4;
/// A line of a longer value is often a word of its format: `[global]`, `}`, `name: x`.
const SHORTEST_LINE: usize = 8;

/// An operation on a release.
#[derive(Debug, Clone, Copy)]
pub struct Operating<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it wants, as [`thinkube_plan::overlay`] made it.
    pub plan: &'a Plan,
    /// The plan of the release.
    pub recorded: &'a Plan,
    /// The steps of the release on objects that the operation changes ([`thinkube_plan::borrowed`]).
    pub borrowed: &'a Plan,
}

impl Release {
    /// Whether an operation may begin: the release is as its plan says, but for what an operation has left that died.
    ///
    /// # Errors
    /// [`Error::Unfinished`].
    pub fn may_operate(&self) -> Result<(), Error> {
        may_operate(&self.name, self.phase)
    }
}

fn may_operate(release: &str, phase: Phase) -> Result<(), Error> {
    match phase {
        Phase::Deployed | Phase::Operating => Ok(()),
        phase => Err(Error::Unfinished { release: release.to_owned(), phase }),
    }
}

impl Cluster {
    /// Begins an operation: claims the release, and writes its record with everything that may exist from now on. The
    /// rest is done as with an apply: [`Apply::stage`], [`Apply::wait`], then [`Apply::give_back`].
    ///
    /// # Errors
    /// [`Error::NoRelease`], [`Error::Unfinished`], [`Error::NotOwned`], [`Error::Forbidden`] or [`Error::Busy`] before
    /// anything is written; [`Error::LostRace`] if the release has changed since the comparison.
    pub async fn begin_operation<'a>(
        &'a self,
        operation: &Operating<'a>,
        values: &Values,
        comparison: Comparison,
        options: &ApplyOptions,
        events: Events<'a>,
    ) -> Result<Apply<'a>, Error> {
        let release = &operation.plan.release;
        let Comparison { stored, targets, mut needs, live, not_owned, .. } = comparison;
        let stored = stored.ok_or_else(|| Error::NoRelease {
            release: release.clone(),
            home: self.home().to_owned(),
            near: Vec::new(),
        })?;
        may_operate(release, stored.record.phase)?;
        // What is the release's and what is the operation's own was told apart by the plan that was read first.
        if stored.record.digest != operation.recorded.digest() {
            return Err(Error::LostRace { what: format!("the record of release {release}") });
        }
        if !not_owned.is_empty() {
            return Err(Error::NotOwned { release: release.clone(), objects: not_owned });
        }
        let planned = planned(operation.recorded);
        let mut stale = Vec::new();
        for (target, need) in targets.iter().zip(&mut needs) {
            let own = !planned.contains(&target.id());
            if own && runs_once(&target.kind) {
                // What it says is what became of another run.
                *need = Need::Create;
                stale.extend(entry(&stored, target).filter(|_| live.contains_key(&target.id())).cloned());
            }
        }
        let going: Vec<Entry> = passing(&superset(&stored, &targets, &needs, &planned), &planned);
        self.preflight(operation.plan, &targets, &needs, &going).await?;
        let claim = claim(self, release, options.claim, Some(&stored), events).await?;
        let began = self.began(operation, stored, &targets, &needs, &planned, events).await;
        let stored = match began {
            Ok(stored) => stored,
            Err(error) => {
                claim.release(false).await;
                return Err(error);
            }
        };
        let mut apply = Apply {
            cluster: self,
            plan: operation.plan,
            values: values.clone(),
            events,
            targets,
            needs,
            live,
            gone: Vec::new(),
            applyset: self.applyset_id(release),
            stored,
            claim,
            new_revision: false,
            operation: true,
        };
        if let Err(error) = apply.clear(stale).await {
            apply.unfinished(operation.name).await;
            return Err(error);
        }
        Ok(apply)
    }

    /// Writes the record, if nobody has changed it since the comparison.
    async fn began(
        &self,
        operation: &Operating<'_>,
        mut stored: Stored,
        targets: &[Target],
        needs: &[Need],
        planned: &HashSet<Id>,
        events: Events<'_>,
    ) -> Result<Stored, Error> {
        let release = &operation.plan.release;
        let now = self.stored(release).await?;
        if now.is_none_or(|now| now.resource_version != stored.resource_version) {
            return Err(Error::LostRace { what: format!("the record of release {release}") });
        }
        stored.inventory = superset(&stored, targets, needs, planned);
        stored.record.phase = Phase::Operating;
        stored.record.message = Some(not_ended(operation.name));
        self.write_parent(&mut stored, events).await?;
        events(Event::Recorded {
            release: release.clone(),
            revision: stored.record.revision,
            objects: stored.inventory.len(),
        });
        Ok(stored)
    }

    /// What is sent for a workload to get new pods: what `kubectl rollout restart` does, in a name of its own. The UID
    /// keeps the server from making a workload of it that has gone meanwhile.
    pub(crate) fn restarted(&self, target: &Target, live: Option<&Value>) -> Result<Value, Lack> {
        let live = live.ok_or(Lack::Restart)?;
        Ok(json!({
            "apiVersion": target.object.api_version, "kind": target.object.kind,
            "metadata": {"name": target.object.name, "namespace": target.object.namespace, "uid": live["metadata"]["uid"]},
            "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: self.now().to_string()}}}},
        }))
    }
}

impl<'a> Apply<'a> {
    /// Ends what an operation did to the release: objects that it changed are again as the release's plan says, its own
    /// are deleted. To be called however its stages ended.
    ///
    /// # Errors
    /// Why an object could not be given back or deleted. The record says that the operation has not ended.
    pub async fn give_back(&mut self, operation: &Operating<'a>, timeout: Duration) -> Result<(), Error> {
        self.check_claim()?;
        self.plan = operation.borrowed;
        let stages = self.plan.outline.stages.len();
        if stages > 0 {
            let Comparison { targets, needs, live, .. } =
                self.cluster.compare_objects(operation.borrowed, &self.values).await?;
            (self.targets, self.needs, self.live) = (targets, needs, live);
        }
        for stage in 0..stages {
            self.stage(stage).await?;
            self.wait(stage, timeout).await?;
        }
        self.plan = operation.recorded;
        self.gone = passing(&self.stored.inventory, &planned(operation.recorded));
        self.prune().await
    }

    /// Ends an operation after [`Apply::give_back`]: the release is as its plan says. `failed`: and the operation was
    /// not done.
    ///
    /// # Errors
    /// [`Error::LostRace`] if somebody else has written the record.
    pub async fn finish_operation(self, name: &str, failed: bool) -> Result<Release, Error> {
        // What failed is not repeated here: it may hold what a container said, and records are read by many.
        self.end(failed.then(|| format!("operation {name} has failed"))).await
    }

    /// Leaves an operation as it is: the record says that it has not ended, and the claim is given back.
    pub async fn unfinished(self, name: &str) {
        self.stop(Phase::Operating, Some(not_ended(name))).await;
    }

    /// Deletes what an earlier run has left and would be taken for this one's.
    async fn clear(&mut self, stale: Vec<Entry>) -> Result<(), Error> {
        let mut going = Vec::new();
        for entry in stale {
            let Some(kind) = self.cluster.kind_of(&entry.object).await? else { continue };
            self.live.remove(&id(&entry.object));
            going.push((kind, entry));
        }
        let deadline = Instant::now() + Duration::from_secs(300);
        self.cluster.remove(&going, &self.applyset, deadline, self.events).await?;
        Ok(())
    }

    /// The last lines that the containers of a Job said, without any value of the release's Secrets and of the inputs.
    pub(crate) async fn last_words(&self, job: &Value) -> Vec<String> {
        let namespace = job["metadata"]["namespace"].as_str().unwrap_or_default();
        let (true, Some(selector)) = (job["kind"] == "Job", selector(job)) else { return Vec::new() };
        let pods =
            self.cluster.list(&Kind::pod(), Some(namespace), &[("labelSelector", &selector)], false).await;
        let secrets = self.secret_values();
        let mut words = Vec::new();
        // The youngest pod is the one that failed last.
        let pods = pods.unwrap_or_default();
        let youngest = pods.iter().max_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str());
        if let Some(pod) = youngest {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let lists = ["initContainerStatuses", "containerStatuses"];
            for container in lists.iter().flat_map(|list| array(&pod["status"][*list])) {
                let container = container["name"].as_str().unwrap_or_default();
                let ask = Ask::log(namespace, name, container, LAST_LINES, LAST_BYTES);
                // Who may not read logs still learns that it failed.
                let Ok(reply) = self.cluster.call(&ask, &quiet).await else { continue };
                if reply.status != 200 {
                    continue;
                }
                let text = masked(&String::from_utf8_lossy(whole_lines(&reply.body)), &secrets);
                let lines = text.lines().map(|line| format!("{container} said: {line}"));
                words.extend(lines.take(LAST_LINES));
            }
        }
        words
    }

    fn secret_values(&self) -> Vec<Zeroizing<Vec<u8>>> {
        let inputs = self.values.inputs.names().filter_map(|name| self.values.inputs.get(name));
        let mut values: Vec<_> =
            inputs.map(|input| Zeroizing::new(input.expose().as_bytes().to_vec())).collect();
        for secret in self.live.values().filter(|object| is_confidential(object)) {
            let keys = secret["data"].as_object().into_iter().flat_map(|data| data.keys());
            let found = keys.filter_map(|key| value_of(secret, key));
            // A text in a ConfigMap that secrets were put into is open but for those, which are keys of their own.
            values.extend(found.filter(|value| secret["kind"] == "Secret" || !value.contains(&b'\n')));
        }
        values
    }
}

fn not_ended(name: &str) -> String {
    format!("operation {name} has not ended; it can be run again, and an apply of the release ends it")
}

/// What the release's plan makes.
fn planned(recorded: &Plan) -> HashSet<Id> {
    recorded.targets().map(|(_, object)| id(&object)).collect()
}

/// Objects whose state is the outcome of a run, not something to keep.
fn runs_once(kind: &Kind) -> bool {
    kind.is("batch", "Job") || kind.is("", "Pod")
}

fn entry<'s>(stored: &'s Stored, target: &Target) -> Option<&'s Entry> {
    stored.inventory.iter().find(|entry| id(&entry.object) == target.id())
}

/// Everything that may exist: what the release has, and what the operation makes beside.
fn superset(stored: &Stored, targets: &[Target], needs: &[Need], planned: &HashSet<Id>) -> Vec<Entry> {
    let mut inventory = stored.inventory.clone();
    for (target, need) in targets.iter().zip(needs).filter(|(target, _)| !planned.contains(&target.id())) {
        let at = target.id();
        let old = inventory.iter().position(|entry| id(&entry.object) == at).map(|at| inventory.remove(at));
        let anew = *need == Need::Create;
        let old = old.filter(|_| !anew);
        inventory.push(Entry {
            object: target.object.clone(),
            uid: old.as_ref().and_then(|old| old.uid.clone()),
            stage: target.stage_name.clone(),
            phase: EntryPhase::Pending,
            on_uninstall: target.on_uninstall,
            fingerprint: old.and_then(|old| old.fingerprint),
        });
    }
    inventory
}

/// What is there for an operation only.
fn passing(inventory: &[Entry], planned: &HashSet<Id>) -> Vec<Entry> {
    let held = |entry: &&Entry| matches!(entry.phase, EntryPhase::Retained | EntryPhase::Used);
    inventory.iter().filter(|entry| !planned.contains(&id(&entry.object)) && !held(entry)).cloned().collect()
}

/// Without the line that the server cut off, which may end within a secret.
fn whole_lines(log: &[u8]) -> &[u8] {
    let end = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if log.len() < LAST_BYTES { log } else { &log[..end] }
}

/// `text` without any of `secrets`, whole, by their lines or in base64.
fn masked(text: &str, secrets: &[Zeroizing<Vec<u8>>]) -> String {
    // What overlaps is found in what was said, not in what is left of it: no half of a secret stays.
    let mut hidden = vec![false; text.len()];
    for shape in secrets.iter().flat_map(|secret| shapes(secret)) {
        for (start, found) in text.match_indices(shape.as_str()) {
            hidden[start..start + found.len()].fill(true);
        }
    }
    let mut masked = String::new();
    let mut before = false;
    for (at, character) in text.char_indices() {
        match hidden[at] {
            false => masked.push(character),
            true if before => {}
            true => masked.push_str("(a secret)"),
        }
        before = hidden[at];
    }
    masked
}

/// The texts by which a container may say a secret.
fn shapes(secret: &[u8]) -> Vec<Zeroizing<String>> {
    let text = Zeroizing::new(String::from_utf8_lossy(secret).into_owned());
    let whole = text.trim();
    if whole.len() < SHORTEST_SECRET {
        return Vec::new();
    }
    let lines = whole.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
    let plain = [whole].into_iter().chain(lines).map(|text| Zeroizing::new(text.to_owned()));
    // Programs decode a Secret's value with the end of its last line and without.
    let encoded = [secret, secret.trim_ascii()].into_iter().flat_map(|secret| {
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .map(|base64| Zeroizing::new(base64.encode(secret)))
    });
    // As `base64` breaks lines (76, RFC 2045) and openssl does (64, RFC 7468), and as JSON writes text.
    let broken = [64, 76].into_iter().flat_map(|width| {
        let encoded = Zeroizing::new(STANDARD.encode(secret));
        let lines = encoded.as_bytes().chunks(width).filter(|line| line.len() >= SHORTEST_LINE);
        lines.map(|line| Zeroizing::new(String::from_utf8_lossy(line).into_owned())).collect::<Vec<_>>()
    });
    let quoted = Zeroizing::new(serde_json::Value::from(whole).to_string());
    let quoted = Zeroizing::new(quoted[1..quoted.len() - 1].to_owned());
    plain.chain(encoded).chain(broken).chain([quoted]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, secrets: &[&str]) -> String {
        let secrets: Vec<_> =
            secrets.iter().map(|secret| Zeroizing::new(secret.as_bytes().to_vec())).collect();
        masked(text, &secrets)
    }

    #[test]
    fn what_a_container_said_holds_no_secret() {
        let secrets = ["hunter2", "hunter2-and-more", "a"];
        assert_eq!(said("at hunter2-and-more: hunter2\n", &secrets), "at (a secret): (a secret)\n");
    }

    #[test]
    fn a_line_of_a_secret_is_hidden_as_the_whole_is() {
        let key = "-----BEGIN KEY-----\r\nMIIEvQIBADANBg\r\n  b0QWRtaW4xMjM=\r\n-----END KEY-----\r\n";
        let text = "bad key: b0QWRtaW4xMjM=\n{\"key\":\"-----BEGIN KEY-----\\nMIIEvQIBADANBg\\n\"}";
        assert_eq!(said(text, &[key]), "bad key: (a secret)\n{\"key\":\"(a secret)\\n(a secret)\\n\"}");
        assert_eq!(said(&key.replace('\r', ""), &[key]).matches("(a secret)").count(), 4);
    }

    #[test]
    fn a_secret_in_base64_is_hidden_however_it_is_written() {
        // Its encodings have both characters in which the alphabets differ, and padding.
        let secret = "\u{ff}>>>\u{3f}\u{3f}p";
        let shapes =
            [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|base64| base64.encode(secret));
        assert!(shapes[0].contains(['+', '/']) && shapes[0].ends_with('='), "{shapes:?}");
        for shape in &shapes {
            assert_eq!(said(&format!("token={shape};"), &[secret]), "token=(a secret);");
            assert_eq!(said(&format!("token={shape};"), &[&format!("{secret}\n")]), "token=(a secret);");
        }
        // What is no text is said in base64 alone.
        let binary = Zeroizing::new(vec![0xff, 0xfe, 0x00, 0x01, 0x80]);
        assert_eq!(masked("//4AAYA=", &[binary]), "(a secret)");
    }

    #[test]
    fn a_secret_is_hidden_as_json_writes_it_and_in_lines_of_base64() {
        assert_eq!(said(r#"{"value": "a\"bcdef"}"#, &["a\"bcdef"]), r#"{"value": "(a secret)"}"#);
        let long =
            "a long secret of which base64 makes several lines, for it is longer than fifty-seven bytes";
        let encoded = STANDARD.encode(long);
        for width in [64, 76] {
            let (first, rest) = encoded.split_at(width);
            assert_eq!(said(&format!("{first}\n{rest}\n"), &[long]), "(a secret)\n(a secret)\n");
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_out() {
        assert_eq!(whole_lines(b"whole\nhunter"), b"whole\nhunter");
        let cut = [b"whole\n".to_vec(), vec![b'x'; LAST_BYTES]].concat();
        assert_eq!(whole_lines(&cut[..LAST_BYTES]), b"whole\n");
    }

    #[test]
    fn secrets_that_overlap_leave_no_half_of_one() {
        assert_eq!(said("abcdefghij", &["abcdefg", "defghij"]), "(a secret)");
        assert_eq!(said("the secret is hunter2", &["secret", "hunter2"]), "the (a secret) is (a secret)");
    }

    #[test]
    fn short_values_and_short_lines_blank_out_nothing() {
        let text = "error: { name: true } in line 3 of a\n\nyYQ==";
        for secret in ["", "\n", "a", "in", " \n \n", "{\n  name:\n}\nlonger than most", "é"] {
            assert_eq!(said(text, &[secret]), text, "{secret:?}");
        }
        assert_eq!(said("ääää", &["äää"]), "(a secret)ä");
    }

    #[test]
    fn an_operation_begins_on_what_is_deployed_and_on_what_another_one_left() {
        for (phase, may) in [
            (Phase::Deployed, true),
            (Phase::Operating, true),
            (Phase::Applying, false),
            (Phase::Failed, false),
            (Phase::Interrupted, false),
            (Phase::Uninstalling, false),
        ] {
            assert_eq!(may_operate("r", phase).is_ok(), may, "{phase}");
        }
    }
}
