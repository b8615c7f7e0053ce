//! Images that only some tests need: built, and put into the node, when a test first asks.

use std::path::PathBuf;

use crate::build::images::{Image, Images};
use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::node::containerd;
use crate::paths::Layout;
use crate::record::ClusterRecord;

/// The archive of an image, built if the cache lacks it.
pub(crate) fn archive(layout: &Layout, image: Image) -> Result<PathBuf> {
    Images::cached()?.on_demand(layout, image)
}

/// The reference of an image, which the node has afterwards.
pub(crate) fn provide(layout: &Layout, image: Image) -> Result<String> {
    let archive = archive(layout, image)?;
    let _lock = Lock::take(&layout.lock(), &mut |_| ())?;
    // Read under the lock: another test may have changed the record.
    let not_running = || Error::NotRunning(layout.name.clone());
    let mut record = ClusterRecord::read(layout)?.ok_or_else(not_running)?;
    let images = &mut record.node.as_mut().ok_or_else(not_running)?.images;
    if let Some(present) = images.iter().find(|image| image.archive == archive) {
        return Ok(present.name.clone());
    }
    let new = containerd::import(layout, &archive)?;
    let first = new.first().map(|image| image.name.clone());
    let name = first.ok_or(Error::Archive { archive, why: "it holds no image" })?;
    images.retain(|old| new.iter().all(|new| new.name != old.name));
    images.extend(new);
    record.write(layout)?;
    Ok(name)
}
