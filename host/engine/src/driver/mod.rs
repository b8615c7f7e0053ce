//! One driver for each kind of step: reads the present state, applies a stage, prunes, deletes.
//!
//! The loops in [`crate::lifecycle`] know no kind. [`Kind`] names the kinds, and [`driver`] is the one `match` over them.
//! A driver does not write the release's record by itself: the run that it is given does.

mod external;
mod images;
mod objects;
mod pod_files;

pub(crate) use external::http_client;

use crate::uninstall::UninstallRequest;
use crate::{ApplyRequest, Error, Session};
use std::marker::PhantomData;
use thinkube_cluster::{Apply, BuiltImage, ReleaseDiff, Uninstall};
use thinkube_effects::Http;
use thinkube_plan::{Change, ExternalStep, Plan, Stage, Values};

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

/// Where releases are recorded: in a cluster, or in a test.
pub(crate) trait Records {
    /// An apply or an operation that has begun.
    type Run;
    /// An uninstall that has begun.
    type Uninstall;
}

/// Releases that a cluster records.
pub(crate) struct InCluster<'c>(PhantomData<&'c ()>);

impl<'c> Records for InCluster<'c> {
    type Run = Apply<'c>;
    type Uninstall = Uninstall<'c>;
}

/// One kind of step, from the first observation to deletion.
#[async_trait::async_trait(?Send)]
pub(crate) trait StepDriver<R: Records> {
    /// Fails if this host can never carry out one of the plan's steps. Sends nothing.
    fn supports(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Reads the present state of every step. What the steps yield already is added to `seen.values`, for the kinds that
    /// are observed after this one.
    async fn observe(&mut self, seen: &mut Observed) -> Result<(), Error>;

    /// What an apply would do, once the state is observed.
    fn changes(&self, recorded: &Recorded) -> Vec<Change>;

    /// Fails if an apply would change a resource that the release does not own and may not adopt.
    fn require_owned(&self, _recorded: &Recorded) -> Result<(), Error> {
        Ok(())
    }

    /// Whether an apply would write nothing.
    fn is_up_to_date(&self, seen: &Observed) -> bool;

    /// Applies the steps of a stage. What they yield is added to `values`, for the kinds and stages after this one.
    async fn apply(
        &mut self,
        stage: StageRef<'_>,
        values: &mut Values,
        run: &mut R::Run,
    ) -> Result<(), Error>;

    /// Deletes what the release has and the plan no longer wants.
    async fn prune(&mut self, _run: &mut R::Run) -> Result<(), Error> {
        Ok(())
    }

    /// Deletes everything that the release has of this kind. Answers what was deleted and what is kept.
    async fn delete(
        &mut self,
        request: &UninstallRequest,
        uninstall: &mut R::Uninstall,
    ) -> Result<Vec<Change>, Error>;
}

/// A stage, with its position in the plan.
#[derive(Clone, Copy)]
pub(crate) struct StageRef<'a> {
    pub(crate) index: usize,
    pub(crate) stage: &'a Stage,
}

/// What the release's record says, as far as drivers need it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    pub(crate) external: Vec<ExternalStep>,
    pub(crate) images: Vec<BuiltImage>,
    /// Stages that the last apply skipped because their `skip_if` held.
    pub(crate) skipped_stages: Vec<String>,
    /// Stages whose Jobs have ended.
    pub(crate) worked_stages: Vec<String>,
}

/// What the drivers have observed.
#[derive(Default)]
pub(crate) struct Observed {
    /// Secret inputs, and what steps yield already.
    pub(crate) values: Values,
    pub(crate) recorded: Recorded,
    /// The comparison of the objects, with the record that an apply is fenced against. None in a preview.
    pub(crate) diff: Option<ReleaseDiff>,
}

/// What drivers work on.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) session: &'a Session<'a>,
    pub(crate) plan: &'a Plan,
    /// HTTP to the origins that were granted to the plan.
    pub(crate) http: &'a Http,
    pub(crate) purpose: Purpose<'a>,
    /// For an operation: the images that the release runs. Its steps may refer to them.
    pub(crate) running_images: &'a [BuiltImage],
    /// Whether the plan is that of an operation, which leaves the release's files in pods alone.
    pub(crate) is_operation: bool,
}

/// Why the steps are observed.
#[derive(Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// To show what would change. Nothing is written afterwards.
    Preview,
    /// To apply the plan.
    Apply(&'a ApplyRequest),
    /// To carry out an operation.
    Operation(&'a ApplyRequest),
    /// To uninstall. Nothing is observed.
    Uninstall,
}

impl<'a> Task<'a> {
    /// The request of an apply or an operation.
    fn request(&self) -> Option<&'a ApplyRequest> {
        match self.purpose {
            Purpose::Apply(request) | Purpose::Operation(request) => Some(request),
            Purpose::Preview | Purpose::Uninstall => None,
        }
    }

    /// Whether an apply waits until objects are ready.
    fn waits(&self) -> bool {
        self.request().is_some_and(|request| request.wait)
    }
}

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
