use crate::support::{Bench, bench, secrets};
use std::time::Duration;
use thinkube_cluster::{ApiError, ApplyOptions, BuiltImage, Error, Phase, ReleaseError};
use thinkube_plan::{Digest, Plan};

fn short() -> ApplyOptions {
    ApplyOptions { lease_duration: Duration::from_secs(2), ..Default::default() }
}

/// An apply that dies after `stages` stages: nothing is said, nothing is given back.
async fn die_after(bench: &Bench, plan: &Plan, stages: usize) {
    let inputs = secrets();
    let comparison = bench.compare(plan).await.unwrap();
    let mut apply = bench.cluster.begin(plan, &inputs, comparison, &short(), &|_| {}).await.unwrap();
    for stage in 0..stages {
        apply.stage(stage).await.unwrap();
    }
    drop(apply);
}

async fn once_the_claim_has_ended<T, F: Future<Output = Result<T, Error>>>(work: impl Fn() -> F) -> T {
    for _ in 0..40 {
        match work().await {
            Err(Error::Release(ReleaseError::Busy { .. })) => {
                tokio::time::sleep(Duration::from_millis(250)).await
            }
            other => return other.unwrap(),
        }
    }
    panic!("the claim did not end");
}

#[tokio::test]
async fn a_host_that_died_anywhere_is_finished_by_another_apply() {
    for stages in 0..=2 {
        let Some(bench) = bench().await else { return };
        let plan = bench.usual();
        die_after(&bench, &plan, stages).await;
        let record = bench.cluster.release("demo").await.unwrap().unwrap();
        assert_eq!(record.phase, Phase::Applying);
        assert_eq!(record.inventory.len(), 6, "everything that may exist is on record");
        let busy = bench.apply(&plan).await.unwrap_err();
        assert!(
            matches!(&busy, Error::Release(ReleaseError::Busy { release, .. }) if release == "demo"),
            "{busy}"
        );
        let release = once_the_claim_has_ended(|| bench.apply(&plan)).await.expect("it was not finished");
        assert_eq!((release.revision, release.phase), (1, Phase::Deployed));
        assert_eq!(bench.labelled().await.len(), 6);
        assert!(bench.compare(&plan).await.unwrap().up_to_date());
        bench.uninstall(false).await.unwrap();
        assert_eq!(bench.labelled().await.len(), 0, "no orphans");
        bench.clean().await;
    }
}

#[tokio::test]
async fn an_image_is_on_record_as_soon_as_it_is_pushed() {
    let Some(bench) = bench().await else { return };
    let (plan, inputs) = (bench.usual(), secrets());
    let image = |digest: &str| BuiltImage {
        name: "web".into(),
        source: "https://git.example.org/web".into(),
        commit: "c0ffee".into(),
        reference: format!("registry.example.org/web@{}", Digest::of(digest.as_bytes())),
    };
    let comparison = bench.compare(&plan).await.unwrap();
    let mut apply = bench.cluster.begin(&plan, &inputs, comparison, &short(), &|_| {}).await.unwrap();
    for digest in ["one", "two"] {
        apply.built(image(digest)).await.unwrap();
    }
    drop(apply);
    assert_eq!(bench.cluster.release("demo").await.unwrap().unwrap().images, [image("two")]);
    bench.clean().await;
}

#[tokio::test]
async fn a_host_that_died_anywhere_is_taken_back_by_uninstall() {
    for stages in 0..=2 {
        let Some(bench) = bench().await else { return };
        die_after(&bench, &bench.usual(), stages).await;
        once_the_claim_has_ended(|| bench.uninstall(false)).await;
        assert_eq!(bench.labelled().await.len(), 0, "no orphans after {stages} stages");
        assert!(bench.cluster.release("demo").await.unwrap().is_none());
        bench.clean().await;
    }
}

#[tokio::test]
async fn an_upgrade_that_died_knows_both_the_old_and_the_new_objects() {
    let Some(bench) = bench().await else { return };
    let old = bench.plan(vec![("one", vec![bench.namespace_step(), bench.config("old", "1")])]);
    let new = bench.plan(vec![("one", vec![bench.namespace_step(), bench.config("new", "1")])]);
    bench.apply(&old).await.unwrap();
    die_after(&bench, &new, 1).await;
    assert_eq!(bench.labelled().await.len(), 3);
    // Back to the old plan: the new object goes.
    once_the_claim_has_ended(|| bench.apply(&old)).await;
    assert_eq!(bench.labelled().await.len(), 2);
    bench.uninstall(false).await.unwrap();
    assert_eq!(bench.labelled().await.len(), 0);
    bench.clean().await;
}

#[tokio::test]
async fn a_record_that_changed_since_the_comparison_is_not_overwritten() {
    let Some(bench) = bench().await else { return };
    let plan = bench.plan(vec![("one", vec![bench.namespace_step(), bench.config("a", "1")])]);
    let early = bench.compare(&plan).await.unwrap();
    bench.apply(&plan).await.unwrap();
    let inputs = secrets();
    let late = bench.cluster.begin(&plan, &inputs, early, &short(), &|_| {}).await;
    assert!(matches!(late.err().unwrap(), Error::Api(ApiError::LostRace { .. })));
    bench.apply(&plan).await.unwrap();
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn who_stops_in_time_leaves_a_word_and_no_claim() {
    let Some(bench) = bench().await else { return };
    let plan = bench.usual();
    let inputs = secrets();
    let comparison = bench.compare(&plan).await.unwrap();
    let mut apply =
        bench.cluster.begin(&plan, &inputs, comparison, &ApplyOptions::default(), &|_| {}).await.unwrap();
    apply.stage(0).await.unwrap();
    apply.interrupt().await;
    assert_eq!(bench.cluster.release("demo").await.unwrap().unwrap().phase, Phase::Interrupted);
    bench.apply(&plan).await.unwrap().expect("there is no claim to wait for");
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}
