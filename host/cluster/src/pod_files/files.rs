//! Files in running pods: what is there, what is to be, and what was ours.
//!
//! A file is the release's if its content is one that the release has on record; any other is left alone, whoever it is
//! from. The record has every content before it is written, so what a host has left that died is still known.

use crate::api::client::Client;
use crate::api::resource::{ApiResource, array};
use crate::error::Error;
use crate::error::diff::DiffError;
use crate::pod_files::exec;
use crate::pod_files::exec::{Container, Seen};
use crate::progress::{Progress, ProgressSink};
use crate::release::lease::LeaseGuard;
use crate::release::record::PodFilesEntry;
use crate::release::store;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;
use thinkube_plan::{Action, Change, Digest, Plan, PodFile, PodFileRef, PodFilesStep, PodLine, Subject};
use tokio::time::Instant;

/// Containers that are looked into at the same time.
const AT_ONCE: usize = 8;
/// How long an apply waits for a container to run.
const SHORTLY: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
/// Contents that a file may have had from this release and still be known: one for each revision that is kept.
const KNOWN: usize = 10;
/// What a file may have that gets a line.
const MOST: usize = 4 << 20;

const THEIRS: &str = "what is there is not from this release, or was changed since, and is left alone; remove it to have it \
     written";

impl PodFilesEntry {
    fn of(stage: &str, step: &PodFilesStep) -> Self {
        let digest = |file: &PodFile| (file.path.clone(), vec![Digest::of(file.content.as_bytes())]);
        Self {
            step: step.name.clone(),
            stage: stage.to_owned(),
            namespace: step.namespace.clone(),
            label_selector: step.label_selector.clone(),
            container: step.container.clone(),
            files: step.files.iter().map(digest).collect(),
            lines: step.lines.clone(),
            skipped: false,
        }
    }

    /// Whether both are about the same files: what is no longer wanted of an old one is then told file by file.
    fn is_of(&self, other: &Self) -> bool {
        self.step == other.step
            && self.namespace == other.namespace
            && self.label_selector == other.label_selector
            && self.container == other.container
    }

    fn wrote(&self, path: &str, digest: &Digest) -> bool {
        self.files.get(path).is_some_and(|known| known.contains(digest))
    }

    /// What only this one has of two about the same.
    fn without(&self, wanted: &Self) -> Self {
        let mut rest = self.clone();
        rest.files.retain(|path, _| !wanted.files.contains_key(path));
        rest.lines.retain(|line| !wanted.lines.contains(line));
        rest
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.lines.is_empty()
    }
}

/// What the plan wants, with all contents that its files may have from before.
fn wanted(plan: &Plan, old: &[PodFilesEntry]) -> Vec<PodFilesEntry> {
    let steps = plan.plugin_plan.pod_files();
    let entries = steps.map(|(number, step)| PodFilesEntry::of(&plan.plugin_plan.stages[number].name, step));
    let known = |mut entry: PodFilesEntry| {
        if let Some(old) = old.iter().find(|old| old.is_of(&entry)) {
            entry.skipped = old.skipped;
            for (path, digests) in &mut entry.files {
                let before = old.files.get(path).into_iter().flatten();
                let before: Vec<Digest> =
                    before.filter(|digest| !digests.contains(digest)).cloned().collect();
                digests.extend(before);
                digests.truncate(KNOWN);
            }
        }
        entry
    };
    entries.map(known).collect()
}

/// What is on record and the plan no longer wants.
fn gone(plan: &Plan, old: &[PodFilesEntry]) -> Vec<PodFilesEntry> {
    let wanted = wanted(plan, old);
    let rest = old.iter().map(|old| match wanted.iter().find(|new| new.is_of(old)) {
        Some(new) => old.without(new),
        None => old.clone(),
    });
    rest.filter(|rest| !rest.is_empty()).collect()
}

/// Everything that may be in pods from the moment on in which an apply of `plan` begins.
pub(crate) fn superset(plan: &Plan, old: &[PodFilesEntry]) -> Vec<PodFilesEntry> {
    wanted(plan, old).into_iter().chain(gone(plan, old)).collect()
}

/// A container that files are wanted in, as the server has it.
enum Found {
    Running(Container),
    /// With the reason.
    Not(Container, String),
    /// The pod has no such container.
    Without(Error),
}

/// What has to be done for one file or line.
enum Work<'a> {
    Put(&'a PodFile),
    Mode(&'a PodFile),
    Add(&'a PodLine),
}

/// One file or line in one container.
struct Judged<'a> {
    change: Change,
    work: Option<Work<'a>>,
}

/// Files of a plan in containers, and lines in them: where, the path, the line.
type Places = HashSet<(Container, String, Option<String>)>;

/// What an apply of `plan` would write into running pods, file by file, and what it would take out of them. Nothing is
/// written. A step that finds no pod says so in a change without one, a pod that cannot be looked into in one without a
/// path.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::Invalid`], or why the cluster could not be read.
pub(crate) async fn compare_pod_files(client: &Client, plan: &Plan) -> Result<Vec<Change>, Error> {
    let stored = store::get(client, &plan.release).await?;
    diff_pod_files(client, plan, stored.as_ref().map_or(&[], |stored| &stored.pod_files)).await
}

pub(crate) async fn diff_pod_files(
    client: &Client,
    plan: &Plan,
    old: &[PodFilesEntry],
) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for ((_, step), entry) in plan.plugin_plan.pod_files().zip(wanted(plan, old)) {
        if entry.skipped {
            continue;
        }
        let found = containers(client, &entry).await?;
        if found.is_empty() {
            changes.push(no_pod(&entry));
        }
        let looks = stream::iter(found).map(|found| {
            let entry = &entry;
            async move {
                match found {
                    Found::Without(error) => Err(error),
                    Found::Not(at, why) => {
                        let note = format!("not looked into: {}", not_running(&at, &why));
                        Ok(vec![change(entry, Some(&at), (None, None), Action::Update, Some(note))])
                    }
                    Found::Running(at) => match diff_container(client, entry, step, &at).await {
                        Ok(judged) => Ok(judged.into_iter().map(|judged| judged.change).collect()),
                        Err(error) if error.is_of_container() => {
                            let note = format!("not looked into: {error}");
                            Ok(vec![change(entry, Some(&at), (None, None), Action::Update, Some(note))])
                        }
                        Err(error) => Err(error),
                    },
                }
            }
        });
        let looked: Vec<Vec<Change>> = looks.buffered(AT_ONCE).try_collect().await?;
        changes.extend(looked.into_iter().flatten());
    }
    let kept = planned_places(client, plan, old).await?;
    for entry in gone(plan, old) {
        changes.extend(remove_entry(client, &entry, &kept, false, &|_| ()).await?);
    }
    Ok(changes)
}

/// The containers of a step, by the name of the pod. Pods that have ended, or are about to, are no running ones.
async fn containers(client: &Client, entry: &PodFilesEntry) -> Result<Vec<Found>, Error> {
    let selector = [("labelSelector", entry.label_selector.as_str())];
    let pods = client.list(&ApiResource::pod(), Some(&entry.namespace), &selector, false).await?;
    let over = |pod: &&Value| {
        matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
            || pod["metadata"]["deletionTimestamp"].is_string()
    };
    Ok(pods.iter().filter(|pod| !over(pod)).map(|pod| container(pod, entry)).collect())
}

/// The containers of a step that run. With `wait` those that are about to are waited for; what does not run by then is
/// said.
async fn running_containers(
    client: &Client,
    entry: &PodFilesEntry,
    wait: bool,
    progress: ProgressSink<'_>,
) -> Result<Vec<Container>, Error> {
    let deadline = Instant::now() + if wait { SHORTLY } else { Duration::ZERO };
    loop {
        let (mut running, mut waiting) = (Vec::new(), Vec::new());
        for found in containers(client, entry).await? {
            match found {
                Found::Running(at) => running.push(at),
                Found::Not(at, why) => waiting.push((at, why)),
                Found::Without(error) => return Err(error),
            }
        }
        if waiting.is_empty() || Instant::now() >= deadline {
            for (at, why) in waiting {
                progress(Progress::PodFile(unwritten(entry, &at, &not_running(&at, &why))));
            }
            return Ok(running);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Every file and line of a step in one container; nothing if its pod is gone.
async fn diff_container<'a>(
    client: &Client,
    entry: &PodFilesEntry,
    step: &'a PodFilesStep,
    at: &Container,
) -> Result<Vec<Judged<'a>>, Error> {
    let mut judged = Vec::new();
    for file in &step.files {
        let Some(seen) = exec::read_file(client, at, &file.path, PodFilesStep::MAX_CONTENT_BYTES + 1).await?
        else {
            return Ok(Vec::new());
        };
        let (action, note) = judge_file(entry, file, &seen);
        let work = match (action, &seen) {
            (Action::Update, Seen::File { content: Some(content), .. })
                if content == file.content.as_bytes() =>
            {
                Some(Work::Mode(file))
            }
            (Action::Create | Action::Update, _) => Some(Work::Put(file)),
            _ => None,
        };
        judged.push(Judged { change: change(entry, Some(at), (Some(&file.path), None), action, note), work });
    }
    for line in &step.lines {
        let Some(seen) = exec::read_file(client, at, &line.path, MOST).await? else { return Ok(Vec::new()) };
        let (action, note) = judge_line(line, &seen);
        let work = matches!(action, Action::Create | Action::Update).then_some(Work::Add(line));
        let change = change(entry, Some(at), (Some(&line.path), Some(&line.text)), action, note);
        judged.push(Judged { change, work });
    }
    Ok(judged)
}

/// Every file of the plan in every container that it is wanted in: what it names is not taken out for an older step.
async fn planned_places(client: &Client, plan: &Plan, old: &[PodFilesEntry]) -> Result<Places, Error> {
    let mut places = Places::new();
    if gone(plan, old).is_empty() {
        return Ok(places);
    }
    for entry in wanted(plan, old) {
        for found in containers(client, &entry).await? {
            let (Found::Running(at) | Found::Not(at, _)) = found else { continue };
            let lines = entry.lines.iter().map(|line| (&line.path, Some(line.text.clone())));
            let wanted = entry.files.keys().map(|path| (path, None)).chain(lines);
            places.extend(wanted.map(|(path, line)| (at.clone(), path.clone(), line)));
        }
    }
    Ok(places)
}

/// Takes out of the running pods what is the release's and unchanged: files by their content, lines wherever they are.
/// Without `really` it only looks. What a container itself refuses stays there, and nothing else stays for it.
async fn remove_entry(
    client: &Client,
    entry: &PodFilesEntry,
    kept: &Places,
    really: bool,
    progress: ProgressSink<'_>,
) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for found in containers(client, entry).await? {
        let at = match found {
            Found::Running(at) => at,
            Found::Not(at, why) => {
                let note = format!("it is not running ({why}); what is in it stays");
                changes.push(change(entry, Some(&at), (None, None), Action::Keep, Some(note)));
                continue;
            }
            // Files were never wanted in this one.
            Found::Without(_) => continue,
        };
        match remove_from(client, &at, entry, kept, really).await {
            Ok(taken) => changes.extend(taken),
            // What only does not answer now is not forgotten.
            Err(error) if error.is_permanent() => {
                changes.push(change(entry, Some(&at), (None, None), Action::Keep, Some(error.to_string())));
            }
            Err(error) => return Err(error),
        }
    }
    for change in &changes {
        progress(Progress::PodFile(change.clone()));
    }
    Ok(changes)
}

async fn remove_from(
    client: &Client,
    at: &Container,
    entry: &PodFilesEntry,
    kept: &Places,
    really: bool,
) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    let in_file = |path: &str| kept.iter().any(|(place, kept, _)| place == at && kept == path);
    let is_kept = |path: &str, line: Option<&str>| {
        kept.contains(&(at.clone(), path.to_owned(), line.map(str::to_owned)))
    };
    for path in entry.files.keys().filter(|path| !in_file(path)) {
        let action = match exec::read_file(client, at, path, PodFilesStep::MAX_CONTENT_BYTES + 1).await? {
            None | Some(Seen::Absent) => continue,
            Some(Seen::File { content: Some(content), .. }) if entry.wrote(path, &Digest::of(&content)) => {
                Action::Delete
            }
            Some(_) => Action::Keep,
        };
        if really && action == Action::Delete && !exec::run_action(client, at, "take", path, &[], &[]).await?
        {
            break;
        }
        let note = (action == Action::Keep).then(|| "it was changed there since, and stays".to_owned());
        changes.push(change(entry, Some(at), (Some(path), None), action, note));
    }
    // Another line of the same file is no reason to leave this one.
    let out = entry
        .lines
        .iter()
        .filter(|line| !is_kept(&line.path, None) && !is_kept(&line.path, Some(&line.text)));
    for line in out {
        let seen = exec::read_file(client, at, &line.path, MOST).await?;
        if !matches!(&seen, Some(Seen::File { content: Some(content), .. }) if holds(content, line)) {
            continue;
        }
        if really && !exec::run_action(client, at, "out", &line.path, &[&line.text], &[]).await? {
            break;
        }
        let place = (Some(&*line.path), Some(&*line.text));
        changes.push(change(entry, Some(at), place, Action::Delete, None));
    }
    Ok(changes)
}

/// Deletes all files and lines on record, but for those of orphaned steps.
pub(crate) async fn remove_all(
    client: &Client,
    entries: &[PodFilesEntry],
    is_orphaned: impl Fn(&str) -> bool,
    progress: ProgressSink<'_>,
) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for entry in entries.iter().rev() {
        if is_orphaned(&entry.step) {
            let left = left(entry);
            progress(Progress::PodFile(left.clone()));
            changes.push(left);
            continue;
        }
        let taken = remove_entry(client, entry, &HashSet::new(), true, progress).await;
        changes.extend(taken.map_err(|error| Error::not_removed(&entry.step, error))?);
    }
    Ok(changes)
}

/// What writing into pods needs beside the files.
pub(crate) struct PodContext<'a> {
    pub(crate) client: &'a Client,
    pub(crate) lease: &'a LeaseGuard,
    pub(crate) progress: ProgressSink<'a>,
}

/// Writes a stage's files into the running pods; see [`Apply::write_pod_files`](crate::Apply::write_pod_files).
pub(crate) async fn write_stage(
    context: &PodContext<'_>,
    plan: &Plan,
    recorded: &mut [PodFilesEntry],
    stage: usize,
    wait: bool,
) -> Result<(), Error> {
    let PodContext { client, lease, progress } = *context;
    let entries = wanted(plan, recorded);
    for ((_, step), entry) in plan.plugin_plan.pod_files().zip(entries).filter(|((at, _), _)| *at == stage) {
        lease.check()?;
        for recorded in recorded.iter_mut().filter(|recorded| recorded.is_of(&entry)) {
            recorded.skipped = false;
        }
        let running = running_containers(client, &entry, wait, progress).await?;
        if running.is_empty() && containers(client, &entry).await?.is_empty() {
            progress(Progress::PodFile(no_pod(&entry)));
        }
        let entry = &entry;
        let work = stream::iter(&running).map(|at| async move {
            match write_container(context, entry, step, at).await {
                Err(error) if error.is_of_container() => {
                    progress(Progress::PodFile(unwritten(entry, at, &error.to_string())));
                    Ok(())
                }
                written => written,
            }
        });
        work.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    }
    Ok(())
}

async fn write_container(
    context: &PodContext<'_>,
    entry: &PodFilesEntry,
    step: &PodFilesStep,
    at: &Container,
) -> Result<(), Error> {
    let client = context.client;
    for Judged { change, work } in diff_container(client, entry, step, at).await? {
        let exists = match work {
            None => true,
            Some(Work::Put(PodFile { path, mode, content })) => {
                let rest = [format!("{mode:04o}"), content.len().to_string()];
                let rest = rest.each_ref().map(String::as_str);
                exec::run_action(client, at, "put", path, &rest, content.as_bytes()).await?
            }
            Some(Work::Mode(PodFile { path, mode, .. })) => {
                exec::run_action(client, at, "mode", path, &[&format!("{mode:04o}")], &[]).await?
            }
            Some(Work::Add(PodLine { path, text })) => {
                exec::run_action(client, at, "add", path, &[text], &[]).await?
            }
        };
        if !exists {
            break;
        }
        (context.progress)(Progress::PodFile(change));
    }
    Ok(())
}

/// Records that the files of a stage were not written because the stage was skipped.
pub(crate) fn mark_skipped(recorded: &mut [PodFilesEntry], stage: &str) {
    for entry in recorded.iter_mut().filter(|entry| entry.stage == stage) {
        entry.skipped = true;
    }
}

/// Deletes the files and lines on record that the plan no longer has, and drops them from the record.
pub(crate) async fn prune(
    client: &Client,
    plan: &Plan,
    recorded: &mut Vec<PodFilesEntry>,
    progress: ProgressSink<'_>,
) -> Result<(), Error> {
    let kept = planned_places(client, plan, recorded).await?;
    for entry in gone(plan, recorded) {
        remove_entry(client, &entry, &kept, true, progress).await?;
    }
    *recorded = wanted(plan, recorded);
    Ok(())
}

/// The container of a pod that a step means: the one that it names, else the first.
fn container(pod: &Value, entry: &PodFilesEntry) -> Found {
    let name_of = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let names: Vec<String> = array(&pod["spec"]["containers"]).iter().map(name_of).collect();
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let name = match &entry.container {
        Some(wanted) if names.contains(wanted) => wanted.clone(),
        None if !names.is_empty() => names[0].clone(),
        _ => {
            let message = format!(
                "pod {}/{pod_name} has no container `{}`; it has {}",
                entry.namespace,
                entry.container.as_deref().unwrap_or_default(),
                names.join(", ")
            );
            let step = format!("pod files {}", entry.step);
            return Found::Without(DiffError::invalid(&entry.stage, step, message).into());
        }
    };
    let at = Container { namespace: entry.namespace.clone(), pod: pod_name, name };
    let state = array(&pod["status"]["containerStatuses"])
        .iter()
        .find(|status| status["name"] == at.name.as_str())
        .map(|status| &status["state"]);
    match state {
        Some(state) if state["running"].is_object() => Found::Running(at),
        Some(state) => {
            let reason = ["waiting", "terminated"].iter().find_map(|phase| state[*phase]["reason"].as_str());
            Found::Not(at, reason.unwrap_or("it waits").to_owned())
        }
        None => Found::Not(at, pod["status"]["phase"].as_str().unwrap_or("unknown").to_owned()),
    }
}

fn judge_file(entry: &PodFilesEntry, file: &PodFile, seen: &Seen) -> (Action, Option<String>) {
    match seen {
        Seen::Absent => (Action::Create, None),
        Seen::Other(what) => (Action::Keep, Some(format!("it is {what}, and is left alone"))),
        Seen::File { content: None, .. } => (Action::Keep, Some(THEIRS.to_owned())),
        Seen::File { mode, content: Some(content) } => {
            let same = content == file.content.as_bytes();
            if same && *mode == file.mode {
                (Action::Unchanged, None)
            } else if !entry.wrote(&file.path, &Digest::of(content)) {
                (Action::Keep, Some(THEIRS.to_owned()))
            } else if same {
                (Action::Update, Some(format!("mode {mode:04o} → {:04o}", file.mode)))
            } else {
                (Action::Update, None)
            }
        }
    }
}

fn judge_line(line: &PodLine, seen: &Seen) -> (Action, Option<String>) {
    match seen {
        Seen::Absent => (Action::Create, None),
        Seen::Other(what) => (Action::Keep, Some(format!("it is {what}, and is left alone"))),
        Seen::File { content: None, .. } => {
            (Action::Keep, Some(format!("it is longer than {} MiB, and is left alone", MOST >> 20)))
        }
        Seen::File { content: Some(content), .. } if holds(content, line) => (Action::Unchanged, None),
        Seen::File { .. } => (Action::Update, None),
    }
}

fn holds(content: &[u8], line: &PodLine) -> bool {
    content.split(|byte| *byte == b'\n').any(|held| held == line.text.as_bytes())
}

fn change(
    entry: &PodFilesEntry,
    at: Option<&Container>,
    (path, line): (Option<&str>, Option<&str>),
    action: Action,
    note: Option<String>,
) -> Change {
    let subject = Subject::PodFile(PodFileRef {
        step: entry.step.clone(),
        namespace: entry.namespace.clone(),
        pod: at.map(|at| at.pod.clone()),
        path: path.map(str::to_owned),
        line: line.map(str::to_owned),
    });
    Change { note, ..Change::new(subject, Some(&entry.stage), action) }
}

/// The last that is known of it: with the record goes the list of it.
fn left(entry: &PodFilesEntry) -> Change {
    let paths: BTreeSet<&str> =
        entry.files.keys().chain(entry.lines.iter().map(|line| &line.path)).map(String::as_str).collect();
    let paths: Vec<&str> = paths.into_iter().collect();
    let note = format!(
        "left behind in pods with the labels {}, as --orphan asks: {}",
        entry.label_selector,
        paths.join(", ")
    );
    change(entry, None, (None, None), Action::Keep, Some(note))
}

fn unwritten(entry: &PodFilesEntry, at: &Container, why: &str) -> Change {
    let note = format!("not all was written: {why}; the next apply tries again");
    change(entry, Some(at), (None, None), Action::Keep, Some(note))
}

fn not_running(at: &Container, why: &str) -> String {
    let Container { namespace, pod, .. } = at;
    format!("it is not running ({why}); `kubectl describe pod {pod} -n {namespace}` says more")
}

fn no_pod(entry: &PodFilesEntry) -> Change {
    let PodFilesEntry { namespace, label_selector, .. } = entry;
    let note = format!("no pod of namespace {namespace} that is to stay has the labels {label_selector}");
    change(entry, None, (None, None), Action::Unchanged, Some(note))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use thinkube_plan::{Step, testing};

    fn step(files: &[(&str, &str)], lines: &[&str]) -> PodFilesStep {
        let files: Vec<_> = files.iter().map(|(path, content)| (*path, 0o644, *content)).collect();
        let lines: Vec<_> = lines.iter().map(|text| ("/rc", *text)).collect();
        testing::pod_files_step(&files, &lines)
    }

    fn entry(files: &[(&str, &str)]) -> PodFilesEntry {
        PodFilesEntry::of("one", &step(files, &[]))
    }

    fn seen(content: &str, mode: u32) -> Seen {
        Seen::File { mode, content: Some(content.as_bytes().to_vec()) }
    }

    #[test]
    fn only_what_is_on_record_is_changed() {
        let (old, new) = (entry(&[("/a", "old")]), step(&[("/a", "new")], &[]));
        let judged = |seen: Seen| judge_file(&old, &new.files[0], &seen).0;
        assert_eq!(judged(Seen::Absent), Action::Create);
        assert_eq!(judged(seen("old", 0o644)), Action::Update);
        assert_eq!(judged(seen("new", 0o644)), Action::Unchanged);
        assert_eq!(judged(seen("theirs", 0o644)), Action::Keep);
        assert_eq!(judged(seen("new", 0o600)), Action::Keep, "not on record, so not ours");
        assert_eq!(judged(Seen::Other("a symbolic link")), Action::Keep);
        assert_eq!(judged(Seen::File { mode: 0o644, content: None }), Action::Keep);
    }

    #[test]
    fn a_line_is_held_whole_or_not_at_all() {
        let line = PodLine { path: "/rc".into(), text: "a b".into() };
        for (content, held) in
            [("a b", true), ("x\na b\ny", true), ("a b c", false), (" a b", false), ("", false)]
        {
            assert_eq!(holds(content.as_bytes(), &line), held, "{content:?}");
        }
    }

    fn plan(step: Option<PodFilesStep>) -> Plan {
        testing::plan(vec![testing::stage("one", step.map(Step::PodFiles).into_iter().collect())])
    }

    #[test]
    fn the_record_has_what_was_what_will_be_and_what_is_to_go() {
        let old = superset(&plan(Some(step(&[("/a", "1"), ("/b", "1")], &["x", "y"]))), &[]);
        let new = plan(Some(step(&[("/a", "2")], &["y"])));
        let all = superset(&new, &old);
        assert_eq!(all.len(), 2);
        assert!(all[0].wrote("/a", &Digest::of(b"1")) && all[0].wrote("/a", &Digest::of(b"2")));
        assert_eq!(all[1].files.keys().collect::<Vec<_>>(), ["/b"]);
        assert_eq!(all[1].lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["x"]);
        assert_eq!(gone(&new, &old), all[1..]);
        // An apply that died left both on record; the next one knows them all.
        assert_eq!(superset(&new, &all), all);
        assert_eq!(gone(&plan(None), &all).len(), 2);
    }

    #[test]
    fn a_record_keeps_as_many_contents_as_revisions() {
        let mut known = Vec::new();
        for number in 0..20 {
            known = superset(&plan(Some(step(&[("/a", &number.to_string())], &[]))), &known);
        }
        assert_eq!(known[0].files["/a"].len(), KNOWN);
        assert!(known[0].wrote("/a", &Digest::of(b"19")) && !known[0].wrote("/a", &Digest::of(b"9")));
    }

    #[test]
    fn the_first_container_is_meant_where_none_is_named_and_one_that_is_not_there_is_an_error() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "b", "state": {"running": {}}},
                {"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
        let of =
            |container: Option<&str>| PodFilesEntry { container: container.map(Into::into), ..entry(&[]) };
        assert!(matches!(container(&pod, &of(Some("b"))), Found::Running(at) if at.name == "b"));
        assert!(
            matches!(container(&pod, &of(None)), Found::Not(at, why) if at.name == "a" && why == "CrashLoopBackOff")
        );
        let Found::Without(error) = container(&pod, &of(Some("c"))) else { panic!("there is none") };
        assert!(error.to_string().contains("no container `c`; it has a, b"), "{error}");
    }
}
