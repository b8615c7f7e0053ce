//! Uninstall against a server that only keeps what it is sent.

use crate::api::resource::encode;
use crate::error::api::ApiError;
use crate::error::release::ReleaseError;
use crate::{Cluster, Connect, Error, UninstallOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use thinkube_plan::Change;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

const MAPS: &str = "/api/v1/namespaces/home/configmaps";

#[derive(Default)]
struct Kept {
    objects: BTreeMap<String, Value>,
    deleted: Vec<String>,
    groups: Value,
}

type Server = Arc<Mutex<Kept>>;

fn answer(server: &Server, method: &str, target: &str, body: Value) -> (u16, Value) {
    let mut kept = server.lock().unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match (method, path) {
        (_, "/version") => (200, json!({"major": "1", "minor": "34"})),
        (_, "/api") => (200, json!({"items": []})),
        (_, "/apis") => (200, json!({"items": kept.groups})),
        ("POST", path) if path.ends_with("selfsubjectaccessreviews") => {
            (201, json!({"status": {"allowed": true}}))
        }
        ("GET", MAPS) => {
            let labelled = |object: &&Value| {
                let labels = object["metadata"]["labels"].as_object().cloned().unwrap_or_default();
                labels.iter().any(|(key, value)| {
                    let whole = encode(&format!("{key}={}", value.as_str().unwrap_or_default()));
                    query.ends_with(&format!("={whole}")) || query.ends_with(&format!("={}", encode(key)))
                })
            };
            let items: Vec<&Value> = kept.objects.values().filter(labelled).collect();
            (200, json!({"items": items}))
        }
        ("POST", path) => {
            let at = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
            kept.objects.insert(at, body.clone());
            (201, body)
        }
        ("PUT", path) => {
            kept.objects.insert(path.to_owned(), body.clone());
            (200, body)
        }
        ("DELETE", path) if kept.objects.remove(path).is_some() => {
            kept.deleted.push(path.to_owned());
            (200, json!({"kind": "Status", "status": "Success"}))
        }
        ("GET", path) if kept.objects.contains_key(path) => (200, kept.objects[path].clone()),
        (_, path) => {
            let name = path.rsplit('/').next();
            (
                404,
                json!({"kind": "Status", "reason": "NotFound", "details": {"name": name, "kind": "configmaps"}}),
            )
        }
    }
}

async fn serve(server: Server, stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head.push(line);
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let mut words = head[0].split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (status, body) =
            answer(&server, method, target, serde_json::from_slice(&body).unwrap_or_default());
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
    }
}

async fn cluster(server: &Server) -> Cluster {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = server.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(server.clone(), stream));
        }
    });
    let kubeconfig = tempfile::NamedTempFile::new().unwrap();
    let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "c", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]});
    std::fs::write(kubeconfig.path(), text.to_string()).unwrap();
    let path = Some(kubeconfig.path().to_owned());
    Cluster::connect(&Connect { kubeconfig: path, context: None, state_namespace: "home".into() })
        .await
        .unwrap()
}

fn server(release: Option<Value>) -> Server {
    let mut kept = Kept { groups: json!([]), ..Kept::default() };
    kept.objects.insert(
        format!("{MAPS}/release-demo.v1.0"),
        json!({"metadata": {"name": "release-demo.v1.0", "uid": "2",
            "labels": {"thinkube.org/revision-of": "demo", "thinkube.org/revision": "1"}}}),
    );
    if let Some(inventory) = release {
        let record = json!({"name": "demo", "namespace": "demo", "revision": 1, "phase": "deployed",
            "digest": thinkube_plan::Digest::of(b""), "chunks": 1, "updated": "0", "write": "x"});
        kept.objects.insert(
            format!("{MAPS}/release-demo"),
            json!({"metadata": {"name": "release-demo", "uid": "1", "resourceVersion": "1",
                "labels": {"thinkube.org/release": "demo"},
                "annotations": {"applyset.kubernetes.io/tooling": "thinkube-host/v0"}},
                "data": {"release.json": record.to_string(), "inventory.json": inventory.to_string()}}),
        );
    }
    Arc::new(Mutex::new(kept))
}

/// Uninstalls, and answers what was deleted and kept.
async fn uninstall(cluster: &Cluster, name: &str, options: &UninstallOptions) -> Result<Vec<Change>, Error> {
    let Some(mut run) = cluster.begin_uninstall(name, options, &|_| {}).await? else { return Ok(Vec::new()) };
    match run.delete_objects().await {
        Ok(changes) => run.finish().await.map(|()| changes),
        Err(error) => {
            run.stop().await;
            Err(error)
        }
    }
}

fn options() -> UninstallOptions {
    UninstallOptions { delete_data: true, orphan: Vec::new(), timeout: Duration::from_secs(5) }
}

#[tokio::test]
async fn the_record_goes_before_the_plans_without_which_it_cannot_be_shown() {
    let server = server(Some(json!([])));
    uninstall(&cluster(&server).await, "demo", &options()).await.unwrap();
    let kept = server.lock().unwrap();
    assert_eq!(kept.deleted[..2], [format!("{MAPS}/release-demo"), format!("{MAPS}/release-demo.v1.0")]);
    assert!(kept.objects.is_empty(), "{:?}", kept.objects.keys());
}

#[tokio::test]
async fn what_a_cut_uninstall_left_is_swept_once() {
    let server = server(None);
    let cluster = cluster(&server).await;
    let gone = uninstall(&cluster, "demo", &options()).await.unwrap();
    assert!(gone.is_empty());
    assert!(server.lock().unwrap().objects.is_empty());
    let error = uninstall(&cluster, "demo", &options()).await.unwrap_err();
    assert!(matches!(error, Error::Release(ReleaseError::NoRelease { .. })), "{error}");
}

#[tokio::test]
async fn a_release_whose_plan_is_gone_hides_no_other_and_says_so_itself() {
    let server = server(Some(json!([])));
    server.lock().unwrap().objects.remove(&format!("{MAPS}/release-demo.v1.0"));
    let cluster = cluster(&server).await;
    assert!(cluster.releases().await.unwrap().is_empty());
    assert!(matches!(cluster.release("demo").await, Err(Error::Release(ReleaseError::Corrupt { .. }))));
}

#[tokio::test]
async fn an_outage_of_an_api_makes_no_object_forgotten() {
    let entry = json!({"object": {"apiVersion": "down.io/v1", "kind": "Widget", "namespace": "demo", "name": "w"},
        "stage": "one", "phase": "applied", "onUninstall": "delete"});
    let server = server(Some(json!([entry])));
    server.lock().unwrap().groups = json!([{"metadata": {"name": "down.io"},
        "versions": [{"version": "v1", "freshness": "Stale", "resources": []}]}]);
    let cluster = cluster(&server).await;
    let error = uninstall(&cluster, "demo", &options()).await.unwrap_err();
    assert!(
        matches!(error, Error::Api(ApiError::Undiscovered { .. })) && error.to_string().contains("demo/w"),
        "{error}"
    );
    assert!(server.lock().unwrap().objects.contains_key(&format!("{MAPS}/release-demo")));
    // Its definition is gone, and so is it.
    server.lock().unwrap().groups = json!([]);
    uninstall(&cluster, "demo", &options()).await.unwrap();
    assert!(server.lock().unwrap().objects.is_empty());
}
