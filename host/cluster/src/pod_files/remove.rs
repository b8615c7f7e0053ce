//! Removes files and lines from running pods.
//!
//! A file is removed only if the release's record lists its present content, and only if the plan does not write to it in
//! the same container. A line of the record is removed wherever it is.

use crate::api::client::Client;
use crate::error::Error;
use crate::pod_files::containers::{ContainerState, containers};
use crate::pod_files::exec::{self, Container, PathState};
use crate::pod_files::observe::{MAX_LINES_FILE_BYTES, has_line};
use crate::pod_files::record::{dropped, planned};
use crate::pod_files::report::{change, orphaned};
use crate::progress::{Progress, ProgressSink};
use crate::release::record::PodFilesEntry;
use std::collections::HashSet;
use thinkube_plan::{Action, Change, Digest, Plan, PodFilesStep};

/// The planned files and lines: the container, the path, and the line unless the whole file is planned.
pub(super) type PlannedPlaces = HashSet<(Container, String, Option<String>)>;

/// The places of all planned files and lines. A removal for an older step must not touch them.
pub(super) async fn planned_places(
    client: &Client,
    plan: &Plan,
    old: &[PodFilesEntry],
) -> Result<PlannedPlaces, Error> {
    let mut places = PlannedPlaces::new();
    if dropped(plan, old).is_empty() {
        return Ok(places);
    }
    for entry in planned(plan, old) {
        for found in containers(client, &entry).await? {
            let (ContainerState::Running(at) | ContainerState::NotRunning(at, _)) = found else { continue };
            let lines = entry.lines.iter().map(|line| (&line.path, Some(line.text.clone())));
            let wanted = entry.files.keys().map(|path| (path, None)).chain(lines);
            places.extend(wanted.map(|(path, line)| (at.clone(), path.clone(), line)));
        }
    }
    Ok(places)
}

/// Removes the files and lines of an entry from its running containers, or reports what would be removed if `dry_run`. A
/// failure of one container is reported as its note, and the others continue.
pub(super) async fn remove_entry(
    client: &Client,
    entry: &PodFilesEntry,
    kept: &PlannedPlaces,
    dry_run: bool,
    progress: ProgressSink<'_>,
) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for found in containers(client, entry).await? {
        let at = match found {
            ContainerState::Running(at) => at,
            ContainerState::NotRunning(at, why) => {
                let note = format!("it is not running ({why}); its files stay");
                changes.push(change(entry, Some(&at), (None, None), Action::Keep, Some(note)));
                continue;
            }
            // The host has never written to a container that does not exist.
            ContainerState::Missing(_) => continue,
        };
        match remove_from(client, &at, entry, kept, dry_run).await {
            Ok(removed) => changes.extend(removed),
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
    kept: &PlannedPlaces,
    dry_run: bool,
) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    let is_planned_file = |path: &str| kept.iter().any(|(place, kept, _)| place == at && kept == path);
    let is_kept = |path: &str, line: Option<&str>| {
        kept.contains(&(at.clone(), path.to_owned(), line.map(str::to_owned)))
    };
    for path in entry.files.keys().filter(|path| !is_planned_file(path)) {
        let action = match exec::read_file(client, at, path, PodFilesStep::MAX_CONTENT_BYTES + 1).await? {
            None | Some(PathState::Absent) => continue,
            Some(PathState::File { content: Some(content), .. })
                if entry.wrote(path, &Digest::of(&content)) =>
            {
                Action::Delete
            }
            Some(_) => Action::Keep,
        };
        if !dry_run
            && action == Action::Delete
            && !exec::run_action(client, at, "delete", path, &[], &[]).await?
        {
            break;
        }
        let note = (action == Action::Keep)
            .then(|| "it was changed since the release wrote it, and stays".to_owned());
        changes.push(change(entry, Some(at), (Some(path), None), action, note));
    }
    // A planned file protects its lines; another planned line of the same file does not.
    let removable = entry
        .lines
        .iter()
        .filter(|line| !is_kept(&line.path, None) && !is_kept(&line.path, Some(&line.text)));
    for line in removable {
        let state = exec::read_file(client, at, &line.path, MAX_LINES_FILE_BYTES).await?;
        if !matches!(&state, Some(PathState::File { content: Some(content), .. }) if has_line(content, line))
        {
            continue;
        }
        if !dry_run && !exec::run_action(client, at, "delete-line", &line.path, &[&line.text], &[]).await? {
            break;
        }
        let place = (Some(&*line.path), Some(&*line.text));
        changes.push(change(entry, Some(at), place, Action::Delete, None));
    }
    Ok(changes)
}

/// Deletes all files and lines on record, except those of orphaned steps.
pub(crate) async fn remove_all(
    client: &Client,
    entries: &[PodFilesEntry],
    is_orphaned: impl Fn(&str) -> bool,
    progress: ProgressSink<'_>,
) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for entry in entries.iter().rev() {
        if is_orphaned(&entry.step) {
            let orphaned = orphaned(entry);
            progress(Progress::PodFile(orphaned.clone()));
            changes.push(orphaned);
            continue;
        }
        let removed = remove_entry(client, entry, &HashSet::new(), false, progress).await;
        changes.extend(removed.map_err(|error| Error::not_removed(&entry.step, error))?);
    }
    Ok(changes)
}

/// Deletes the files and lines on record that the plan no longer has, and drops them from the record.
pub(crate) async fn prune(
    client: &Client,
    plan: &Plan,
    recorded: &mut Vec<PodFilesEntry>,
    progress: ProgressSink<'_>,
) -> Result<(), Error> {
    let kept = planned_places(client, plan, recorded).await?;
    for entry in dropped(plan, recorded) {
        remove_entry(client, &entry, &kept, false, progress).await?;
    }
    *recorded = planned(plan, recorded);
    Ok(())
}
