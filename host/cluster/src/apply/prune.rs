//! Deletes the objects that the release has and the plan no longer wants.

use crate::api::key::ObjectKey;
use crate::apply::run::Apply;
use crate::delete::batches::{deletion_batches, deletion_blocker, retention_reason, with_kinds};
use crate::delete::objects;
use crate::error::Error;
use crate::progress::Progress;
use crate::release::record::EntryPhase;
use std::time::Duration;
use thinkube_plan::ObjectRef;
use tokio::time::Instant;

/// The longest time for all deletions of one apply.
const DELETION_TIMEOUT: Duration = Duration::from_secs(300);

/// Deletes what the plan no longer has. Retained objects and definitions stay in the inventory.
pub(super) async fn prune_objects(run: &mut Apply<'_>) -> Result<(), Error> {
    run.check_lease()?;
    let deadline = Instant::now() + DELETION_TIMEOUT;
    let gone = std::mem::take(&mut run.gone);
    let mut deletions = Vec::new();
    for (entry, kind) in with_kinds(run.client, &gone).await? {
        match (retention_reason(&entry, false), kind) {
            (_, None) => forget(run, &entry.object),
            (Some(why), Some(_)) => retain(run, &entry.object, why),
            (None, Some(kind)) => deletions.push((kind, entry)),
        }
    }
    for batch in deletion_batches(&run.stored.inventory, deletions) {
        let mut deletable = Vec::new();
        for (kind, entry) in batch {
            match deletion_blocker(run.client, &kind, &entry).await? {
                Some(why) => retain(run, &entry.object, why),
                None => deletable.push((kind, entry)),
            }
        }
        objects::delete_objects(run.client, &deletable, &run.applyset, deadline, run.progress).await?;
        for (_, entry) in deletable {
            forget(run, &entry.object);
        }
    }
    Ok(())
}

fn retain(run: &mut Apply<'_>, object: &ObjectRef, why: String) {
    (run.progress)(Progress::Kept { object: object.clone(), why });
    if let Some(kept) = run.entry(&ObjectKey::of(object)) {
        kept.phase = EntryPhase::Retained;
    }
}

fn forget(run: &mut Apply<'_>, object: &ObjectRef) {
    let at = ObjectKey::of(object);
    run.stored.inventory.retain(|entry| ObjectKey::of(&entry.object) != at);
}
