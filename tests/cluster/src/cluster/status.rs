//! The state of a cluster, read without changing anything.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::access::domain::{self, DOMAIN};
use crate::access::kubeconfig;
use crate::access::kubectl::Kubectl;
use crate::addon::Addon;
use crate::build::modules::KUBERNETES;
use crate::cluster::servers;
use crate::cluster::servers::Server;
use crate::cluster::teardown;
use crate::error::Result;
use crate::keycloak;
use crate::machine::cgroup;
use crate::paths::Layout;
use crate::process::find;
use crate::process::find::ClusterProcess;
use crate::readiness::Readiness;
use crate::record::ClusterRecord;

/// The state of a cluster in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No such cluster.
    Absent,
    /// All its servers run and the apiserver is ready.
    Running,
    /// Parts of it exist and it does not work: `up` repairs or replaces it, `down` removes it.
    Broken,
    /// The environment names a cluster that the harness did not start.
    External,
}

/// The state of a cluster.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Its state in one word.
    pub health: Health,
    /// Whether it has a node.
    pub node: bool,
    /// The URL of the apiserver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The release of Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'static str>,
    /// The administrator's kubeconfig.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// The audit log, one line a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_log: Option<PathBuf>,
    /// The folder of the logs, one file a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<PathBuf>,
    /// The network namespace of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// The test domain: every name below it resolves to the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'static str>,
    /// The certificate of the authority that signs for the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
    /// The images that the harness has put into the node.
    pub images: Vec<Image>,
    /// Its servers.
    pub servers: Vec<ServerStatus>,
    /// The memory of all pods and of their containers' shims, in bytes.
    pub pods_memory: u64,
}

/// An image in the node.
#[derive(Debug, Clone, Serialize)]
pub struct Image {
    /// Its reference with a tag.
    pub name: String,
    /// Its reference by digest.
    pub digest: String,
}

/// The state of a server.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Its name.
    pub name: &'static str,
    /// Its state in one word.
    pub state: ServerState,
    /// The program and its release.
    pub version: String,
    /// Where it is reached; absent for a server without clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Its proportional share of memory (PSS), in bytes.
    pub memory: u64,
    /// Its log file.
    pub log: PathBuf,
}

/// How a server is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// Its process runs.
    Running,
    /// Its process is stopped until `resume`.
    Paused,
    /// It must run and does not.
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
    /// The memory of servers and pods, in bytes.
    pub fn memory(&self) -> u64 {
        self.pods_memory + self.servers.iter().map(|server| server.memory).sum::<u64>()
    }
}

/// Reads the state of a cluster.
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
    let found = find::processes(&layout);
    status.servers =
        servers::of_record(&record).map(|server| server_status(&layout, &record, server, &found)).collect();
    let pods_processes = found.iter().filter(|found| !found.is_server).map(|found| found.pid);
    let pods: BTreeSet<i32> = cgroup::processes(&layout).into_iter().chain(pods_processes).collect();
    status.pods_memory = pods.into_iter().map(find::memory).sum();
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

fn server_status(
    layout: &Layout,
    record: &ClusterRecord,
    server: &Server,
    found: &[ClusterProcess],
) -> ServerStatus {
    let pid =
        found.iter().find(|found| found.is_server && found.server == server.name).map(|found| found.pid);
    ServerStatus {
        name: server.name,
        state: match pid {
            None => ServerState::Missing,
            Some(pid) if find::is_paused(pid) => ServerState::Paused,
            Some(_) => ServerState::Running,
        },
        version: (server.version)(),
        address: (server.address)(record),
        pid,
        memory: pid.map_or(0, find::memory),
        log: layout.log(server.name),
    }
}

/// Whether every server runs; a paused server does not.
fn all_run(layout: &Layout, record: &ClusterRecord) -> bool {
    let found = find::processes(layout);
    let runs = |server: &Server| {
        let its = |found: &&ClusterProcess| found.is_server && found.server == server.name;
        found.iter().find(its).is_some_and(|found| !find::is_paused(found.pid))
    };
    servers::of_record(record).all(runs)
}

pub(crate) fn health(layout: &Layout) -> Result<(Health, Option<ClusterRecord>)> {
    // Another version of the harness may have written it: `up` replaces such a cluster.
    let Ok(record) = ClusterRecord::read(layout) else { return Ok((Health::Broken, None)) };
    let Some(record) = record else {
        let nothing = !layout.root.exists() && teardown::leftovers(layout).is_empty();
        return Ok((if nothing { Health::Absent } else { Health::Broken }, None));
    };
    if !record.ready || !all_run(layout, &record) || !reachable(&record) {
        return Ok((Health::Broken, Some(record)));
    }
    let kubectl = Kubectl::of(layout)?;
    // Several tries, because a busy machine answers late and `up` replaces a broken cluster.
    for _ in 0..4 {
        let keycloak = |record: &ClusterRecord| {
            let answers = || matches!(keycloak::server::readiness(layout, record), Readiness::Ready);
            !record.addons.contains(&Addon::Keycloak) || answers()
        };
        if matches!(kubectl.succeeds(&["get", "--raw=/readyz"]), Readiness::Ready) && keycloak(&record) {
            return Ok((Health::Running, Some(record)));
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok((Health::Broken, Some(record)))
}

/// Fails faster than a client with retries.
fn reachable(record: &ClusterRecord) -> bool {
    let address = SocketAddr::new(record.address, record.ports.apiserver);
    TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok()
}
