//! CoreDNS, for the cluster's names and the test domain. It forwards no query: any other name does not exist, which it answers
//! at once.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use crate::access::domain::{self, DOMAIN};
use crate::access::kubeconfig;
use crate::access::pki;
use crate::build::programs::Programs;
use crate::error::Result;
use crate::http;
use crate::node::network;
use crate::paths::{self, Layout};
use crate::process::server::{RunningServer, ServerCommand};
use crate::readiness::Readiness;
use crate::record::ClusterRecord;

/// The address of its Service, in the DNS configuration of pods.
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

const READY: u16 = 8181;

pub(crate) fn start(layout: &Layout, record: &ClusterRecord, programs: &Programs) -> Result<RunningServer> {
    let access = layout.path("dns.kubeconfig");
    kubeconfig::write(
        &access,
        &record.server(),
        &layout.pki("ca.crt"),
        "dns",
        &pki::trusted(layout, "dns")?,
    )?;
    let config = layout.path("Corefile");
    paths::write(&config, configuration(record.address, &access.to_string_lossy()))?;
    ServerCommand::new(layout, "dns", &programs.coredns(), record.netns_file().as_deref())
        .file("-conf=", &config)
        .start()
}

fn configuration(address: IpAddr, access: &str) -> String {
    // Five seconds, so that a client that waits for a Service gets no old answer.
    format!(
        "{DOMAIN} {{
    bind {address}
    errors
    template IN A {{
        answer \"{{{{ .Name }}}} 5 IN A {address}\"
    }}
    template ANY ANY {{
        rcode NOERROR
    }}
}}
cluster.local in-addr.arpa ip6.arpa {{
    bind {address}
    errors
    ready {address}:{READY}
    kubernetes {{
        kubeconfig \"{access}\"
        pods insecure
        ttl 5
    }}
}}
. {{
    bind {address}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"
    )
}

/// Its Service, with the name that every cluster has.
pub(crate) fn objects(record: &ClusterRecord) -> Vec<Value> {
    let ip = SERVICE.to_string();
    let ports = [("dns", "UDP", 53), ("dns-tcp", "TCP", 53)];
    let mut objects = domain::service("kube-system", "kube-dns", Some(&ip), record.address, &ports);
    objects[0]["metadata"]["labels"] = json!({ "k8s-app": "kube-dns" });
    objects
}

/// Whether it has read the cluster's Services and is reached by its Service: else a pod's first query would time out.
pub(crate) fn readiness(record: &ClusterRecord) -> Readiness {
    match http::readiness(record.address, READY, "/ready") {
        Readiness::Ready => network::within(record, || http::listens(IpAddr::V4(SERVICE), 53)),
        not_yet => not_yet,
    }
}
