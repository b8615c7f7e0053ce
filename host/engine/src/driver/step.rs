//! What the driver of a kind must do, and what it works on.

use crate::error::Error;
use crate::request::{ApplyRequest, UninstallRequest};
use crate::session::Session;
use std::marker::PhantomData;
use thinkube_cluster::{Apply, BuiltImage, ReleaseDiff, Uninstall};
use thinkube_effects::Http;
use thinkube_plan::{Change, ExternalStep, Plan, Stage, Values};

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

    /// Deletes everything that the release has of this kind. Returns the deleted and the kept ones.
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

/// What the release's record has, as far as drivers need it.
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
    pub(super) fn request(&self) -> Option<&'a ApplyRequest> {
        match self.purpose {
            Purpose::Apply(request) | Purpose::Operation(request) => Some(request),
            Purpose::Preview | Purpose::Uninstall => None,
        }
    }

    /// Whether an apply waits until objects are ready.
    pub(super) fn waits(&self) -> bool {
        self.request().is_some_and(|request| request.wait)
    }
}
