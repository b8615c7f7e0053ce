//! Kubernetes objects. The cluster crate compares and writes them, and keeps the record; this only drives it.

use super::step::{InCluster, Observed, Purpose, Recorded, StageRef, StepDriver, Task};
use crate::error::Error;
use crate::request::UninstallRequest;
use thinkube_cluster::{Apply, ReleaseDiff, Uninstall};
use thinkube_plan::{Change, Values};

pub(crate) struct Objects<'a> {
    task: Task<'a>,
    preview: Vec<Change>,
}

impl<'a> Objects<'a> {
    pub(crate) fn new(task: Task<'a>) -> Self {
        Self { task, preview: Vec::new() }
    }
}

/// What a comparison read from the record.
fn recorded(diff: &ReleaseDiff) -> Recorded {
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    Recorded {
        external: diff.external().to_vec(),
        images: diff.images().to_vec(),
        skipped_stages: owned(diff.skipped_stages()),
        worked_stages: owned(diff.worked_stages()),
    }
}

#[async_trait::async_trait(?Send)]
impl<'c> StepDriver<InCluster<'c>> for Objects<'_> {
    async fn observe(&mut self, seen: &mut Observed) -> Result<(), Error> {
        let (cluster, plan) = (self.task.session.cluster, self.task.plan);
        let diff = match self.task.purpose {
            Purpose::Preview => {
                self.preview = cluster.dry_run(plan, &seen.values).await?;
                return Ok(());
            }
            Purpose::Apply(_) => cluster.compare(plan, &seen.values).await?,
            Purpose::Operation(_) => cluster.compare_objects(plan, &seen.values).await?,
            Purpose::Uninstall => return Ok(()),
        };
        seen.recorded = recorded(&diff);
        seen.diff = Some(diff);
        Ok(())
    }

    fn changes(&self, _recorded: &Recorded) -> Vec<Change> {
        self.preview.clone()
    }

    fn is_up_to_date(&self, seen: &Observed) -> bool {
        seen.diff.as_ref().is_some_and(ReleaseDiff::up_to_date)
    }

    async fn apply(
        &mut self,
        stage: StageRef<'_>,
        values: &mut Values,
        run: &mut Apply<'c>,
    ) -> Result<(), Error> {
        let StageRef { index, stage } = stage;
        run.add_outputs(values.outputs.clone());
        // The checks of `skip_if` do not hold, so a Job that has ended did not do the work, or its work is lost.
        if !stage.skip_if.is_empty() {
            run.rerun_jobs(index).await?;
        }
        run.apply_stage(index).await?;
        if let Some(request) = self.task.request().filter(|request| request.wait) {
            run.wait(index, request.timeout).await?;
        }
        Ok(())
    }

    async fn prune(&mut self, run: &mut Apply<'c>) -> Result<(), Error> {
        Ok(run.prune_objects().await?)
    }

    async fn delete(
        &mut self,
        _request: &UninstallRequest,
        uninstall: &mut Uninstall<'c>,
    ) -> Result<Vec<Change>, Error> {
        Ok(uninstall.delete_objects().await?)
    }
}
