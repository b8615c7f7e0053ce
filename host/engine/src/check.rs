//! Carries out checks: observes the cluster or a URL, and evaluates what was observed. Must not write, and must not send a
//! secret that no plan may send.

use crate::driver::http_client;
use crate::error::Error;
use crate::event::{Event, Events};
use crate::lifecycle::Checks;
use crate::outcome::{CheckOutcome, failed};
use crate::request::RetryPolicy;
use crate::session::Session;
use std::time::Duration;
use thinkube_cluster::{ApiError, Cluster, Entry, EntryPhase, Error as ClusterError, Release, SecretCopy};
use thinkube_effects::Http;
use thinkube_plan::{
    Check, Expectation, HttpTarget, Observation, PluginPlan, Probe, Status, Verdict, credential_faults,
};
use thinkube_sandbox::Plugin;
use tokio::time::Instant;

/// The time that one evaluation may take. An expression comes from the plugin; most take microseconds.
const EVALUATION: Duration = Duration::from_secs(2);
/// The longest time that the host waits for a check.
const MAX_WAIT: Duration = Duration::from_secs(3600);
/// The pause after the first attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// Checks that run at the same time.
const AT_ONCE: usize = 8;

/// What checks can observe: the cluster, and URLs that were granted.
#[derive(Clone, Copy)]
pub(crate) struct ProbeTarget<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) http: &'a Http,
}

impl ProbeTarget<'_> {
    /// Fails if this host can never carry out the probe.
    pub(crate) fn supports(&self, probe: &Probe) -> Result<(), Error> {
        match probe {
            Probe::Http(http) if matches!(http.target, HttpTarget::Url(_)) => {
                Ok(thinkube_effects::validate_probe(self.http, http)?)
            }
            _ => Ok(thinkube_cluster::supported(probe)?),
        }
    }

    /// The observation, or the reason why there is none and whether that is permanent.
    async fn observe(&self, probe: &Probe) -> Result<Observation, (String, bool)> {
        match probe {
            Probe::Http(http) if matches!(http.target, HttpTarget::Url(_)) => {
                // A server that does not answer is an observation. Every other failure is permanent.
                thinkube_effects::probe(self.http, http).await.map_err(|error| (error.to_string(), true))
            }
            _ => self.cluster.observe(probe).await.map_err(|error| {
                let permanent = matches!(
                    error,
                    ClusterError::Probe(_)
                        | ClusterError::Api(
                            ApiError::InvalidName { .. }
                                | ApiError::NamespaceMissing { .. }
                                | ApiError::Forbidden { .. }
                        )
                );
                (error.to_string(), permanent)
            }),
        }
    }
}

/// Carries out the checks of one plan.
pub(crate) struct CheckRunner<'a> {
    target: ProbeTarget<'a>,
    plugin: Option<&'a Plugin>,
    events: Events<'a>,
}

impl<'a> CheckRunner<'a> {
    /// `http` is limited to what was granted to the plan.
    pub(crate) fn new(session: &Session<'a>, http: &'a Http) -> Self {
        let target = ProbeTarget { cluster: session.cluster, http };
        Self { target, plugin: session.plugin, events: session.events }
    }

    /// Fails if this host can never carry out a check of the plan: known before the first write.
    pub(crate) fn supports(&self, plugin_plan: &PluginPlan) -> Result<(), Error> {
        let staged = plugin_plan.stages.iter().flat_map(|stage| stage.gates.iter().chain(&stage.skip_if));
        for check in plugin_plan.preflight.iter().chain(staged).chain(&plugin_plan.health) {
            self.target.supports(&check.probe)?;
        }
        Ok(())
    }

    async fn run(&self, checks: &[Check], retry: RetryPolicy) -> Vec<CheckOutcome> {
        run_checks(&self.target, self.plugin, checks, retry, self.events).await
    }

    pub(crate) fn cluster(&self) -> &'a Cluster {
        self.target.cluster
    }
}

#[async_trait::async_trait(?Send)]
impl Checks for CheckRunner<'_> {
    async fn hold(&self, checks: &[Check]) -> bool {
        let quiet = |_| ();
        !checks.is_empty()
            && run_checks(&self.target, self.plugin, checks, RetryPolicy::Once, &quiet)
                .await
                .iter()
                .all(CheckOutcome::passed)
    }

    async fn require(
        &self,
        phase: &str,
        checks: &[Check],
        retry: RetryPolicy,
    ) -> Result<Vec<CheckOutcome>, Error> {
        let outcomes = self.run(checks, retry).await;
        let failed = failed(&outcomes);
        if failed.is_empty() {
            Ok(outcomes)
        } else {
            Err(Error::ChecksFailed { phase: phase.to_owned(), failed })
        }
    }
}

/// Runs `checks`, some at the same time. The outcomes are in the order of the checks.
pub(crate) async fn run_checks(
    asked: &ProbeTarget<'_>,
    plugin: Option<&Plugin>,
    checks: &[Check],
    retry: RetryPolicy,
    events: Events<'_>,
) -> Vec<CheckOutcome> {
    use futures::StreamExt;
    futures::stream::iter(checks)
        .map(async |check| {
            let outcome = run_check(asked, plugin, check, retry).await;
            events(Event::Checked(outcome.clone()));
            outcome
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// Runs the health checks of a release, with `tests` its tests too, and compares copied Secrets with their sources. A stale
/// copy is a warning, because an apply updates it. The session's plugin is needed only for checks that the plugin evaluates.
///
/// # Errors
/// [`Error::OtherPlugin`] if the session's plugin did not make the release, and [`Error::Invalid`] if a check of the record
/// would send a secret that no plan may send.
pub async fn check(
    session: &Session<'_>,
    release: &Release,
    tests: bool,
    retry: RetryPolicy,
) -> Result<Vec<CheckOutcome>, Error> {
    let expected = &release.plan.plugin.digest;
    if let Some(plugin) = session.plugin.filter(|plugin| plugin.digest() != expected) {
        let (release, expected) = (release.name.clone(), expected.clone());
        return Err(Error::OtherPlugin { release, expected, found: plugin.digest().clone() });
    }
    let plugin_plan = &release.plan.plugin_plan;
    // Otherwise a client that may write the record could have any Secret sent.
    let faults = credential_faults(plugin_plan);
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let http = http_client(&release.plan.granted, session.http)?;
    let runner = CheckRunner::new(session, &http);
    let mut outcomes = runner.run(&plugin_plan.health, retry).await;
    if tests {
        outcomes.extend(runner.run(&plugin_plan.tests, retry).await);
    }
    // A skipped stage created no copy.
    let skipped = |copied: &SecretCopy| {
        let of = |entry: &&Entry| entry.object.identity() == copied.copy.identity();
        release.inventory.iter().find(of).is_some_and(|entry| entry.phase == EntryPhase::Skipped)
    };
    let copied =
        session.cluster.secret_copies(&release.plan).await.into_iter().filter(|copied| !skipped(copied));
    outcomes.extend(copied.map(CheckOutcome::of_copy));
    Ok(outcomes)
}

async fn run_check(
    asked: &ProbeTarget<'_>,
    plugin: Option<&Plugin>,
    check: &Check,
    retry: RetryPolicy,
) -> CheckOutcome {
    let deadline = Instant::now() + Duration::from_secs(check.timeout_seconds.into()).min(MAX_WAIT);
    let mut pause = FIRST_PAUSE;
    let mut attempts = 0;
    let verdict = loop {
        attempts += 1;
        let (verdict, permanent) = attempt(asked, plugin, check).await;
        let over = permanent || retry == RetryPolicy::Once || Instant::now() + pause >= deadline;
        if verdict.status == Status::Passed || over {
            break verdict;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    };
    CheckOutcome {
        name: check.name.clone(),
        title: check.title.clone(),
        verdict,
        severity: check.severity,
        attempts,
        suggestion: check.remedy.clone(),
    }
}

/// One attempt, and whether its verdict is permanent.
async fn attempt(asked: &ProbeTarget<'_>, plugin: Option<&Plugin>, check: &Check) -> (Verdict, bool) {
    let unknown = |message: String| Verdict { status: Status::Unknown, message, remedy: None };
    let sends = matches!(&check.probe, Probe::Http(http) if http.credentials.is_some());
    // The health checks at the end of an operation come from the record, which no rule has validated.
    if sends && check.expect == Expectation::Evaluate {
        let message =
            "an answer may hold the secret that was sent, so the plugin cannot evaluate it: use CEL";
        return (unknown(message.to_owned()), true);
    }
    let observation = match asked.observe(&check.probe).await {
        Ok(observation) => observation,
        Err((message, permanent)) => return (unknown(message), permanent),
    };
    let verdict = match (&check.expect, plugin) {
        (Expectation::Evaluate, None) => {
            return (
                unknown("the plugin evaluates this check itself, and none was given: give the plugin of the release".to_owned()),
                true,
            );
        }
        (Expectation::Evaluate, Some(plugin)) => match plugin.evaluate(&check.name, &observation).await {
            Ok(called) => called.value,
            Err(error) => return (unknown(error.to_string()), true),
        },
        _ => evaluate_in_time(check, observation).await,
    };
    (verdict, false)
}

/// Evaluates on a thread of its own, because an expression cannot be interrupted.
async fn evaluate_in_time(check: &Check, observation: Observation) -> Verdict {
    let unknown = |message: String| Verdict { status: Status::Unknown, message, remedy: None };
    let check = check.clone();
    let evaluation = tokio::task::spawn_blocking(move || thinkube_validate::evaluate(&check, &observation));
    match tokio::time::timeout(EVALUATION, evaluation).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => unknown("the expression could not be evaluated".to_owned()),
        Err(_) => unknown(format!("the expression took longer than {} s", EVALUATION.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};
    use thinkube_cluster::{Connect, Phase};
    use thinkube_effects::HttpOptions;
    use thinkube_plan::{Digest, Plan, SecretInputs};
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    type Paths = Arc<Mutex<Vec<String>>>;

    /// An API server that knows its version and nothing else, and keeps the paths that it is asked for.
    async fn server() -> (Cluster, Paths) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let kept = Paths::default();
        let seen = Arc::clone(&kept);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut stream, mut head) = (BufReader::new(stream), String::new());
                while stream.read_line(&mut head).await.is_ok_and(|length| length > 2) {}
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let status = if path == "/version" { 200 } else { 404 };
                seen.lock().expect("no test panics with it").push(path);
                let body = json!({"major": "1", "minor": "34"}).to_string();
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                let _closed = stream.write_all(answer.as_bytes()).await;
            }
        });
        let kubeconfig = tempfile::NamedTempFile::new().expect("a temporary file");
        let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "c", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]});
        std::fs::write(kubeconfig.path(), text.to_string()).expect("writable");
        let path = Some(kubeconfig.path().to_owned());
        let options = Connect { kubeconfig: path, context: None, state_namespace: "home".into() };
        let cluster = Cluster::connect(&options).await.expect("it answers");
        kept.lock().expect("no test panics with it").clear();
        (cluster, kept)
    }

    /// A release whose record has a check that sends the release's own Secret to its own Service, after `change`.
    fn recorded(change: impl FnOnce(&mut Value)) -> Release {
        let reference = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "namespace": "demo", "name": name});
        let secret = |name: &str, content: Value| {
            json!({"secret": {"name": name, "target": reference("Secret", name), "secretType": "Opaque",
                "content": content, "onUninstall": "delete"}})
        };
        let own = json!({"entries": [{"key": "password", "source": {"input": "admin-password"}}]});
        let mut platform = reference("Secret", "platform");
        platform["namespace"] = json!("default");
        let service = json!({"object": {"manifest": {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "server", "namespace": "demo"}, "spec": {"selector": {"app": "server"}}},
            "onChange": "update", "onUninstall": "delete"}});
        let steps = json!([secret("root", own), secret("mirrored", json!({"mirror": platform})), service]);
        let probe = json!({"http": {"method": "GET",
            "target": {"service": {"namespace": "demo", "name": "server", "port": 80, "path": "/"}},
            "credentials": {"header": "x-auth", "username": "root",
                "password": {"namespace": "demo", "name": "root", "key": "password"}}}});
        let check = json!({"name": "login", "title": "", "probe": probe, "expect": "holds",
            "timeoutSeconds": 1, "severity": "warning"});
        let mut plan = json!({"apiVersion": Plan::API_VERSION, "kind": "Plan", "release": "demo",
            "namespace": "demo", "settings": {}, "requested": [], "granted": [],
            "plugin": {"name": "p", "version": "1.0.0", "digest": Digest::of(b"p")},
            "preflight": [], "health": [check], "tests": [],
            "stages": [{"name": "one", "steps": steps, "gates": [], "skipIf": []}]});
        change(&mut plan);
        Release {
            name: "demo".into(),
            namespace: "demo".into(),
            revision: 1,
            phase: Phase::Deployed,
            message: None,
            plan: serde_json::from_value(plan).expect("it is a plan"),
            digest: Digest::of(b""),
            inventory: vec![],
            external: vec![],
            pod_files: vec![],
            images: vec![],
            applyset_id: "a".into(),
            updated: String::new(),
        }
    }

    async fn checked(cluster: &Cluster, release: &Release) -> Result<Vec<CheckOutcome>, Error> {
        let (http, secrets) = (HttpOptions::default(), SecretInputs::default());
        check(&Session::new(cluster, &http, &secrets), release, false, RetryPolicy::Once).await
    }

    #[tokio::test]
    async fn a_record_that_would_leak_a_secret_is_refused_before_any_request() {
        const AT: &str = "/health/0/probe/http";
        let (cluster, paths) = server().await;
        let password = format!("{AT}/credentials/password");
        for (pointer, value, reason) in [
            ("/health/0/expect", json!("evaluate"), "use CEL"),
            (&*password, json!({"namespace": "demo", "name": "mirrored", "key": "a"}), "must not be sent"),
            (&*format!("{AT}/target"), json!({"url": "https://evil.example/"}), "must not be sent to a URL"),
        ] {
            let change = |plan: &mut Value| *plan.pointer_mut(pointer).expect("it is there") = value;
            let error = checked(&cluster, &recorded(change)).await.expect_err("it is refused");
            assert!(matches!(&error, Error::Invalid(_)) && error.to_string().contains(reason), "{error}");
        }
        assert!(paths.lock().expect("no test panics with it").is_empty(), "{paths:?}");
        // A check that a plan may have is carried out.
        let outcomes = checked(&cluster, &recorded(|_| ())).await.expect("the record is valid");
        assert_eq!(outcomes[0].verdict.status, Status::Unknown, "{outcomes:?}");
        assert!(!paths.lock().expect("no test panics with it").is_empty());
    }

    /// An operation ends with the health checks of the record.
    #[tokio::test]
    async fn a_plugin_never_evaluates_an_answer_to_a_secret() {
        let (cluster, paths) = server().await;
        let release = recorded(|plan| plan["health"][0]["expect"] = json!("evaluate"));
        let http = http_client(&[], &HttpOptions::default()).expect("it can be made");
        let asked = ProbeTarget { cluster: &cluster, http: &http };
        let (verdict, permanent) = attempt(&asked, None, &release.plan.plugin_plan.health[0]).await;
        assert!(permanent && verdict.message.contains("use CEL"), "{verdict:?}");
        assert!(paths.lock().expect("no test panics with it").is_empty(), "{paths:?}");
    }
}
