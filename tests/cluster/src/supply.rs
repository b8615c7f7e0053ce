//! Images that not every node needs: made, and put into the node, when a test first asks for them.

use std::path::{Path, PathBuf};

use crate::cluster::{Cluster, Own};
use crate::containerd;
use crate::error::{Error, Result};
use crate::images::{Image, Images};
use crate::lock::Lock;
use crate::state::Record;

impl Cluster {
    /// The reference of an image of Valkey that the node has from now on.
    ///
    /// It holds `valkey-server`, which answers other pods as upstream's image does, `valkey-cli` and `sh`, for any user and
    /// a root file system that can't be written to. The first time it is built, which takes half a minute.
    pub fn valkey_image(&self) -> Result<String> {
        let own = self.with_a_node()?;
        let archive = Images::cached()?.on_demand(&own.layout, Image::Valkey)?;
        self.provide(&archive)
    }

    /// The reference of an image as a development environment has it, which the node has from now on.
    ///
    /// It holds bash, zsh and fish, Python with pip, and the devpi client, for the user `coder` with the number 1000 and a home.
    /// The first time it is built, which takes a minute.
    pub fn shells_image(&self) -> Result<String> {
        let own = self.with_a_node()?;
        let archive = Images::cached()?.on_demand(&own.layout, Image::Shells)?;
        self.provide(&archive)
    }

    /// The archive of an image with Python and a pip that may install, to build others on.
    pub fn python_archive(&self) -> Result<PathBuf> {
        let own = self.with_a_node()?;
        Images::cached()?.on_demand(&own.layout, Image::Python)
    }

    fn with_a_node(&self) -> Result<&Own> {
        let own = self.own("a node to put an image into")?;
        match own.record.node {
            Some(_) => Ok(own),
            None => Err(Error::NoNode(own.layout.name.clone())),
        }
    }

    /// Puts the one image of an archive into the node unless it is there.
    fn provide(&self, archive: &Path) -> Result<String> {
        let layout = &self.with_a_node()?.layout;
        let _lock = Lock::take(&layout.lock(), &mut |_| ())?;
        // Another test may have changed it since.
        let gone = || Error::NotRunning(layout.name.clone());
        let mut record = Record::read(layout)?.ok_or_else(gone)?;
        let images = &mut record.node.as_mut().ok_or_else(gone)?.images;
        if let Some(there) = images.iter().find(|image| image.archive == archive) {
            return Ok(there.name.clone());
        }
        let new = containerd::import(layout, archive)?;
        let name = new
            .first()
            .map(|image| image.name.clone())
            .ok_or_else(|| Error::Archive { archive: archive.to_owned(), why: "there is no image in it" })?;
        images.retain(|old| new.iter().all(|new| new.name != old.name));
        images.extend(new);
        record.write(layout)?;
        Ok(name)
    }
}
