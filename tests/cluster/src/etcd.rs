//! etcd: where the apiserver keeps everything.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::paths::Layout;
use crate::pki;
use crate::process::{Running, Server, helper, run_with};
use crate::programs::Programs;
use crate::state::Record;

pub(crate) fn start(layout: &Layout, record: &Record, programs: &Programs) -> Result<Running> {
    let client = format!("https://127.0.0.1:{}", record.ports.etcd);
    let peer = format!("https://127.0.0.1:{}", record.ports.etcd_peer);
    let server = pki::pair(layout, "etcd");
    let authority = layout.pki("etcd-ca.crt");
    Server::new(layout, "etcd", &programs.etcd(), record.netns_file().as_deref())
        .arg("--name=thinkube")
        .file("--data-dir=", layout.path("etcd"))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        // The peer port can't be switched off, even for a single member.
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=thinkube={peer}"))
        // Loopback is open to every user of the machine, and what is here opens the cluster: client certificates only.
        .file("--cert-file=", &server.certificate)
        .file("--key-file=", &server.key)
        .file("--trusted-ca-file=", &authority)
        .arg("--client-cert-auth=true")
        .file("--peer-cert-file=", &server.certificate)
        .file("--peer-key-file=", &server.key)
        .file("--peer-trusted-ca-file=", &authority)
        .arg("--peer-client-cert-auth=true")
        // The data is worth nothing after a crash of the machine; waiting for the disk is a third of the start.
        .arg("--unsafe-no-fsync=true")
        .arg("--log-level=warn")
        .start()
}

/// Every key and the revision in which it was created.
pub(crate) fn keys(layout: &Layout, record: &Record) -> Result<Vec<(String, i64)>> {
    let answer: RangeResponse = ask(
        layout,
        record,
        "range",
        &json!({ "key": STANDARD.encode(REGISTRY), "range_end": STANDARD.encode(END), "keys_only": true }),
    )?;
    let text = |found: &Found| {
        String::from_utf8_lossy(&STANDARD.decode(&found.key).unwrap_or_default()).into_owned()
    };
    Ok(answer.kvs.iter().map(|found| (text(found), found.create_revision.parse().unwrap_or(0))).collect())
}

/// The revision that is reached: whatever is created from now on has a higher one.
pub(crate) fn revision(layout: &Layout, record: &Record) -> Result<i64> {
    let answer: RangeResponse =
        ask(layout, record, "range", &json!({ "key": STANDARD.encode(REGISTRY), "keys_only": true }))?;
    Ok(answer.header.revision.parse().unwrap_or(0))
}

/// Removes keys.
pub(crate) fn delete(layout: &Layout, record: &Record, keys: &[String]) -> Result<()> {
    /// As many as etcd takes in one transaction.
    const AT_ONCE: usize = 128;
    for keys in keys.chunks(AT_ONCE) {
        let requests: Vec<Value> =
            keys.iter().map(|key| json!({ "requestDeleteRange": { "key": STANDARD.encode(key) } })).collect();
        let _: Value = ask(layout, record, "txn", &json!({ "success": requests }))?;
    }
    Ok(())
}

/// What the apiserver keeps begins with this, and ends before that.
const REGISTRY: &str = "/registry/";
const END: &str = "/registry0";

/// Whole numbers are strings, as Protocol Buffers write them in JSON, and missing where they are 0.
#[derive(Deserialize)]
struct RangeResponse {
    header: Header,
    #[serde(default)]
    kvs: Vec<Found>,
}

#[derive(Deserialize)]
struct Header {
    revision: String,
}

#[derive(Deserialize)]
struct Found {
    key: String,
    create_revision: String,
}

/// A request to etcd's JSON gateway, which listens inside the cluster's network namespace.
fn ask<T: DeserializeOwned>(layout: &Layout, record: &Record, method: &str, body: &Value) -> Result<T> {
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
        // Neither a configuration nor a proxy of the person who calls.
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
