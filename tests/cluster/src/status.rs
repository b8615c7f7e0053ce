//! How a cluster is.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::domain::{self, DOMAIN};
use crate::error::Result;
use crate::kubectl::Kubectl;
use crate::part::Part;
use crate::paths::Layout;
use crate::process::{self, Answer, Found};
use crate::programs::KUBERNETES;
use crate::servers::Server;
use crate::state::Record;
use crate::{cgroup, keycloak, kubeconfig, teardown};

/// How a cluster is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// There is none.
    Absent,
    /// All its servers run and the apiserver is ready.
    Running,
    /// Something of it is there, but it does not work; `up` mends it or starts it anew, `down` removes it.
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
    /// The name below which every name leads to the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'static str>,
    /// The certificate of the authority that signs for the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
    /// The images that the harness has put into the node.
    pub images: Vec<Image>,
    /// Its servers.
    pub servers: Vec<ServerStatus>,
    /// The memory of all its pods, in bytes; containers' shims count as pods'.
    pub pods_memory: u64,
}

/// An image in the node.
#[derive(Debug, Clone, Serialize)]
pub struct Image {
    /// Its reference with a tag.
    pub name: String,
    /// The same by digest.
    pub digest: String,
}

/// How a server is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Its name here.
    pub name: &'static str,
    /// In one word.
    pub state: ServerState,
    /// The program and its release.
    pub version: String,
    /// Where it is reached; not there where nobody asks it anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Its memory in bytes, with its share of what it has together with others (PSS).
    pub memory: u64,
    /// What it writes its messages to.
    pub log: PathBuf,
}

/// How a server is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// Its process runs.
    Running,
    /// Its process was stopped, and goes on with `resume`.
    Paused,
    /// It should run and does not.
    Missing,
}

impl fmt::Display for ServerState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Missing => "missing",
        })
    }
}

impl Status {
    /// The memory of the whole in bytes.
    pub fn memory(&self) -> u64 {
        self.pods_memory + self.servers.iter().map(|server| server.memory).sum::<u64>()
    }
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
        domain: None,
        authority: None,
        images: Vec::new(),
        servers: Vec::new(),
        pods_memory: 0,
    };
    if status.kubeconfig.is_some() {
        return Ok(status);
    }
    let (health, record) = health(&layout)?;
    status.health = health;
    let Some(record) = record else { return Ok(status) };
    let found = process::find(&layout);
    status.servers = record.servers().map(|server| look(&layout, &record, server, &found)).collect();
    let others = found.iter().filter(|found| !found.itself).map(|found| found.pid);
    let pods: BTreeSet<i32> = cgroup::processes(&layout).into_iter().chain(others).collect();
    status.pods_memory = pods.into_iter().map(process::memory).sum();
    status.server = Some(record.server());
    status.version = Some(KUBERNETES);
    status.kubeconfig = Some(layout.kubeconfig());
    status.audit_log = Some(layout.audit_log());
    status.logs = Some(layout.logs());
    if let Some(node) = record.node {
        status.node = true;
        status.netns = Some(node.netns);
        status.domain = Some(DOMAIN);
        status.authority = Some(domain::authority(&layout));
        let images = node.images.into_iter();
        status.images = images.map(|image| Image { name: image.name, digest: image.digest }).collect();
    }
    Ok(status)
}

fn look(layout: &Layout, record: &Record, server: &Server, found: &[Found]) -> ServerStatus {
    let pid = found.iter().find(|found| found.itself && found.program == server.name).map(|found| found.pid);
    ServerStatus {
        name: server.name,
        state: match pid {
            None => ServerState::Missing,
            Some(pid) if process::is_paused(pid) => ServerState::Paused,
            Some(_) => ServerState::Running,
        },
        version: (server.version)(),
        address: (server.address)(record),
        pid,
        memory: pid.map_or(0, process::memory),
        log: layout.log(server.name),
    }
}

/// Whether every server runs; a paused one does not.
fn complete(layout: &Layout, record: &Record) -> bool {
    let found = process::find(layout);
    let runs = |server: &Server| {
        let its = |found: &&Found| found.itself && found.program == server.name;
        found.iter().find(its).is_some_and(|found| !process::is_paused(found.pid))
    };
    record.servers().all(runs)
}

pub(crate) fn health(layout: &Layout) -> Result<(Health, Option<Record>)> {
    // A record of another version of the harness: broken, so that `up` starts anew.
    let Ok(record) = Record::read(layout) else { return Ok((Health::Broken, None)) };
    let Some(record) = record else {
        let nothing = !layout.root.exists() && teardown::left(layout).is_empty();
        return Ok((if nothing { Health::Absent } else { Health::Broken }, None));
    };
    if !record.ready || !complete(layout, &record) || !reachable(&record) {
        return Ok((Health::Broken, Some(record)));
    }
    let kubectl = Kubectl::of(layout)?;
    // On a machine that is busy with something else an answer can take long; a cluster that is taken for broken is
    // removed with all that is in it.
    for _ in 0..4 {
        let keycloak = |record: &Record| {
            let answers = || matches!(keycloak::answers(layout, record), Answer::Yes);
            !record.parts.contains(&Part::Keycloak) || answers()
        };
        if matches!(kubectl.asks(&["get", "--raw=/readyz"]), Answer::Yes) && keycloak(&record) {
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
