//! How a cluster is.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::error::Result;
use crate::kubectl::Kubectl;
use crate::paths::Layout;
use crate::process::{self, Answer};
use crate::programs::KUBERNETES;
use crate::state::Record;
use crate::{kubeconfig, teardown};

/// How a cluster is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// There is none.
    Absent,
    /// All its servers run and the apiserver is ready.
    Running,
    /// Something of it is there, but it does not work; `up` starts it anew, `down` removes it.
    Broken,
    /// The environment names somebody else's.
    External,
}

/// How a cluster is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Its name.
    pub name: String,
    /// In one word.
    pub health: Health,
    /// It has a node.
    pub node: bool,
    /// Where the apiserver listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The release of Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'static str>,
    /// The administrator's kubeconfig.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// One line a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_log: Option<PathBuf>,
    /// One file a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<PathBuf>,
    /// The network namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// The DevPI image in the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devpi_image: Option<String>,
    /// The same image by digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devpi_image_digest: Option<String>,
    /// Servers that run, with their process ids.
    pub running: Vec<(String, i32)>,
    /// Servers that should run and don't.
    pub missing: Vec<&'static str>,
}

/// Looks at a cluster without changing anything.
pub fn status(name: &str) -> Result<Status> {
    let layout = Layout::of(name)?;
    let mut status = Status {
        name: name.to_owned(),
        health: Health::External,
        node: false,
        server: None,
        version: None,
        kubeconfig: kubeconfig::of_environment(),
        audit_log: None,
        logs: None,
        netns: None,
        devpi_image: None,
        devpi_image_digest: None,
        running: Vec::new(),
        missing: Vec::new(),
    };
    if status.kubeconfig.is_some() {
        return Ok(status);
    }
    let (health, record) = health(&layout)?;
    status.health = health;
    status.running = process::find(&layout)
        .into_iter()
        .filter(|found| found.itself)
        .map(|found| (found.program, found.pid))
        .collect();
    status.running.sort();
    if let Some(record) = record {
        status.missing = missing(&layout, &record);
        status.server = Some(record.server());
        status.version = Some(KUBERNETES);
        status.kubeconfig = Some(layout.kubeconfig());
        status.audit_log = Some(layout.audit_log());
        status.logs = Some(layout.logs());
        if let Some(node) = record.node {
            status.node = true;
            status.netns = Some(node.netns);
            status.devpi_image = node.devpi_image;
            status.devpi_image_digest = node.devpi_image_digest;
        }
    }
    Ok(status)
}

fn missing(layout: &Layout, record: &Record) -> Vec<&'static str> {
    let found = process::find(layout);
    let runs = |server: &str| found.iter().any(|found| found.itself && found.program == server);
    record.servers().into_iter().filter(|server| !runs(server)).collect()
}

pub(crate) fn health(layout: &Layout) -> Result<(Health, Option<Record>)> {
    // A record of another version of the harness: broken, so that `up` starts anew.
    let Ok(record) = Record::read(layout) else { return Ok((Health::Broken, None)) };
    let Some(record) = record else {
        let nothing = !layout.root.exists() && teardown::left(layout).is_empty();
        return Ok((if nothing { Health::Absent } else { Health::Broken }, None));
    };
    if !record.ready || !missing(layout, &record).is_empty() || !reachable(&record) {
        return Ok((Health::Broken, Some(record)));
    }
    let kubectl = Kubectl::of(layout)?;
    // On a machine that is busy with something else an answer can take long; a cluster that is taken for broken is
    // removed with all that is in it.
    for _ in 0..4 {
        if matches!(kubectl.asks(&["get", "--raw=/readyz"]), Answer::Yes) {
            return Ok((Health::Running, Some(record)));
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok((Health::Broken, Some(record)))
}

/// Faster than a client that tries for a while.
fn reachable(record: &Record) -> bool {
    let address = SocketAddr::new(record.address, record.ports.apiserver);
    TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok()
}
