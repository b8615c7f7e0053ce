use crate::{Error, Event, Events};
use serde::Serialize;
use std::time::Duration;
use thinkube_cluster::{Cluster, Error as ClusterError, Release};
use thinkube_plan::{Check, Expectation, Observation, Severity, Status, Verdict};
use thinkube_sandbox::Plugin;
use tokio::time::Instant;

/// The time that one judgement may take. An expression comes from the plugin; most take microseconds.
const JUDGEMENT: Duration = Duration::from_secs(2);
/// The longest time a check may ask to be waited for.
const MAX_WAIT: Duration = Duration::from_secs(3600);
/// How long the host waits between two looks: at first, and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));
/// Checks that are asked at the same time.
const AT_ONCE: usize = 8;

/// How a check ended.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckOutcome {
    /// The check's name.
    pub name: String,
    /// What is true when it passes.
    pub title: String,
    /// Passed, failed or unknown, and why.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether a failure is an error.
    pub severity: Severity,
    /// How often it was asked.
    pub looks: u32,
    /// What the check's author suggests; the verdict's own remedy goes before it.
    #[serde(skip)]
    suggestion: Option<String>,
}

impl CheckOutcome {
    /// Whether it holds.
    pub fn passed(&self) -> bool {
        self.verdict.status == Status::Passed
    }

    /// What to do, when it does not hold.
    pub fn remedy(&self) -> Option<&str> {
        self.verdict.remedy.as_deref().or(self.suggestion.as_deref()).filter(|_| !self.passed())
    }
}

/// Whether to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// One look.
    Once,
    /// Until it holds or the check's own time is over.
    UntilTimeout,
}

/// Asks `checks`, some at the same time. The outcomes are in the order of the checks.
pub async fn run_checks(
    cluster: &Cluster,
    plugin: Option<&Plugin>,
    checks: &[Check],
    patience: Patience,
    events: Events<'_>,
) -> Vec<CheckOutcome> {
    use futures::StreamExt;
    futures::stream::iter(checks)
        .map(async |check| {
            let outcome = run_check(cluster, plugin, check, patience).await;
            events(Event::Checked(outcome.clone()));
            outcome
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// The outcomes that are errors.
pub fn failed(outcomes: &[CheckOutcome]) -> Vec<CheckOutcome> {
    outcomes
        .iter()
        .filter(|outcome| !outcome.passed() && outcome.severity == Severity::Error)
        .cloned()
        .collect()
}

/// Asks the health checks of a release, and its tests too if `tests` says so. `plugin` is needed only where a check
/// is the plugin's own to judge.
///
/// # Errors
/// [`Error::OtherPlugin`] if `plugin` is not the one that made the release.
pub async fn check(
    cluster: &Cluster,
    release: &Release,
    plugin: Option<&Plugin>,
    tests: bool,
    patience: Patience,
    events: Events<'_>,
) -> Result<Vec<CheckOutcome>, Error> {
    let expected = &release.plan.plugin.digest;
    if let Some(plugin) = plugin.filter(|plugin| plugin.digest() != expected) {
        let (release, expected) = (release.name.clone(), expected.clone());
        return Err(Error::OtherPlugin { release, expected, found: plugin.digest().clone() });
    }
    let outline = &release.plan.outline;
    let mut outcomes = run_checks(cluster, plugin, &outline.health, patience, events).await;
    if tests {
        outcomes.extend(run_checks(cluster, plugin, &outline.tests, patience, events).await);
    }
    Ok(outcomes)
}

async fn run_check(
    cluster: &Cluster,
    plugin: Option<&Plugin>,
    check: &Check,
    patience: Patience,
) -> CheckOutcome {
    let deadline = Instant::now() + Duration::from_secs(check.timeout_seconds.into()).min(MAX_WAIT);
    let mut pause = LOOK_AGAIN.0;
    let mut looks = 0;
    let verdict = loop {
        looks += 1;
        let (verdict, for_good) = look(cluster, plugin, check).await;
        let over = for_good || patience == Patience::Once || Instant::now() + pause >= deadline;
        if verdict.status == Status::Passed || over {
            break verdict;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_AGAIN.1);
    };
    CheckOutcome {
        name: check.name.clone(),
        title: check.title.clone(),
        verdict,
        severity: check.severity,
        looks,
        suggestion: check.remedy.clone(),
    }
}

/// One look, and whether another one could end differently.
async fn look(cluster: &Cluster, plugin: Option<&Plugin>, check: &Check) -> (Verdict, bool) {
    let unknown = |message: String| Verdict { status: Status::Unknown, message, remedy: None };
    let observation = match cluster.observe(&check.probe).await {
        Ok(observation) => observation,
        Err(error) => {
            let for_good = matches!(
                error,
                ClusterError::Unsupported { .. }
                    | ClusterError::Invalid { .. }
                    | ClusterError::Forbidden { .. }
            );
            return (unknown(error.to_string()), for_good);
        }
    };
    let verdict = match (&check.expect, plugin) {
        (Expectation::Evaluate, None) => {
            return (unknown("the plugin judges this check itself: give it with --plugin".to_owned()), true);
        }
        (Expectation::Evaluate, Some(plugin)) => match plugin.evaluate(&check.name, &observation).await {
            Ok(called) => called.value,
            Err(error) => return (unknown(error.to_string()), true),
        },
        _ => judge_in_time(check, observation).await,
    };
    (verdict, false)
}

/// On a thread of its own, for an expression cannot be interrupted.
async fn judge_in_time(check: &Check, observation: Observation) -> Verdict {
    let unknown = |message: String| Verdict { status: Status::Unknown, message, remedy: None };
    let check = check.clone();
    let judging = tokio::task::spawn_blocking(move || thinkube_validate::judge(&check, &observation));
    match tokio::time::timeout(JUDGEMENT, judging).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => unknown("the expression could not be evaluated".to_owned()),
        Err(_) => unknown(format!("the expression took longer than {} s", JUDGEMENT.as_secs())),
    }
}
