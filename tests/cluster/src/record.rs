//! The record of a cluster, `state.json` in its folder. `up` writes it before the first process starts; every later command
//! reads it. The names of its fields in the file must stay: they are those of clusters that run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use crate::addon::Addon;
use crate::error::{At, Error, Result};
use crate::paths::{self, Layout};

/// The one node's name.
pub(crate) const NODE: &str = "thinkube-node";

/// What is known of a cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ClusterRecord {
    /// Whether it was once up and healthy.
    pub(crate) ready: bool,
    /// Where the apiserver listens.
    pub(crate) address: IpAddr,
    pub(crate) ports: Ports,
    pub(crate) node: Option<NodeRecord>,
    /// What it has beside its control plane.
    #[serde(rename = "parts")]
    pub(crate) addons: BTreeSet<Addon>,
    /// The revisions in which the harness made its own objects.
    #[serde(rename = "made")]
    pub(crate) own_revisions: Vec<RevisionRange>,
}

/// Revisions of etcd, both included.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RevisionRange {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) apiserver: u16,
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
}

/// A node, and what it has changed on the machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub(crate) netns: String,
    pub(crate) link: String,
    /// The host's end of the link; the record's address is the other end.
    pub(crate) host_address: Ipv4Addr,
    pub(crate) machine: Machine,
    /// The images that the harness has put into the node.
    pub(crate) images: Vec<ImageRecord>,
}

/// An image in the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    /// Its reference with a tag.
    pub(crate) name: String,
    /// Its reference by digest, `name@sha256:…`.
    pub(crate) digest: String,
    /// The archive that it was imported from.
    pub(crate) archive: PathBuf,
}

/// The machine before the first node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The kernel's boot id.
    pub(crate) boot: String,
    /// Settings of the kernel that kubelet changes.
    pub(crate) kernel_settings: BTreeMap<PathBuf, String>,
    /// Folders beside the cluster's own that its servers make, and that did not exist.
    pub(crate) folders: Vec<PathBuf>,
}

impl ClusterRecord {
    /// A control plane on loopback.
    pub(crate) fn loopback() -> Result<Self> {
        let [apiserver, etcd, etcd_peer] = free_ports()?;
        Ok(Self {
            ready: false,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: Ports { apiserver, etcd, etcd_peer },
            node: None,
            addons: BTreeSet::new(),
            own_revisions: Vec::new(),
        })
    }

    /// A cluster in a network namespace, where all ports are free.
    pub(crate) fn in_namespace(address: Ipv4Addr, node: NodeRecord, addons: BTreeSet<Addon>) -> Self {
        let ports = Ports { apiserver: 6443, etcd: 2379, etcd_peer: 2380 };
        Self {
            ready: false,
            address: IpAddr::V4(address),
            ports,
            node: Some(node),
            addons,
            own_revisions: Vec::new(),
        }
    }

    pub(crate) fn read(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.record();
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|source| Error::Json { what: path.display().to_string(), source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at(path),
        }
    }

    /// The machine as another cluster with a node recorded it; `None` without another.
    pub(crate) fn machine_of_others(layout: &Layout) -> Option<Machine> {
        let entries = fs::read_dir(layout.root.parent()?).ok()?;
        let others = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        others
            .filter(|name| *name != layout.name)
            .filter_map(|name| Self::read(&Layout::of(&name).ok()?).ok()?)
            .find_map(|record| Some(record.node?.machine))
    }

    pub(crate) fn write(&self, layout: &Layout) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|source| Error::Json { what: layout.record().display().to_string(), source })?;
        paths::write(&layout.record(), text)
    }

    pub(crate) fn server(&self) -> String {
        format!("https://{}:{}", self.address, self.ports.apiserver)
    }

    pub(crate) fn netns_file(&self) -> Option<PathBuf> {
        self.node.as_ref().map(|node| Path::new("/run/netns").join(&node.netns))
    }
}

/// The ports of servers on loopback. Linux gives outgoing connections the ports from 32768 by default
/// (`ip_local_port_range`), and one of those may be taken between the choice of a port and the start of its server.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Ports without a listener. Two processes begin their search at different ports, and two calls of one process never
/// choose the same port.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    /// A prime, so that processes with neighbouring ids begin far apart.
    const DISTANCE: u32 = 61;
    let mut ports = [0; N];
    for port in &mut ports {
        let mut tries = PORTS.len();
        *port = loop {
            let nth =
                std::process::id().wrapping_mul(DISTANCE).wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
            let candidate = PORTS.start + (nth % PORTS.len() as u32) as u16;
            match TcpListener::bind((Ipv4Addr::LOCALHOST, candidate)) {
                Ok(_) => break candidate,
                Err(source) if tries == 0 => return Err(source).at(format!("127.0.0.1:{candidate}")),
                Err(_) => tries -= 1,
            }
        };
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_outgoing_connection_takes_the_port_of_a_server() {
        let range =
            fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux has the range");
        let ephemeral: u16 =
            range.split_whitespace().next().and_then(|low| low.parse().ok()).expect("a low end");
        let ports = free_ports::<3>().expect("three ports");
        assert!(ports.iter().all(|port| PORTS.contains(port) && *port < ephemeral), "{ports:?} {range}");
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2], "{ports:?}");
    }
}
