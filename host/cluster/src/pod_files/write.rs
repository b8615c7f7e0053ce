//! Writes the files and lines of a stage into running pods.

use crate::api::client::Client;
use crate::error::Error;
use crate::pod_files::containers::{MAX_CONTAINERS, containers, running_containers};
use crate::pod_files::exec::{self, Container};
use crate::pod_files::observe::{EntryDiff, Write, diff_container};
use crate::pod_files::record::planned;
use crate::pod_files::report::{no_pod, unwritten};
use crate::progress::{Progress, ProgressSink};
use crate::release::lease::LeaseGuard;
use crate::release::record::PodFilesEntry;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use thinkube_plan::{Plan, PodFile, PodFilesStep, PodLine};

/// What every write into a pod needs.
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
    let entries = planned(plan, recorded);
    for ((_, step), entry) in plan.plugin_plan.pod_files().zip(entries).filter(|((at, _), _)| *at == stage) {
        lease.check()?;
        for recorded in recorded.iter_mut().filter(|recorded| recorded.is_same_target(&entry)) {
            recorded.skipped = false;
        }
        let running = running_containers(client, &entry, wait, progress).await?;
        if running.is_empty() && containers(client, &entry).await?.is_empty() {
            progress(Progress::PodFile(no_pod(&entry)));
        }
        let entry = &entry;
        let writes = stream::iter(&running).map(|at| async move {
            match write_container(context, entry, step, at).await {
                Err(error) if error.is_of_container() => {
                    progress(Progress::PodFile(unwritten(entry, at, &error.to_string())));
                    Ok(())
                }
                written => written,
            }
        });
        writes.buffer_unordered(MAX_CONTAINERS).try_collect::<Vec<()>>().await?;
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
    for EntryDiff { change, write } in diff_container(client, entry, step, at).await? {
        let exists = match write {
            None => true,
            Some(Write::File(PodFile { path, mode, content })) => {
                let rest = [format!("{mode:04o}"), content.len().to_string()];
                let rest = rest.each_ref().map(String::as_str);
                exec::run_action(client, at, "write", path, &rest, content.as_bytes()).await?
            }
            Some(Write::Mode(PodFile { path, mode, .. })) => {
                exec::run_action(client, at, "mode", path, &[&format!("{mode:04o}")], &[]).await?
            }
            Some(Write::Line(PodLine { path, text })) => {
                exec::run_action(client, at, "add-line", path, &[text], &[]).await?
            }
        };
        if !exists {
            break;
        }
        (context.progress)(Progress::PodFile(change));
    }
    Ok(())
}
