//! One driver for each kind of step: reads the present state, applies a stage, prunes, deletes.
//!
//! The loops in [`crate::lifecycle`] know no kind. [`Kind`] names the kinds, and [`driver`] is the one `match` over them.
//! A driver does not write the release's record by itself: the run that it is given does.

mod external;
mod images;
mod objects;
mod pod_files;
mod step;

pub(crate) use external::http_client;
pub(crate) use step::{InCluster, Observed, Purpose, Recorded, Records, StageRef, StepDriver, Task};

use crate::error::Error;
use thinkube_plan::Change;

/// A kind of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Image,
    External,
    Object,
    PodFile,
}

/// The order within a stage: objects refer to images and to the outputs of external resources; files need a running pod.
pub(crate) const APPLY_ORDER: [Kind; 4] = [Kind::Image, Kind::External, Kind::Object, Kind::PodFile];
/// The order of pruning: nothing that still runs may use what is deleted later.
pub(crate) const PRUNE_ORDER: [Kind; 4] = [Kind::Object, Kind::PodFile, Kind::External, Kind::Image];
/// The order of an uninstall: servers and registries may run in the release's own pods, and their credentials are in its
/// Secrets.
pub(crate) const DELETE_ORDER: [Kind; 4] = [Kind::External, Kind::Image, Kind::PodFile, Kind::Object];

/// The order of a preview.
const PREVIEW_ORDER: [Kind; 4] = [Kind::Image, Kind::Object, Kind::External, Kind::PodFile];

/// Makes the driver of a kind: the one place that knows them all.
fn driver<'a>(kind: Kind, task: Task<'a>) -> Box<dyn StepDriver<InCluster<'a>> + 'a> {
    match kind {
        Kind::Image => Box::new(images::Images::new(task)),
        Kind::External => Box::new(external::External::new(task)),
        Kind::Object => Box::new(objects::Objects::new(task)),
        Kind::PodFile => Box::new(pod_files::PodFiles::new(task)),
    }
}

/// The drivers of all kinds.
pub(crate) struct Drivers<'a, R: Records>(Vec<(Kind, Box<dyn StepDriver<R> + 'a>)>);

impl<'a> Drivers<'a, InCluster<'a>> {
    /// The drivers for one task.
    pub(crate) fn new(task: Task<'a>) -> Self {
        Self(APPLY_ORDER.map(|kind| (kind, driver(kind, task))).into())
    }
}

impl<'a, R: Records> Drivers<'a, R> {
    /// The drivers of a test.
    #[cfg(test)]
    pub(crate) fn of(drivers: Vec<(Kind, Box<dyn StepDriver<R> + 'a>)>) -> Self {
        Self(drivers)
    }

    /// Fails if one kind cannot carry out one of its steps.
    pub(crate) fn supports(&self) -> Result<(), Error> {
        self.0.iter().try_for_each(|(_, driver)| driver.supports())
    }

    /// Lets every kind observe, in the order of applying.
    pub(crate) async fn observe(&mut self, seen: &mut Observed) -> Result<(), Error> {
        for driver in self.in_order(APPLY_ORDER) {
            driver.observe(seen).await?;
        }
        Ok(())
    }

    /// What an apply would do, in the order in which a preview lists the kinds.
    pub(crate) fn changes(&mut self, recorded: &Recorded) -> Vec<Change> {
        self.in_order(PREVIEW_ORDER).flat_map(|driver| driver.changes(recorded)).collect()
    }

    /// Fails if an apply would change what the release does not own.
    pub(crate) fn require_owned(&self, recorded: &Recorded) -> Result<(), Error> {
        self.0.iter().try_for_each(|(_, driver)| driver.require_owned(recorded))
    }

    /// Whether an apply would write nothing.
    pub(crate) fn are_up_to_date(&self, seen: &Observed) -> bool {
        self.0.iter().all(|(_, driver)| driver.is_up_to_date(seen))
    }

    /// The drivers in an order of kinds.
    pub(crate) fn in_order<const N: usize>(
        &mut self,
        order: [Kind; N],
    ) -> impl Iterator<Item = &mut Box<dyn StepDriver<R> + 'a>> {
        let rank = move |kind: Kind| order.iter().position(|other| *other == kind);
        self.0.sort_by_key(|(kind, _)| rank(*kind));
        self.0.iter_mut().map(|(_, driver)| driver)
    }
}
