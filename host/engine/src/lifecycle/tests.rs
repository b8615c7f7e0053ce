//! The loops with fake drivers, a fake record and fake checks: order, interruption, and failure at each point.

use super::*;
use crate::driver::{Kind, Observed, Recorded, StepDriver};
use std::cell::RefCell;
use std::rc::Rc;
use thinkube_cluster::{Orphan, Phase, UninstallOptions};
use thinkube_plan::{Action, Digest, ObjectRef, Subject, testing};

/// What happened, in order; and the point at which the next failure or interruption happens.
#[derive(Clone, Default)]
struct Script {
    log: Rc<RefCell<Vec<String>>>,
    fails_at: Option<String>,
    interrupts_at: Option<String>,
    skips: Vec<&'static str>,
    cancel: CancellationToken,
}

impl Script {
    fn failing(at: &str) -> Self {
        Self { fails_at: Some(at.to_owned()), ..Self::default() }
    }

    fn interrupted(at: &str) -> Self {
        Self { interrupts_at: Some(at.to_owned()), ..Self::default() }
    }

    async fn step(&self, name: impl Into<String>) -> Result<(), Error> {
        let name = name.into();
        self.log.borrow_mut().push(name.clone());
        if self.interrupts_at.as_ref() == Some(&name) {
            self.cancel.cancel();
            // The token is noticed at the next await, as it is between two requests.
            std::future::pending::<()>().await;
        }
        if self.fails_at.as_ref() == Some(&name) {
            return Err(Error::Descriptor(name));
        }
        Ok(())
    }

    fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }
}

struct Fake;

impl Records for Fake {
    type Run = FakeRun;
    type Uninstall = FakeRun;
}

struct FakeRun(Script);

fn release() -> Release {
    let plan = testing::plan(Vec::new());
    Release {
        name: plan.release.clone(),
        namespace: plan.namespace.clone(),
        revision: 1,
        phase: Phase::Deployed,
        message: None,
        digest: Digest::of(b""),
        plan,
        inventory: Vec::new(),
        external: Vec::new(),
        pod_files: Vec::new(),
        images: Vec::new(),
        applyset_id: String::new(),
        updated: String::new(),
    }
}

#[async_trait::async_trait(?Send)]
impl Run for FakeRun {
    async fn skip_stage(&mut self, stage: usize) {
        let _ = self.0.step(format!("skip {stage}")).await;
    }

    async fn finish(self) -> Result<Release, Error> {
        self.0.step("finish").await.map(|()| release())
    }

    async fn fail(self, why: &str) {
        let _ = self.0.step(format!("fail: {why}")).await;
    }

    async fn interrupt(self) {
        let _ = self.0.step("interrupt").await;
    }

    async fn restore(&mut self, _timeout: Duration) -> Result<(), Error> {
        self.0.step("restore").await
    }

    async fn finish_operation(self, failed: bool) -> Result<Release, Error> {
        self.0.step(format!("finish operation, failed: {failed}")).await.map(|()| release())
    }

    async fn leave_operating(self) {
        let _ = self.0.step("leave operating").await;
    }
}

#[async_trait::async_trait(?Send)]
impl UninstallRun for FakeRun {
    async fn finish(self) -> Result<(), Error> {
        self.0.step("delete record").await
    }

    async fn stop(self) {
        let _ = self.0.step("stop").await;
    }
}

struct FakeDriver(Kind, Script);

#[async_trait::async_trait(?Send)]
impl StepDriver<Fake> for FakeDriver {
    async fn observe(&mut self, _seen: &mut Observed) -> Result<(), Error> {
        self.1.step(format!("observe {:?}", self.0)).await
    }

    fn changes(&self, _recorded: &Recorded) -> Vec<Change> {
        Vec::new()
    }

    fn is_up_to_date(&self, _seen: &Observed) -> bool {
        self.0 != Kind::External
    }

    async fn apply(
        &mut self,
        stage: StageRef<'_>,
        _values: &mut Values,
        _run: &mut FakeRun,
    ) -> Result<(), Error> {
        self.1.step(format!("apply {:?} {}", self.0, stage.stage.name)).await
    }

    async fn prune(&mut self, _run: &mut FakeRun) -> Result<(), Error> {
        self.1.step(format!("prune {:?}", self.0)).await
    }

    async fn delete(&mut self, _: &UninstallRequest, _: &mut FakeRun) -> Result<Vec<Change>, Error> {
        self.1.step(format!("delete {:?}", self.0)).await?;
        let object = ObjectRef {
            api_version: "v1".into(),
            kind: format!("{:?}", self.0),
            namespace: None,
            name: "a".into(),
        };
        Ok(vec![Change::new(Subject::Object(object), None, Action::Delete)])
    }
}

struct FakeChecks(Script);

#[async_trait::async_trait(?Send)]
impl Checks for FakeChecks {
    /// Stages are skipped by their position, because the fakes have no checks.
    async fn hold(&self, _checks: &[Check]) -> bool {
        let stage = self.0.log().iter().filter(|line| line.starts_with("stage")).count();
        self.0.step(format!("stage {stage}")).await.is_ok() && self.0.skips.contains(&["one", "two"][stage])
    }

    async fn require(
        &self,
        phase: &str,
        _checks: &[Check],
        _retry: RetryPolicy,
    ) -> Result<Vec<CheckOutcome>, Error> {
        self.0.step(phase).await.map(|()| Vec::new())
    }
}

fn drivers(script: &Script) -> Drivers<'static, Fake> {
    // In no useful order: the loops bring the kinds into theirs.
    let kinds = [Kind::PodFile, Kind::External, Kind::Object, Kind::Image];
    Drivers::of(
        kinds
            .into_iter()
            .map(|kind| (kind, Box::new(FakeDriver(kind, script.clone())) as Box<dyn StepDriver<Fake>>))
            .collect(),
    )
}

fn plan() -> PluginPlan {
    let stages = ["one", "two"].map(|name| testing::stage(name, Vec::new()));
    testing::plan(stages.into()).plugin_plan
}

/// Runs an apply, or with `operation` an operation.
async fn run(script: &Script, operation: bool, wait: bool) -> Result<Release, Error> {
    let (plan, checks) = (plan(), FakeChecks(script.clone()));
    let lifecycle = Lifecycle {
        plan: &plan,
        checks: &checks,
        cancel: &script.cancel,
        events: &|_| (),
        wait,
        timeout: Duration::ZERO,
    };
    let (run, mut drivers, mut values) = (FakeRun(script.clone()), drivers(script), Values::default());
    if operation {
        lifecycle.operate(run, &mut drivers, &mut values).await
    } else {
        lifecycle.apply(run, &mut drivers, &mut values).await
    }
}

async fn delete(script: &Script) -> Result<Vec<Change>, Error> {
    let objects =
        UninstallOptions { delete_data: false, orphan: Vec::<Orphan>::new(), timeout: Duration::ZERO };
    let request = UninstallRequest { objects, delete_images: false };
    uninstall(FakeRun(script.clone()), &mut drivers(script), &request).await
}

const STAGE_ONE: [&str; 6] = [
    "stage 0",
    "apply Image one",
    "apply External one",
    "apply Object one",
    "apply PodFile one",
    "gates of stage one",
];
const STAGE_TWO: [&str; 6] = [
    "stage 1",
    "apply Image two",
    "apply External two",
    "apply Object two",
    "apply PodFile two",
    "gates of stage two",
];
const PRUNE: [&str; 4] = ["prune Object", "prune PodFile", "prune External", "prune Image"];

fn applied() -> Vec<&'static str> {
    [&STAGE_ONE[..], &STAGE_TWO[..], &PRUNE[..]].concat()
}

#[tokio::test]
async fn every_kind_observes_in_the_order_of_applying() {
    let script = Script::default();
    let mut drivers = drivers(&script);
    let mut seen = Observed::default();
    drivers.observe(&mut seen).await.expect("no driver fails");
    assert_eq!(script.log(), ["observe Image", "observe External", "observe Object", "observe PodFile"]);
    assert!(!drivers.are_up_to_date(&seen), "one kind is not up to date");
}

#[tokio::test]
async fn an_apply_runs_the_stages_prunes_and_finishes() {
    let script = Script::default();
    run(&script, false, true).await.expect("nothing fails");
    assert_eq!(script.log(), [applied(), vec!["finish"]].concat());
}

#[tokio::test]
async fn without_waiting_no_gate_is_required() {
    let script = Script::default();
    run(&script, false, false).await.expect("nothing fails");
    assert!(!script.log().iter().any(|line| line.starts_with("gates")), "{:?}", script.log());
}

#[tokio::test]
async fn a_skipped_stage_is_recorded_and_not_applied() {
    let script = Script { skips: vec!["one"], ..Script::default() };
    run(&script, false, true).await.expect("nothing fails");
    assert_eq!(script.log()[..3], ["stage 0", "skip 0", "stage 1"]);
}

#[tokio::test]
async fn a_failure_at_any_point_of_an_apply_is_recorded_at_once() {
    for (index, point) in applied().into_iter().enumerate().filter(|(_, point)| !point.starts_with("stage")) {
        let script = Script::failing(point);
        let error = run(&script, false, true).await.expect_err("the point fails");
        let failed = format!("fail: {error}");
        let expected = [&applied()[..=index], &[failed.as_str()]].concat();
        assert_eq!(script.log(), expected, "{point}");
    }
}

#[tokio::test]
async fn an_interruption_at_any_point_of_an_apply_is_recorded() {
    for (index, point) in applied().into_iter().enumerate() {
        let script = Script::interrupted(point);
        let error = run(&script, false, true).await.expect_err("the run is interrupted");
        assert!(matches!(error, Error::Interrupted { recorded: true }), "{error}");
        assert_eq!(script.log(), [&applied()[..=index], &["interrupt"]].concat(), "{point}");
    }
}

#[tokio::test]
async fn an_operation_restores_the_release_and_prunes_nothing() {
    let script = Script::default();
    run(&script, true, true).await.expect("nothing fails");
    let end = ["restore", "finish operation, failed: false"];
    assert_eq!(script.log(), [&STAGE_ONE[..], &STAGE_TWO[..], &end].concat());
}

#[tokio::test]
async fn a_failed_operation_restores_the_release_too() {
    let stages = [STAGE_ONE, STAGE_TWO].concat();
    for (index, point) in stages.iter().enumerate().filter(|(_, point)| !point.starts_with("stage")) {
        let script = Script::failing(point);
        let error = run(&script, true, true).await.expect_err("the point fails");
        assert!(error.to_string().ends_with(point), "the first failure is reported: {error}");
        let end = ["restore", "finish operation, failed: true"];
        assert_eq!(script.log(), [&stages[..=index], &end].concat(), "{point}");
    }
}

#[tokio::test]
async fn an_operation_that_cannot_restore_says_so_in_the_record() {
    let script = Script::failing("restore");
    run(&script, true, true).await.expect_err("restoring fails");
    assert_eq!(script.log()[12..], ["restore", "leave operating"]);
}

#[tokio::test]
async fn an_interrupted_operation_is_not_restored_now() {
    for point in ["apply Object one", "restore"] {
        let script = Script::interrupted(point);
        let error = run(&script, true, true).await.expect_err("the run is interrupted");
        assert!(matches!(error, Error::Interrupted { recorded: true }), "{error}");
        let log = script.log();
        assert_eq!(log[log.len() - 2..], [point, "leave operating"]);
    }
}

#[tokio::test]
async fn an_uninstall_deletes_every_kind_and_then_the_record() {
    let script = Script::default();
    let changes = delete(&script).await.expect("nothing fails");
    let order = ["delete External", "delete Image", "delete PodFile", "delete Object", "delete record"];
    assert_eq!(script.log(), order);
    let kinds: Vec<&str> =
        changes.iter().filter_map(Change::object).map(|object| object.kind.as_str()).collect();
    assert_eq!(kinds, ["External", "Image", "PodFile", "Object"]);
}

#[tokio::test]
async fn a_failed_deletion_keeps_the_record_and_what_comes_after() {
    let order = ["delete External", "delete Image", "delete PodFile", "delete Object"];
    for (index, point) in order.into_iter().enumerate() {
        let script = Script::failing(point);
        delete(&script).await.expect_err("the point fails");
        assert_eq!(script.log(), [&order[..=index], &["stop"]].concat(), "{point}");
    }
}
