//! The loops of an apply, an operation and an uninstall, over the drivers of all kinds of step.
//!
//! Every loop begins after the record is written and ends by writing how far it came. It knows no kind of step and no
//! cluster: its tests run with fakes.

use crate::cancel::unless_cancelled;
use crate::driver::{APPLY_ORDER, DELETE_ORDER, Drivers, PRUNE_ORDER, Records, StageRef};
use crate::error::Error;
use crate::event::{Event, Events};
use crate::outcome::CheckOutcome;
use crate::request::{RetryPolicy, UninstallRequest};
use std::time::Duration;
use thinkube_cluster::{Apply, Progress as ClusterProgress, Release, Uninstall};
use thinkube_plan::{Change, Check, PluginPlan, Stage, Values};
use tokio_util::sync::CancellationToken;

/// The record of a release while an apply or an operation runs.
#[async_trait::async_trait(?Send)]
pub(crate) trait Run {
    /// Records that a stage was skipped.
    async fn skip_stage(&mut self, stage: usize);

    /// Ends an apply: everything is in place.
    async fn finish(self) -> Result<Release, Error>;

    /// Ends an apply that failed. The next apply continues from the record.
    async fn fail(self, why: &str);

    /// Ends an apply that was interrupted. The next apply continues from the record.
    async fn interrupt(self);

    /// Restores what an operation changed, and deletes what it created.
    async fn restore(&mut self, timeout: Duration) -> Result<(), Error>;

    /// Ends an operation after [`Run::restore`].
    async fn finish_operation(self, failed: bool) -> Result<Release, Error>;

    /// Ends an operation that could not restore everything. The next operation or apply does it.
    async fn leave_operating(self);
}

/// The record of a release while an uninstall runs.
#[async_trait::async_trait(?Send)]
pub(crate) trait UninstallRun {
    /// Deletes the record.
    async fn finish(self) -> Result<(), Error>;

    /// Leaves the record. The next uninstall continues from it.
    async fn stop(self);
}

/// Carries out checks.
#[async_trait::async_trait(?Send)]
pub(crate) trait Checks {
    /// Whether there are checks and all of them hold now.
    async fn hold(&self, checks: &[Check]) -> bool;

    /// Fails if a check that is an error does not hold.
    async fn require(
        &self,
        phase: &str,
        checks: &[Check],
        retry: RetryPolicy,
    ) -> Result<Vec<CheckOutcome>, Error>;
}

/// What the loops of an apply and an operation work with.
pub(crate) struct Lifecycle<'a> {
    pub(crate) plan: &'a PluginPlan,
    pub(crate) checks: &'a dyn Checks,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) events: Events<'a>,
    /// Whether to wait for objects and to require gates.
    pub(crate) wait: bool,
    /// The longest time that one stage may take to become ready.
    pub(crate) timeout: Duration,
}

impl Lifecycle<'_> {
    /// Applies every stage, then prunes. The record says how it ended.
    ///
    /// # Errors
    /// The first failure, or [`Error::Interrupted`].
    pub(crate) async fn apply<R: Records<Run: Run>>(
        &self,
        mut run: R::Run,
        drivers: &mut Drivers<'_, R>,
        values: &mut Values,
    ) -> Result<Release, Error> {
        let work = async {
            self.stages(&mut run, drivers, values).await?;
            for driver in drivers.in_order(PRUNE_ORDER) {
                driver.prune(&mut run).await?;
            }
            Ok(())
        };
        match unless_cancelled(self.cancel, work).await {
            Ok(()) => run.finish().await,
            Err(Error::Interrupted { .. }) => {
                run.interrupt().await;
                Err(Error::Interrupted { recorded: true })
            }
            Err(error) => {
                run.fail(&error.to_string()).await;
                Err(error)
            }
        }
    }

    /// Applies every stage, then restores the release, also after a failure.
    ///
    /// # Errors
    /// The first failure, or [`Error::Interrupted`].
    pub(crate) async fn operate<R: Records<Run: Run>>(
        &self,
        mut run: R::Run,
        drivers: &mut Drivers<'_, R>,
        values: &mut Values,
    ) -> Result<Release, Error> {
        let done = unless_cancelled(self.cancel, self.stages(&mut run, drivers, values)).await;
        let restored = match done {
            Err(Error::Interrupted { .. }) => Err(Error::Interrupted { recorded: true }),
            _ => unless_cancelled(self.cancel, run.restore(self.timeout)).await,
        };
        let Err(error) = restored else {
            let release = run.finish_operation(done.is_err()).await;
            done?;
            return release;
        };
        run.leave_operating().await;
        Err(match (done, error) {
            (Ok(()) | Err(Error::Interrupted { .. }), Error::Interrupted { .. }) => {
                Error::Interrupted { recorded: true }
            }
            (Ok(()), error) => error,
            (Err(first), error) => {
                (self.events)(Event::Cluster(ClusterProgress::Warning(error.to_string())));
                first
            }
        })
    }

    /// Applies the stages, one after the other.
    async fn stages<R: Records<Run: Run>>(
        &self,
        run: &mut R::Run,
        drivers: &mut Drivers<'_, R>,
        values: &mut Values,
    ) -> Result<(), Error> {
        for (index, stage) in self.plan.stages.iter().enumerate() {
            if self.checks.hold(&stage.skip_if).await {
                run.skip_stage(index).await;
                continue;
            }
            for driver in drivers.in_order(APPLY_ORDER) {
                driver.apply(StageRef { index, stage }, values, run).await?;
            }
            if self.wait {
                self.require_gates(stage).await?;
            }
        }
        Ok(())
    }

    /// Fails if a gate of a stage does not hold in time.
    pub(crate) async fn require_gates(&self, stage: &Stage) -> Result<(), Error> {
        let phase = format!("gates of stage {}", stage.name);
        self.checks.require(&phase, &stage.gates, RetryPolicy::UntilTimeout).await.map(drop)
    }
}

/// Deletes what a release has, kind by kind, and then its record. On failure the record stays.
///
/// # Errors
/// The first failure.
pub(crate) async fn uninstall<R: Records<Uninstall: UninstallRun>>(
    mut run: R::Uninstall,
    drivers: &mut Drivers<'_, R>,
    request: &UninstallRequest,
) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for driver in drivers.in_order(DELETE_ORDER) {
        match driver.delete(request, &mut run).await {
            Ok(deleted) => changes.extend(deleted),
            Err(error) => {
                run.stop().await;
                return Err(error);
            }
        }
    }
    run.finish().await?;
    Ok(changes)
}

#[async_trait::async_trait(?Send)]
impl Run for Apply<'_> {
    async fn skip_stage(&mut self, stage: usize) {
        Apply::skip_stage(self, stage).await;
    }

    async fn finish(self) -> Result<Release, Error> {
        Ok(Apply::finish(self).await?)
    }

    async fn fail(self, why: &str) {
        Apply::fail(self, why).await;
    }

    async fn interrupt(self) {
        Apply::interrupt(self).await;
    }

    async fn restore(&mut self, timeout: Duration) -> Result<(), Error> {
        Ok(Apply::restore(self, timeout).await?)
    }

    async fn finish_operation(self, failed: bool) -> Result<Release, Error> {
        Ok(Apply::finish_operation(self, failed).await?)
    }

    async fn leave_operating(self) {
        Apply::leave_operating(self).await;
    }
}

#[async_trait::async_trait(?Send)]
impl UninstallRun for Uninstall<'_> {
    async fn finish(self) -> Result<(), Error> {
        Ok(Uninstall::finish(self).await?)
    }

    async fn stop(self) {
        Uninstall::stop(self).await;
    }
}

#[cfg(test)]
mod tests;
