//! Compares a plan with the files in running pods. Nothing is written.

use crate::api::client::Client;
use crate::error::Error;
use crate::pod_files::containers::{ContainerState, MAX_CONTAINERS, containers};
use crate::pod_files::observe::diff_container;
use crate::pod_files::record::{dropped, planned};
use crate::pod_files::remove::{planned_places, remove_entry};
use crate::pod_files::report::{change, no_pod, not_running};
use crate::release::record::PodFilesEntry;
use crate::release::store;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use thinkube_plan::{Action, Change, Plan};

/// The changes that an apply of `plan` would make in running pods, file by file. A step without a pod yields a change without
/// a pod; a pod that cannot be read yields a change without a path.
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
    for ((_, step), entry) in plan.plugin_plan.pod_files().zip(planned(plan, old)) {
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
                    ContainerState::Missing(error) => Err(error),
                    ContainerState::NotRunning(at, why) => {
                        let note = format!("not read: {}", not_running(&at, &why));
                        Ok(vec![change(entry, Some(&at), (None, None), Action::Update, Some(note))])
                    }
                    ContainerState::Running(at) => match diff_container(client, entry, step, &at).await {
                        Ok(judged) => Ok(judged.into_iter().map(|judged| judged.change).collect()),
                        Err(error) if error.is_of_container() => {
                            let note = format!("not read: {error}");
                            Ok(vec![change(entry, Some(&at), (None, None), Action::Update, Some(note))])
                        }
                        Err(error) => Err(error),
                    },
                }
            }
        });
        let looked: Vec<Vec<Change>> = looks.buffered(MAX_CONTAINERS).try_collect().await?;
        changes.extend(looked.into_iter().flatten());
    }
    let kept = planned_places(client, plan, old).await?;
    for entry in dropped(plan, old) {
        changes.extend(remove_entry(client, &entry, &kept, true, &|_| ()).await?);
    }
    Ok(changes)
}
