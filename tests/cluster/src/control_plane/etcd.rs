//! etcd, the apiserver's database; `reset` reads and deletes its keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::access::pki;
use crate::build::programs::Programs;
use crate::error::{Error, Result};
use crate::paths::Layout;
use crate::process::run::{helper, run_with};
use crate::process::server::{RunningServer, ServerCommand};
use crate::record::ClusterRecord;

pub(crate) fn start(layout: &Layout, record: &ClusterRecord, programs: &Programs) -> Result<RunningServer> {
    let client = format!("https://127.0.0.1:{}", record.ports.etcd);
    let peer = format!("https://127.0.0.1:{}", record.ports.etcd_peer);
    let server = pki::pair(layout, "etcd");
    let authority = layout.pki("etcd-ca.crt");
    ServerCommand::new(layout, "etcd", &programs.etcd(), record.netns_file().as_deref())
        .arg("--name=thinkube")
        .file("--data-dir=", layout.path("etcd"))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        // A single member needs a peer port too.
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=thinkube={peer}"))
        // Every user of the machine reaches loopback, and the database opens the cluster: only client certificates count.
        .file("--cert-file=", &server.certificate)
        .file("--key-file=", &server.key)
        .file("--trusted-ca-file=", &authority)
        .arg("--client-cert-auth=true")
        .file("--peer-cert-file=", &server.certificate)
        .file("--peer-key-file=", &server.key)
        .file("--peer-trusted-ca-file=", &authority)
        .arg("--peer-client-cert-auth=true")
        // After a crash of the machine the data has no use, and the syncs are a third of the start.
        .arg("--unsafe-no-fsync=true")
        .arg("--log-level=warn")
        .start()
}

/// Every key and the revision in which it was created.
pub(crate) fn keys(layout: &Layout, record: &ClusterRecord) -> Result<Vec<(String, i64)>> {
    let answer: RangeResponse = request(
        layout,
        record,
        "range",
        &json!({ "key": STANDARD.encode(REGISTRY), "range_end": STANDARD.encode(END), "keys_only": true }),
    )?;
    let text = |found: &KeyValue| {
        String::from_utf8_lossy(&STANDARD.decode(&found.key).unwrap_or_default()).into_owned()
    };
    Ok(answer.kvs.iter().map(|found| (text(found), found.create_revision.parse().unwrap_or(0))).collect())
}

/// The present revision; later keys have higher ones.
pub(crate) fn revision(layout: &Layout, record: &ClusterRecord) -> Result<i64> {
    let answer: RangeResponse =
        request(layout, record, "range", &json!({ "key": STANDARD.encode(REGISTRY), "keys_only": true }))?;
    Ok(answer.header.revision.parse().unwrap_or(0))
}

/// Removes keys.
pub(crate) fn delete(layout: &Layout, record: &ClusterRecord, keys: &[String]) -> Result<()> {
    /// etcd's limit of operations in a transaction.
    const MAX_OPERATIONS: usize = 128;
    for keys in keys.chunks(MAX_OPERATIONS) {
        let requests: Vec<Value> =
            keys.iter().map(|key| json!({ "requestDeleteRange": { "key": STANDARD.encode(key) } })).collect();
        let _: Value = request(layout, record, "txn", &json!({ "success": requests }))?;
    }
    Ok(())
}

/// The range of the apiserver's keys.
const REGISTRY: &str = "/registry/";
const END: &str = "/registry0";

/// Protocol Buffers in JSON write whole numbers as strings, and leave out a 0.
#[derive(Deserialize)]
struct RangeResponse {
    header: Header,
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct Header {
    revision: String,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    create_revision: String,
}

/// Sends a request to etcd's JSON gateway, which listens inside the cluster's network namespace.
fn request<T: DeserializeOwned>(
    layout: &Layout,
    record: &ClusterRecord,
    method: &str,
    body: &Value,
) -> Result<T> {
    let client = pki::pair(layout, "apiserver-etcd-client");
    let mut command = match record.netns_file() {
        None => helper("curl", layout),
        Some(netns) => {
            let mut command = helper("nsenter", layout);
            command.arg(format!("--net={}", netns.display())).args(["--", "curl"]);
            command
        }
    };
    command
        // Without the caller's curl configuration and proxy.
        .args([
            "--disable",
            "--noproxy",
            "*",
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--max-time",
            "10",
        ])
        .arg("--cacert")
        .arg(layout.pki("etcd-ca.crt"))
        .arg("--cert")
        .arg(&client.certificate)
        .arg("--key")
        .arg(&client.key)
        .args(["--data", "@-"])
        .arg(format!("https://127.0.0.1:{}/v3/kv/{method}", record.ports.etcd));
    let text = run_with(&mut command, &body.to_string())?;
    serde_json::from_str(&text)
        .map_err(|source| Error::Json { what: format!("etcd's answer to {method}"), source })
}
