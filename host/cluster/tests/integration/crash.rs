//! A host whose network breaks at its k-th request, for every k: a second run always ends as an undisturbed one does, and
//! leaves nothing behind. `cargo xtask sweep` takes every k; other runs take a sample, which a seed repeats.

use crate::support::{Fixture, fixture, secrets};
use futures::stream::{self, StreamExt as _};
use http::{Request, Response};
use kube::client::Body;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use thinkube_cluster::{
    ApiError, ApplyOptions, Cluster, Connect, Error, OperationPlans, Phase, ReleaseError, UninstallOptions,
};
use thinkube_plan::{
    Encoding, ObjectRef, Plan, RandomText, SecretContent, SecretEntry, SecretSource, Step, overlay,
    overridden_steps,
};
use thinkube_test_cluster::sample;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How many cases of each sweep a run takes that is not a sweep: all of them run at once.
const SAMPLE: usize = 16;

#[derive(Debug, Clone, Copy)]
enum Lost {
    /// The last request never arrives.
    Request,
    /// It is done, and its answer never comes.
    Answer,
}

/// A way to the API server that ends after `requests`.
async fn cutting(fixture: &Fixture, requests: i64, lost: Lost) -> (Cluster, Arc<AtomicI64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let left = Arc::new(AtomicI64::new(i64::MAX));
    let (client, counter) = (fixture.client.clone(), left.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, client.clone(), counter.clone(), lost));
        }
    });
    let path = fixture.folder.path().join("cut");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{{name: x, cluster: {{server: \"http://{address}\"}}}}]\n\
         users: [{{name: x, user: {{}}}}]\ncontexts: [{{name: x, context: {{cluster: x, user: x}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    let options =
        Connect { kubeconfig: Some(path), context: None, state_namespace: fixture.state_namespace.clone() };
    let cluster = Cluster::connect(&options).await.unwrap();
    left.store(requests, Ordering::SeqCst);
    (cluster, left)
}

async fn serve(stream: TcpStream, client: kube::Client, left: Arc<AtomicI64>, lost: Lost) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        let number = left.fetch_sub(1, Ordering::SeqCst);
        if number < 0 || (number == 0 && matches!(lost, Lost::Request)) {
            return;
        }
        let response = client.send(request).await.unwrap();
        if number == 0 {
            let _ = response.into_body().collect_bytes().await;
            return;
        }
        if write(&mut stream, response).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request<Body>> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            name @ ("accept" | "content-type" | "user-agent") => request = request.header(name, value),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body(Body::from(body)).ok()
}

async fn write(stream: &mut BufReader<TcpStream>, response: Response<Body>) -> std::io::Result<()> {
    let status = response.status();
    let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or("application/json").to_owned();
    let body = response.into_body().collect_bytes().await.map_err(std::io::Error::other)?;
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.flush().await
}

async fn apply(cluster: &Cluster, plan: &Plan) -> Result<(), Error> {
    let inputs = secrets();
    let diff = cluster.compare(plan, &inputs).await?;
    let options = ApplyOptions { lease_duration: Duration::from_secs(1), ..Default::default() };
    let mut apply = cluster.begin(plan, &inputs, diff, &options, &|_| {}).await?;
    for stage in 0..plan.plugin_plan.stages.len() {
        apply.apply_stage(stage).await?;
        apply.wait(stage, Duration::from_secs(30)).await?;
    }
    apply.prune_objects().await?;
    apply.prune_pod_files().await?;
    apply.finish().await.map(drop)
}

async fn until_applied(fixture: &Fixture, plan: &Plan) {
    for _ in 0..400 {
        match fixture.apply(plan).await {
            Err(Error::Release(ReleaseError::Busy { .. })) => {
                tokio::time::sleep(Duration::from_millis(100)).await
            }
            other => return drop(other.unwrap()),
        }
    }
    panic!("the Lease did not expire");
}

async fn until_uninstalled(fixture: &Fixture) {
    for _ in 0..400 {
        match fixture.uninstall(true).await {
            Err(Error::Release(ReleaseError::Busy { .. })) => {
                tokio::time::sleep(Duration::from_millis(100)).await
            }
            Err(Error::Release(ReleaseError::NoRelease { .. })) => return,
            other => return drop(other.unwrap()),
        }
    }
    panic!("the Lease did not expire");
}

async fn nothing_is_left(fixture: &Fixture, case: &str) {
    assert_eq!(fixture.labelled().await, Vec::<String>::new(), "{case}");
    let maps =
        fixture.get(&format!("/api/v1/namespaces/{}/configmaps", fixture.state_namespace)).await.unwrap();
    let left =
        maps["items"].as_array().unwrap().iter().filter(|map| map["metadata"]["name"] != "kube-root-ca.crt");
    assert_eq!(left.count(), 0, "{case}: {maps}");
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", fixture.state_namespace);
    for _ in 0..100 {
        // The garbage collector takes a moment.
        if fixture.get(&path).await.unwrap()["items"].as_array().unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{case}: a Lease is left");
}

/// Each request, lost by itself or with its answer only.
fn cases(requests: Range<i64>, what: &str) -> Vec<(i64, Lost)> {
    let all = requests.flat_map(|cut| [(cut, Lost::Request), (cut, Lost::Answer)]).collect();
    sample(what, all, SAMPLE)
}

#[tokio::test]
async fn an_apply_that_is_cut_at_any_request_is_finished_by_the_next() {
    let Some(whole) = fixture().await else { return };
    let (cluster, left) = cutting(&whole, i64::MAX / 2, Lost::Answer).await;
    apply(&cluster, &whole.usual()).await.unwrap();
    let requests = i64::MAX / 2 - left.load(Ordering::SeqCst);
    until_uninstalled(&whole).await;
    whole.clean().await;
    assert!(requests > 20, "{requests}");

    let run = cases(0..requests, "an apply cut at a request").into_iter().map(|(cut, lost)| async move {
        let Some(fixture) = fixture().await else { return };
        let plan = fixture.usual();
        let (cluster, _) = cutting(&fixture, cut, lost).await;
        let case = format!("request {cut} of {requests}, {lost:?} lost");
        // The last few requests are not needed for success: the Lease expires by itself.
        let cut_short = apply(&cluster, &plan).await;
        assert!(cut_short.is_err() || cut > requests - 6, "{case}");
        until_applied(&fixture, &plan).await;
        assert_eq!(fixture.labelled().await.len(), 6, "{case}");
        assert!(fixture.compare(&plan).await.unwrap().up_to_date(), "{case}");
        until_uninstalled(&fixture).await;
        nothing_is_left(&fixture, &case).await;
        fixture.clean().await;
    });
    stream::iter(run).buffer_unordered(32).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn an_uninstall_that_is_cut_at_any_request_is_finished_by_the_next() {
    let options =
        UninstallOptions { delete_data: true, orphan: Vec::new(), timeout: Duration::from_secs(60) };
    let options = &options;
    // More requests than an uninstall makes: the last cases cut nothing.
    let run = cases(0..90, "an uninstall cut at a request").into_iter().map(|(cut, lost)| async move {
        let Some(fixture) = fixture().await else { return };
        let plan = fixture.usual();
        until_applied(&fixture, &plan).await;
        let (cluster, _) = cutting(&fixture, cut, lost).await;
        let _ = crate::support::uninstall(&cluster, "demo", options).await;
        until_uninstalled(&fixture).await;
        nothing_is_left(&fixture, &format!("request {cut}, {lost:?} lost")).await;
        fixture.clean().await;
    });
    stream::iter(run).buffer_unordered(32).collect::<Vec<()>>().await;
}

/// An operation on the usual release: an object of its own, a rotated value, another object changed, and
/// a workload restarted.
fn operation(fixture: &Fixture, recorded: &Plan) -> Plan {
    let steps = recorded.plugin_plan.stages.iter().flat_map(|stage| &stage.steps);
    let is_random = |entry: &&SecretEntry| matches!(entry.source, SecretSource::Random(_));
    let renewed = steps.clone().find_map(|step| match step {
        Step::Secret(secret) => match &secret.content {
            SecretContent::Entries(entries) => {
                let key = entries.iter().find(is_random)?.key.clone();
                let source = SecretSource::Rotated(RandomText { bytes: 8, encoding: Encoding::Hex });
                let content = SecretContent::Entries(vec![SecretEntry { key, source }]);
                Some(Step::Secret(thinkube_plan::SecretStep { content, ..secret.clone() }))
            }
            SecretContent::Mirror(_) => None,
        },
        _ => None,
    });
    let mut workloads = steps.filter_map(Step::target);
    let workload: ObjectRef = workloads.find(|target| target.kind == "Deployment").expect("it has one");
    let stages = vec![
        ("one", vec![fixture.config("own", "1"), fixture.config("settings", "borrowed")]),
        ("two", vec![renewed.expect("it has a random value"), Step::Restart(workload)]),
    ];
    let wanted = fixture.plan(stages).plugin_plan;
    Plan { plugin_plan: overlay(&recorded.plugin_plan, wanted).expect("it may"), ..recorded.clone() }
}

async fn operate(cluster: &Cluster, plan: &Plan, recorded: &Plan) -> Result<(), Error> {
    let given_back =
        Plan { plugin_plan: overridden_steps(&recorded.plugin_plan, &plan.plugin_plan), ..recorded.clone() };
    let operation = OperationPlans {
        name: "change",
        plan,
        recorded,
        recorded_digest: &recorded.digest(),
        overridden_steps: &given_back,
    };
    let inputs = secrets();
    let diff = cluster.compare(plan, &inputs).await?;
    let options = ApplyOptions { lease_duration: Duration::from_secs(1), ..Default::default() };
    let mut run = cluster.begin_operation(operation, &inputs, diff, &options, &|_| {}).await?;
    for stage in 0..plan.plugin_plan.stages.len() {
        run.apply_stage(stage).await?;
        run.wait(stage, Duration::from_secs(30)).await?;
    }
    run.restore(Duration::from_secs(30)).await?;
    run.finish_operation(false).await.map(drop)
}

#[tokio::test]
async fn an_operation_on_a_changed_release_is_refused() {
    let Some(fixture) = fixture().await else { return };
    let recorded = fixture.usual();
    fixture.apply(&recorded).await.unwrap();
    let plan = operation(&fixture, &recorded);
    let mut newer = recorded.clone();
    newer
        .plugin_plan
        .stages
        .push(fixture.plan(vec![("more", vec![fixture.config("more", "1")])]).plugin_plan.stages.remove(0));
    fixture.apply(&newer).await.unwrap().expect("it wrote");
    let error = operate(&fixture.cluster, &plan, &recorded).await.unwrap_err();
    assert!(matches!(error, Error::Api(ApiError::LostRace { .. })), "{error}");
    assert!(fixture.apply(&newer).await.unwrap().is_none(), "nothing was taken away");
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn an_operation_that_is_cut_at_any_request_can_be_finished() {
    let Some(whole) = fixture().await else { return };
    let recorded = whole.usual();
    until_applied(&whole, &recorded).await;
    let (cluster, left) = cutting(&whole, i64::MAX / 2, Lost::Answer).await;
    operate(&cluster, &operation(&whole, &recorded), &recorded).await.unwrap();
    let requests = i64::MAX / 2 - left.load(Ordering::SeqCst);
    until_uninstalled(&whole).await;
    whole.clean().await;
    assert!(requests > 15, "{requests}");

    let run = cases(0..requests, "an operation cut at a request").into_iter().map(|(cut, lost)| async move {
        let Some(fixture) = fixture().await else { return };
        let recorded = fixture.usual();
        let plan = operation(&fixture, &recorded);
        until_applied(&fixture, &recorded).await;
        let all = fixture.labelled().await;
        let (cluster, _) = cutting(&fixture, cut, lost).await;
        let case = format!("request {cut} of {requests}, {lost:?} lost");
        let cut_short = operate(&cluster, &plan, &recorded).await;
        assert!(cut_short.is_err() || cut > requests - 6, "{case}");
        if matches!(lost, Lost::Answer) {
            while let Err(error) = operate(&fixture.cluster, &plan, &recorded).await {
                assert!(matches!(error, Error::Release(ReleaseError::Busy { .. })), "{case}: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        until_applied(&fixture, &recorded).await;
        assert_eq!(fixture.labelled().await, all, "{case}");
        assert!(fixture.compare(&recorded).await.unwrap().up_to_date(), "{case}");
        let release = fixture.cluster.release("demo").await.unwrap().unwrap();
        assert_eq!((release.phase, release.revision), (Phase::Deployed, 1), "{case}");
        until_uninstalled(&fixture).await;
        nothing_is_left(&fixture, &case).await;
        fixture.clean().await;
    });
    stream::iter(run).buffer_unordered(32).collect::<Vec<()>>().await;
}
