//! HTTP as the platform's clients see it: by curl, in the cluster's network namespace, with its names and its trust.

use crate::host::{Run, finish};
use crate::wait::eventually;
use serde_json::{Map, Value};
use std::process::{Command, Stdio};
use thinkube_test_cluster::Cluster;

/// curl's exit code where the server's certificate is not trusted.
pub const UNTRUSTED: i32 = 60;

/// curl's exit code where the body is not whole. A server that refuses an upload may close the connection before curl has
/// read the body of the answer; the status and the headers are known.
const PARTIAL_BODY: i32 = 18;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
    headers: Map<String, Value>,
}

impl Answer {
    /// A header by its name in lower case; where there are several, the first.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?[0].as_str()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer itself if it has this status.
    pub fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// Asks with curl's arguments. A redirect is an answer. Where there is none, it is how curl ended.
pub fn curl(cluster: &Cluster, arguments: &[&str]) -> Result<Answer, Run> {
    ask(cluster.command("curl").args(arguments))
}

/// Asks for a page.
pub fn get(cluster: &Cluster, url: &str) -> Result<Answer, Run> {
    curl(cluster, &[url])
}

/// Runs a curl whose environment the caller has chosen.
pub fn ask(curl: &mut Command) -> Result<Answer, Run> {
    // The last line of what curl says is ours, so that a body may be anything.
    let facts = "%{stderr}\n{\"status\":%{http_code},\"headers\":%{header_json}}";
    // A proxy of this machine knows none of the names.
    curl.args(["--noproxy", "*"]);
    curl.args(["--silent", "--show-error", "--max-time", "60", "--write-out", facts]).stdin(Stdio::null());
    let run = finish(curl);
    if run.code != 0 && run.code != PARTIAL_BODY {
        return Err(run);
    }
    let facts = run.stderr.find("{\"status\":").map(|at| &run.stderr[at..]).unwrap_or_default();
    let mut facts: Value = serde_json::from_str(facts).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    let status = facts["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    let Value::Object(headers) = facts["headers"].take() else { panic!("no headers: {run:?}") };
    Ok(Answer { status: status.expect("a status"), body: run.stdout, headers })
}

/// Asks until the answer has this status: what is applied is known to the ingress a moment later.
pub fn until(cluster: &Cluster, status: u16, arguments: &[&str]) -> Answer {
    eventually(&format!("{status} for {arguments:?}"), || match curl(cluster, arguments) {
        Ok(answer) if answer.status == status => Ok(answer),
        other => Err(format!("{other:?}")),
    })
}

/// Asks until the answer is a redirect to an address that begins with `to`.
pub fn leads_to(cluster: &Cluster, from: &str, to: &str) {
    eventually(&format!("way from {from} to {to}"), || match get(cluster, from) {
        Ok(answer) if answer.header("location").is_some_and(|location| location.starts_with(to)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
}

/// A parameter of an address. What is asked for needs no unescaping.
pub fn parameter<'a>(address: &'a str, name: &str) -> &'a str {
    let (_, query) = address.split_once('?').unwrap_or_else(|| panic!("{address}"));
    let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{name} is not in {address}"))
}
