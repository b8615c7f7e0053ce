use crate::{Error, Event, Events, elsewhere};
use serde::Serialize;
use std::time::Duration;
use thinkube_cluster::{Cluster, Copied, CopyState, Entry, EntryPhase, Error as ClusterError, Release};
use thinkube_effects::{Http, HttpOptions};
use thinkube_plan::{Check, Expectation, HttpTarget, Observation, Probe, Severity, Status, Verdict};
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
    /// No check of a plan has such a name: theirs are DNS labels.
    fn of_copy(copied: Copied) -> Self {
        let Copied { copy, key, source, state } = copied;
        let key = key.map(|key| format!("/{key}")).unwrap_or_default();
        let (status, message) = match state {
            Ok(CopyState::Current) => (Status::Passed, "it has".to_owned()),
            Ok(CopyState::Stale) => (Status::Failed, format!("{source} has another value by now")),
            Ok(CopyState::NoSource) => {
                (Status::Failed, format!("{source} is not there, or not with that key"))
            }
            Ok(CopyState::NoCopy) => (Status::Failed, format!("{copy} is not there, or not with that key")),
            Err(error) => (Status::Unknown, error.to_string()),
        };
        Self {
            name: format!("copy/{}/{}{key}", copy.namespace.as_deref().unwrap_or_default(), copy.name),
            title: format!("{copy} has what {source} has"),
            verdict: Verdict { status, message, remedy: None },
            severity: Severity::Warning,
            looks: 1,
            suggestion: Some("`thinkube-host apply` follows it.".to_owned()),
        }
    }

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

/// What checks can look at: the cluster, and URLs that were granted.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) http: &'a Http,
}

impl Asked<'_> {
    /// Whether this probe could be answered at all, to be known before anything is changed.
    pub(crate) fn supported(&self, probe: &Probe) -> Result<(), Error> {
        match probe {
            Probe::Http(http) if matches!(http.target, HttpTarget::Url(_)) => {
                Ok(self.http.observable(http)?)
            }
            _ => Ok(thinkube_cluster::supported(probe)?),
        }
    }

    /// What it shows, or why nothing can be seen, and whether that is for good.
    async fn observe(&self, probe: &Probe) -> Result<Observation, (String, bool)> {
        match probe {
            Probe::Http(http) if matches!(http.target, HttpTarget::Url(_)) => {
                // Whoever does not answer is an observation: what is left as an error does not go away.
                self.http.observe(http).await.map_err(|error| (error.to_string(), true))
            }
            _ => self.cluster.observe(probe).await.map_err(|error| {
                let for_good = matches!(
                    error,
                    ClusterError::Unsupported { .. }
                        | ClusterError::Invalid { .. }
                        | ClusterError::Forbidden { .. }
                );
                (error.to_string(), for_good)
            }),
        }
    }
}

/// Asks `checks`, some at the same time. The outcomes are in the order of the checks.
pub(crate) async fn run_checks(
    asked: &Asked<'_>,
    plugin: Option<&Plugin>,
    checks: &[Check],
    patience: Patience,
    events: Events<'_>,
) -> Vec<CheckOutcome> {
    use futures::StreamExt;
    futures::stream::iter(checks)
        .map(async |check| {
            let outcome = run_check(asked, plugin, check, patience).await;
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

/// Asks the health checks of a release, and its tests too if `tests` says so; and looks whether what it copied from other
/// Secrets is as they have it, which is no error: an apply follows them. `plugin` is needed only where a check is the
/// plugin's own to judge.
///
/// # Errors
/// [`Error::OtherPlugin`] if `plugin` is not the one that made the release.
pub async fn check(
    cluster: &Cluster,
    release: &Release,
    plugin: Option<&Plugin>,
    tests: bool,
    patience: Patience,
    http: &HttpOptions,
    events: Events<'_>,
) -> Result<Vec<CheckOutcome>, Error> {
    let expected = &release.plan.plugin.digest;
    if let Some(plugin) = plugin.filter(|plugin| plugin.digest() != expected) {
        let (release, expected) = (release.name.clone(), expected.clone());
        return Err(Error::OtherPlugin { release, expected, found: plugin.digest().clone() });
    }
    let outline = &release.plan.outline;
    let http = elsewhere::http(&release.plan.granted, http)?;
    let asked = Asked { cluster, http: &http };
    let mut outcomes = run_checks(&asked, plugin, &outline.health, patience, events).await;
    if tests {
        outcomes.extend(run_checks(&asked, plugin, &outline.tests, patience, events).await);
    }
    // What its stage left out, because that is done already, was never made.
    let skipped = |copied: &Copied| {
        let of = |entry: &&Entry| entry.object.identity() == copied.copy.identity();
        release.inventory.iter().find(of).is_some_and(|entry| entry.phase == EntryPhase::Skipped)
    };
    let copied = cluster.copied(&release.plan).await.into_iter().filter(|copied| !skipped(copied));
    outcomes.extend(copied.map(CheckOutcome::of_copy));
    Ok(outcomes)
}

async fn run_check(
    asked: &Asked<'_>,
    plugin: Option<&Plugin>,
    check: &Check,
    patience: Patience,
) -> CheckOutcome {
    let deadline = Instant::now() + Duration::from_secs(check.timeout_seconds.into()).min(MAX_WAIT);
    let mut pause = LOOK_AGAIN.0;
    let mut looks = 0;
    let verdict = loop {
        looks += 1;
        let (verdict, for_good) = look(asked, plugin, check).await;
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
async fn look(asked: &Asked<'_>, plugin: Option<&Plugin>, check: &Check) -> (Verdict, bool) {
    let unknown = |message: String| Verdict { status: Status::Unknown, message, remedy: None };
    let observation = match asked.observe(&check.probe).await {
        Ok(observation) => observation,
        Err((message, for_good)) => return (unknown(message), for_good),
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
