use crate::driver::http_client;
use crate::lifecycle::Checks;
use crate::{Error, Event, Events, Session};
use serde::Serialize;
use std::time::Duration;
use thinkube_cluster::{
    ApiError, Cluster, CopyState, Entry, EntryPhase, Error as ClusterError, Release, SecretCopy,
};
use thinkube_effects::Http;
use thinkube_plan::{
    Check, Expectation, HttpTarget, Observation, PluginPlan, Probe, Severity, Status, Verdict,
    credential_faults,
};
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
    fn of_copy(copied: SecretCopy) -> Self {
        let SecretCopy { copy, key, source, state } = copied;
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
pub enum RetryPolicy {
    /// One look.
    Once,
    /// Until it holds or the check's own time is over.
    UntilTimeout,
}

/// What checks can look at: the cluster, and URLs that were granted.
#[derive(Clone, Copy)]
pub(crate) struct ProbeTarget<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) http: &'a Http,
}

impl ProbeTarget<'_> {
    /// Whether this probe could be answered at all, to be known before anything is changed.
    pub(crate) fn supports(&self, probe: &Probe) -> Result<(), Error> {
        match probe {
            Probe::Http(http) if matches!(http.target, HttpTarget::Url(_)) => {
                Ok(thinkube_effects::validate_probe(self.http, http)?)
            }
            _ => Ok(thinkube_cluster::supported(probe)?),
        }
    }

    /// What it shows, or why nothing can be seen, and whether that is for good.
    async fn observe(&self, probe: &Probe) -> Result<Observation, (String, bool)> {
        match probe {
            Probe::Http(http) if matches!(http.target, HttpTarget::Url(_)) => {
                // Whoever does not answer is an observation: what is left as an error does not go away.
                thinkube_effects::probe(self.http, http).await.map_err(|error| (error.to_string(), true))
            }
            _ => self.cluster.observe(probe).await.map_err(|error| {
                let for_good = matches!(
                    error,
                    ClusterError::Probe(_)
                        | ClusterError::Api(
                            ApiError::InvalidName { .. }
                                | ApiError::NamespaceMissing { .. }
                                | ApiError::Forbidden { .. }
                        )
                );
                (error.to_string(), for_good)
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

/// Asks `checks`, some at the same time. The outcomes are in the order of the checks.
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
/// [`Error::OtherPlugin`] if `plugin` is not the one that made the release, and [`Error::Invalid`] if a check of the record
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
    // A person who may write the record could otherwise have any Secret sent.
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
    // What its stage left out, because that is done already, was never made.
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
    let mut pause = LOOK_AGAIN.0;
    let mut looks = 0;
    let verdict = loop {
        looks += 1;
        let (verdict, for_good) = look(asked, plugin, check).await;
        let over = for_good || retry == RetryPolicy::Once || Instant::now() + pause >= deadline;
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
async fn look(asked: &ProbeTarget<'_>, plugin: Option<&Plugin>, check: &Check) -> (Verdict, bool) {
    let unknown = |message: String| Verdict { status: Status::Unknown, message, remedy: None };
    let sends = matches!(&check.probe, Probe::Http(http) if http.credentials.is_some());
    // An operation ends with the health checks of the record, which is no authority.
    if sends && check.expect == Expectation::Evaluate {
        let message =
            "an answer may hold the secret that was sent, so the plugin cannot evaluate it: use CEL";
        return (unknown(message.to_owned()), true);
    }
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
    let judging = tokio::task::spawn_blocking(move || thinkube_validate::evaluate(&check, &observation));
    match tokio::time::timeout(JUDGEMENT, judging).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => unknown("the expression could not be evaluated".to_owned()),
        Err(_) => unknown(format!("the expression took longer than {} s", JUDGEMENT.as_secs())),
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
    async fn a_record_that_would_send_a_secret_against_the_rules_is_refused_before_anything_is_read() {
        const AT: &str = "/health/0/probe/http";
        let (cluster, paths) = server().await;
        let password = format!("{AT}/credentials/password");
        for (pointer, value, said) in [
            ("/health/0/expect", json!("evaluate"), "use CEL"),
            (&*password, json!({"namespace": "demo", "name": "mirrored", "key": "a"}), "must not be sent"),
            (&*format!("{AT}/target"), json!({"url": "https://evil.example/"}), "must not be sent to a URL"),
        ] {
            let change = |plan: &mut Value| *plan.pointer_mut(pointer).expect("it is there") = value;
            let error = checked(&cluster, &recorded(change)).await.expect_err("it is refused");
            assert!(matches!(&error, Error::Invalid(_)) && error.to_string().contains(said), "{error}");
        }
        assert!(paths.lock().expect("no test panics with it").is_empty(), "{paths:?}");
        // What a plan may send is asked.
        let outcomes = checked(&cluster, &recorded(|_| ())).await.expect("it is looked at");
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
        let (verdict, for_good) = look(&asked, None, &release.plan.plugin_plan.health[0]).await;
        assert!(for_good && verdict.message.contains("use CEL"), "{verdict:?}");
        assert!(paths.lock().expect("no test panics with it").is_empty(), "{paths:?}");
    }
}
