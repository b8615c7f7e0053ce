//! The servers of a cluster, a line each: for whoever starts, looks at, stops or starts them again.

use std::net::{IpAddr, Ipv4Addr};

use crate::error::Result;
use crate::kubectl::Kubectl;
use crate::part::Part;
use crate::paths::Layout;
use crate::process::{self, Answer, Running};
use crate::programs::{self, Programs};
use crate::state::{NODE, Record};
use crate::{
    apiserver, containerd, controller_manager, dns, etcd, http, ingress, keycloak, kube_proxy, kubelet,
    network, registry, scheduler, storage,
};

/// A server: one process with one log.
pub(crate) struct Server {
    /// How it is called here, and in the name of its log.
    pub(crate) name: &'static str,
    /// The part that it belongs to; `None`: the control plane.
    pub(crate) part: Option<Part>,
    /// The program and its release.
    pub(crate) version: fn() -> String,
    /// Where it is reached; `None` where nobody asks it anything.
    pub(crate) address: fn(&Record) -> Option<String>,
    pub(crate) start: fn(&Layout, &Record, &Programs) -> Result<Running>,
    /// Whether it does its work.
    pub(crate) answers: fn(&Layout, &Record) -> Answer,
}

/// In the order in which they can start.
pub(crate) const ALL: [Server; 12] = [
    Server {
        name: "etcd",
        part: None,
        version: || release("etcd"),
        address: |record| Some(format!("https://127.0.0.1:{}", record.ports.etcd)),
        start: etcd::start,
        answers: |_, record| {
            network::within(record, || http::listens(IpAddr::V4(Ipv4Addr::LOCALHOST), record.ports.etcd))
        },
    },
    Server {
        name: "kube-apiserver",
        part: None,
        version: || release("kube-apiserver"),
        address: |record| Some(record.server()),
        start: apiserver::start,
        answers: |layout, _| asks(layout, &["get", "--raw=/readyz"]),
    },
    Server {
        name: "kube-controller-manager",
        part: None,
        version: || release("kube-controller-manager"),
        address: |_| None,
        start: controller_manager::start,
        // Its doing; before it no pod can be created.
        answers: |layout, _| asks(layout, &["get", "serviceaccount", "default", "--namespace=default"]),
    },
    Server {
        name: "kube-scheduler",
        part: None,
        version: || release("kube-scheduler"),
        address: |_| None,
        start: scheduler::start,
        answers: |layout, _| runs(layout, "kube-scheduler"),
    },
    Server {
        name: "containerd",
        part: Some(Part::Node),
        version: containerd::version,
        address: |_| None,
        start: |layout, record, _| containerd::start(layout, record),
        answers: |layout, _| containerd::answers(layout),
    },
    Server {
        name: "kubelet",
        part: Some(Part::Node),
        version: || release("kubelet"),
        address: |record| Some(format!("https://{}:10250", record.address)),
        start: kubelet::start,
        answers: |layout, record| {
            let healthy = || http::answers(IpAddr::V4(Ipv4Addr::LOCALHOST), kubelet::HEALTH, "/healthz");
            match network::within(record, healthy) {
                Answer::Yes => node_ready(layout),
                not_yet => not_yet,
            }
        },
    },
    Server {
        name: "kube-proxy",
        part: Some(Part::Node),
        version: || release("kube-proxy"),
        address: |_| None,
        start: kube_proxy::start,
        answers: |_, record| {
            network::within(record, || {
                http::answers(IpAddr::V4(Ipv4Addr::LOCALHOST), kube_proxy::HEALTH, "/healthz")
            })
        },
    },
    Server {
        name: "dns",
        part: Some(Part::Node),
        version: || format!("CoreDNS {}", programs::version("coredns")),
        address: |record| Some(format!("{}:53", record.address)),
        start: dns::start,
        answers: |_, record| dns::answers(record),
    },
    Server {
        name: "storage",
        part: Some(Part::Node),
        version: || format!("local-path-provisioner {}", programs::version("local-path-provisioner")),
        address: |_| None,
        start: storage::start,
        answers: |layout, _| runs(layout, "storage"),
    },
    Server {
        name: "registry",
        part: Some(Part::Registry),
        version: || format!("distribution {}", programs::version("registry")),
        address: |_| Some(format!("https://{}", registry::host())),
        start: registry::start,
        answers: |_, record| registry::answers(record),
    },
    Server {
        name: "ingress",
        part: Some(Part::Ingress),
        version: || format!("Traefik {}", programs::version("traefik")),
        address: |record| Some(format!("https://{}", record.address)),
        start: ingress::start,
        answers: |_, record| ingress::answers(record),
    },
    Server {
        name: "keycloak",
        part: Some(Part::Keycloak),
        version: || format!("Keycloak {}", keycloak::VERSION),
        address: |_| Some(keycloak::URL.to_owned()),
        start: keycloak::start,
        answers: keycloak::answers,
    },
];

/// The servers of a part.
pub(crate) fn of_part(part: Part) -> impl Iterator<Item = &'static Server> {
    ALL.iter().filter(move |server| server.part == Some(part))
}

fn release(program: &str) -> String {
    programs::version(program).to_owned()
}

fn asks(layout: &Layout, arguments: &[&str]) -> Answer {
    match Kubectl::of(layout) {
        Ok(kubectl) => kubectl.asks(arguments),
        Err(error) => Answer::NotYet(error.to_string()),
    }
}

/// For a server that serves nobody: that it runs is all there is to see.
fn runs(layout: &Layout, server: &str) -> Answer {
    if process::find(layout).iter().any(|found| found.itself && found.program == server) {
        Answer::Yes
    } else {
        Answer::NotYet(format!("{server} does not run"))
    }
}

fn node_ready(layout: &Layout) -> Answer {
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    match Kubectl::of(layout).and_then(|kubectl| kubectl.run(&["get", "node", NODE, "-o", path])) {
        Ok(status) if status.trim() == "True" => Answer::Yes,
        Ok(status) => Answer::NotYet(format!("Ready is `{status}`")),
        Err(error) => Answer::NotYet(error.to_string()),
    }
}
