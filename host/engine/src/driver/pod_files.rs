//! Files and lines in running pods. The cluster crate reads and writes them, and records what the release wrote.

use super::step::{InCluster, Observed, Purpose, Recorded, StageRef, StepDriver, Task};
use crate::error::Error;
use crate::request::UninstallRequest;
use thinkube_cluster::{Apply, Uninstall};
use thinkube_plan::{Change, Values};

pub(crate) struct PodFiles<'a> {
    task: Task<'a>,
    preview: Vec<Change>,
}

impl<'a> PodFiles<'a> {
    pub(crate) fn new(task: Task<'a>) -> Self {
        Self { task, preview: Vec::new() }
    }
}

#[async_trait::async_trait(?Send)]
impl<'c> StepDriver<InCluster<'c>> for PodFiles<'_> {
    /// An apply needs nothing here: the comparison of the objects includes the files.
    async fn observe(&mut self, _seen: &mut Observed) -> Result<(), Error> {
        // An operation has no pod files, and those of the release are not part of it.
        if let Purpose::Preview = self.task.purpose
            && !self.task.is_operation
        {
            self.preview = self.task.session.cluster.pod_files(self.task.plan).await?;
        }
        Ok(())
    }

    fn changes(&self, _recorded: &Recorded) -> Vec<Change> {
        self.preview.clone()
    }

    /// The comparison of the objects includes the files.
    fn is_up_to_date(&self, _seen: &Observed) -> bool {
        true
    }

    async fn apply(
        &mut self,
        stage: StageRef<'_>,
        _values: &mut Values,
        run: &mut Apply<'c>,
    ) -> Result<(), Error> {
        Ok(run.write_pod_files(stage.index, self.task.waits()).await?)
    }

    async fn prune(&mut self, run: &mut Apply<'c>) -> Result<(), Error> {
        Ok(run.prune_pod_files().await?)
    }

    async fn delete(
        &mut self,
        _request: &UninstallRequest,
        uninstall: &mut Uninstall<'c>,
    ) -> Result<Vec<Change>, Error> {
        Ok(uninstall.delete_pod_files().await?)
    }
}
