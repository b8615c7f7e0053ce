//! The table of a cluster's servers. A server's flags and their reasons are in the server's own file.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::access::kubectl::Kubectl;
use crate::addon::Addon;
use crate::addons::{ingress, registry};
use crate::build::modules;
use crate::build::programs::Programs;
use crate::control_plane::{apiserver, controller_manager, etcd, scheduler};
use crate::error::Result;
use crate::http;
use crate::keycloak;
use crate::node::{containerd, dns, kube_proxy, kubelet, network, storage};
use crate::paths::Layout;
use crate::process::find;
use crate::process::server::{RunningServer, wait_for};
use crate::readiness::Readiness;
use crate::record::{ClusterRecord, NODE};

/// How long a server may take to become ready: longer than any start on a machine that also builds.
pub(crate) const SERVER_TIMEOUT: Duration = Duration::from_secs(120);

/// A server: one process with one log.
pub(crate) struct Server {
    /// Its name, also that of its log.
    pub(crate) name: &'static str,
    /// The addon that it belongs to; `None` for the control plane.
    pub(crate) addon: Option<Addon>,
    /// The program and its release.
    pub(crate) version: fn() -> String,
    /// Where it is reached; `None` for a server without clients.
    pub(crate) address: fn(&ClusterRecord) -> Option<String>,
    pub(crate) start: fn(&Layout, &ClusterRecord, &Programs) -> Result<RunningServer>,
    pub(crate) readiness: fn(&Layout, &ClusterRecord) -> Readiness,
}

/// In the order in which they can start.
pub(crate) const ALL: [Server; 12] = [
    Server {
        name: "etcd",
        addon: None,
        version: || release("etcd"),
        address: |record| Some(format!("https://127.0.0.1:{}", record.ports.etcd)),
        start: etcd::start,
        readiness: |_, record| {
            network::within(record, || http::listens(IpAddr::V4(Ipv4Addr::LOCALHOST), record.ports.etcd))
        },
    },
    Server {
        name: "kube-apiserver",
        addon: None,
        version: || release("kube-apiserver"),
        address: |record| Some(record.server()),
        start: apiserver::start,
        readiness: |layout, _| succeeds(layout, &["get", "--raw=/readyz"]),
    },
    Server {
        name: "kube-controller-manager",
        addon: None,
        version: || release("kube-controller-manager"),
        address: |_| None,
        start: controller_manager::start,
        // It makes the ServiceAccount without which no pod can be created.
        readiness: |layout, _| succeeds(layout, &["get", "serviceaccount", "default", "--namespace=default"]),
    },
    Server {
        name: "kube-scheduler",
        addon: None,
        version: || release("kube-scheduler"),
        address: |_| None,
        start: scheduler::start,
        readiness: |layout, _| runs(layout, "kube-scheduler"),
    },
    Server {
        name: "containerd",
        addon: Some(Addon::Node),
        version: containerd::version,
        address: |_| None,
        start: |layout, record, _| containerd::start(layout, record),
        readiness: |layout, _| containerd::readiness(layout),
    },
    Server {
        name: "kubelet",
        addon: Some(Addon::Node),
        version: || release("kubelet"),
        address: |record| Some(format!("https://{}:10250", record.address)),
        start: kubelet::start,
        readiness: |layout, record| {
            let healthy = || http::readiness(IpAddr::V4(Ipv4Addr::LOCALHOST), kubelet::HEALTH, "/healthz");
            match network::within(record, healthy) {
                Readiness::Ready => node_ready(layout),
                not_yet => not_yet,
            }
        },
    },
    Server {
        name: "kube-proxy",
        addon: Some(Addon::Node),
        version: || release("kube-proxy"),
        address: |_| None,
        start: kube_proxy::start,
        readiness: |_, record| {
            network::within(record, || {
                http::readiness(IpAddr::V4(Ipv4Addr::LOCALHOST), kube_proxy::HEALTH, "/healthz")
            })
        },
    },
    Server {
        name: "dns",
        addon: Some(Addon::Node),
        version: || format!("CoreDNS {}", modules::version("coredns")),
        address: |record| Some(format!("{}:53", record.address)),
        start: dns::start,
        readiness: |_, record| dns::readiness(record),
    },
    Server {
        name: "storage",
        addon: Some(Addon::Node),
        version: || format!("local-path-provisioner {}", modules::version("local-path-provisioner")),
        address: |_| None,
        start: storage::start,
        readiness: |layout, _| runs(layout, "storage"),
    },
    Server {
        name: "registry",
        addon: Some(Addon::Registry),
        version: || format!("distribution {}", modules::version("registry")),
        address: |_| Some(format!("https://{}", registry::host())),
        start: registry::start,
        readiness: |_, record| registry::readiness(record),
    },
    Server {
        name: "ingress",
        addon: Some(Addon::Ingress),
        version: || format!("Traefik {}", modules::version("traefik")),
        address: |record| Some(format!("https://{}", record.address)),
        start: ingress::start,
        readiness: |_, record| ingress::readiness(record),
    },
    Server {
        name: "keycloak",
        addon: Some(Addon::Keycloak),
        version: || format!("Keycloak {}", keycloak::distribution::VERSION),
        address: |_| Some(keycloak::URL.to_owned()),
        start: |layout, record, _| keycloak::server::start(layout, record),
        readiness: keycloak::server::readiness,
    },
];

/// The servers that must run, in the order in which they start.
pub(crate) fn of_record(record: &ClusterRecord) -> impl Iterator<Item = &'static Server> {
    ALL.iter().filter(|server| server.addon.is_none_or(|addon| record.addons.contains(&addon)))
}

/// The servers of an addon.
pub(crate) fn of_addon(addon: Addon) -> impl Iterator<Item = &'static Server> {
    ALL.iter().filter(move |server| server.addon == Some(addon))
}

fn release(program: &str) -> String {
    modules::version(program).to_owned()
}

fn succeeds(layout: &Layout, arguments: &[&str]) -> Readiness {
    match Kubectl::of(layout) {
        Ok(kubectl) => kubectl.succeeds(arguments),
        Err(error) => Readiness::NotReady(error.to_string()),
    }
}

/// The readiness of a server without clients: its process runs.
fn runs(layout: &Layout, server: &str) -> Readiness {
    if find::of_server(layout, server).is_some() {
        Readiness::Ready
    } else {
        Readiness::NotReady(format!("{server} does not run"))
    }
}

fn node_ready(layout: &Layout) -> Readiness {
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    match Kubectl::of(layout).and_then(|kubectl| kubectl.run(&["get", "node", NODE, "-o", path])) {
        Ok(status) if status.trim() == "True" => Readiness::Ready,
        Ok(status) => Readiness::NotReady(format!("Ready is `{status}`")),
        Err(error) => Readiness::NotReady(error.to_string()),
    }
}

/// Waits until each of these servers is ready. Fails at once when one of `started` ends.
pub(crate) fn wait_for_all(
    layout: &Layout,
    servers: impl Iterator<Item = &'static Server>,
    record: &ClusterRecord,
    started: &[RunningServer],
) -> Result<()> {
    for server in servers {
        wait_for(server.name, SERVER_TIMEOUT, layout, started, || Ok((server.readiness)(layout, record)))?;
    }
    Ok(())
}
