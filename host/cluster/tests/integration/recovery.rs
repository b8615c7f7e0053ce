//! A host that dies between two requests, and the next one.

use crate::support::{Fixture, fixture, secrets};
use std::time::Duration;
use thinkube_cluster::{ApiError, ApplyOptions, BuiltImage, Error, Phase, ReleaseError};
use thinkube_plan::{Digest, Plan};

fn short() -> ApplyOptions {
    ApplyOptions { lease_duration: Duration::from_secs(2), ..Default::default() }
}

/// An apply that dies after `stages` stages: it records nothing and keeps its Lease.
async fn die_after(fixture: &Fixture, plan: &Plan, stages: usize) {
    let inputs = secrets();
    let diff = fixture.compare(plan).await.unwrap();
    let mut apply = fixture.cluster.begin(plan, &inputs, diff, &short(), &|_| {}).await.unwrap();
    for stage in 0..stages {
        apply.apply_stage(stage).await.unwrap();
    }
    drop(apply);
}

async fn once_the_lease_has_expired<T, F: Future<Output = Result<T, Error>>>(work: impl Fn() -> F) -> T {
    for _ in 0..40 {
        match work().await {
            Err(Error::Release(ReleaseError::Busy { .. })) => {
                tokio::time::sleep(Duration::from_millis(250)).await
            }
            other => return other.unwrap(),
        }
    }
    panic!("the Lease did not expire");
}

#[tokio::test]
async fn an_apply_finishes_the_work_of_a_host_that_died() {
    for stages in 0..=2 {
        let Some(fixture) = fixture().await else { return };
        let plan = fixture.usual();
        die_after(&fixture, &plan, stages).await;
        let record = fixture.cluster.release("demo").await.unwrap().unwrap();
        assert_eq!(record.phase, Phase::Applying);
        assert_eq!(record.inventory.len(), 6, "everything that may exist is on record");
        let busy = fixture.apply(&plan).await.unwrap_err();
        assert!(
            matches!(&busy, Error::Release(ReleaseError::Busy { release, .. }) if release == "demo"),
            "{busy}"
        );
        let release = once_the_lease_has_expired(|| fixture.apply(&plan)).await.expect("it was not finished");
        assert_eq!((release.revision, release.phase), (1, Phase::Deployed));
        assert_eq!(fixture.labelled().await.len(), 6);
        assert!(fixture.compare(&plan).await.unwrap().up_to_date());
        fixture.uninstall(false).await.unwrap();
        assert_eq!(fixture.labelled().await.len(), 0, "no orphans");
        fixture.clean().await;
    }
}

#[tokio::test]
async fn an_image_is_recorded_as_soon_as_it_is_pushed() {
    let Some(fixture) = fixture().await else { return };
    let (plan, inputs) = (fixture.usual(), secrets());
    let image = |digest: &str| BuiltImage {
        name: "web".into(),
        source: "https://git.example.org/web".into(),
        commit: "c0ffee".into(),
        reference: format!("registry.example.org/web@{}", Digest::of(digest.as_bytes())),
    };
    let diff = fixture.compare(&plan).await.unwrap();
    let mut apply = fixture.cluster.begin(&plan, &inputs, diff, &short(), &|_| {}).await.unwrap();
    for digest in ["one", "two"] {
        apply.record_image(image(digest)).await.unwrap();
    }
    drop(apply);
    assert_eq!(fixture.cluster.release("demo").await.unwrap().unwrap().images, [image("two")]);
    fixture.clean().await;
}

#[tokio::test]
async fn an_uninstall_deletes_what_a_host_that_died_applied() {
    for stages in 0..=2 {
        let Some(fixture) = fixture().await else { return };
        die_after(&fixture, &fixture.usual(), stages).await;
        once_the_lease_has_expired(|| fixture.uninstall(false)).await;
        assert_eq!(fixture.labelled().await.len(), 0, "no orphans after {stages} stages");
        assert!(fixture.cluster.release("demo").await.unwrap().is_none());
        fixture.clean().await;
    }
}

#[tokio::test]
async fn an_upgrade_that_died_recorded_old_and_new_objects() {
    let Some(fixture) = fixture().await else { return };
    let old = fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.config("old", "1")])]);
    let new = fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.config("new", "1")])]);
    fixture.apply(&old).await.unwrap();
    die_after(&fixture, &new, 1).await;
    assert_eq!(fixture.labelled().await.len(), 3);
    // Back to the old plan: the new object goes.
    once_the_lease_has_expired(|| fixture.apply(&old)).await;
    assert_eq!(fixture.labelled().await.len(), 2);
    fixture.uninstall(false).await.unwrap();
    assert_eq!(fixture.labelled().await.len(), 0);
    fixture.clean().await;
}

#[tokio::test]
async fn a_record_that_changed_since_the_comparison_is_not_overwritten() {
    let Some(fixture) = fixture().await else { return };
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.config("a", "1")])]);
    let early = fixture.compare(&plan).await.unwrap();
    fixture.apply(&plan).await.unwrap();
    let inputs = secrets();
    let late = fixture.cluster.begin(&plan, &inputs, early, &short(), &|_| {}).await;
    assert!(matches!(late.err().unwrap(), Error::Api(ApiError::LostRace { .. })));
    fixture.apply(&plan).await.unwrap();
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn an_abandoned_apply_records_why_and_releases_its_lease() {
    let Some(fixture) = fixture().await else { return };
    let plan = fixture.usual();
    let inputs = secrets();
    let diff = fixture.compare(&plan).await.unwrap();
    let mut apply =
        fixture.cluster.begin(&plan, &inputs, diff, &ApplyOptions::default(), &|_| {}).await.unwrap();
    apply.apply_stage(0).await.unwrap();
    apply.interrupt().await;
    assert_eq!(fixture.cluster.release("demo").await.unwrap().unwrap().phase, Phase::Interrupted);
    fixture.apply(&plan).await.unwrap().expect("the Lease is free");
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}
