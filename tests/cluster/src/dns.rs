//! CoreDNS: the cluster's names, the test domain, and nothing else.
//!
//! No query is forwarded: a name of the world outside does not exist here, which is answered at once.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use crate::domain::{self, DOMAIN};
use crate::error::Result;
use crate::paths::{self, Layout};
use crate::pki;
use crate::process::{Answer, Running, Server};
use crate::programs::Programs;
use crate::state::Record;
use crate::{http, kubeconfig, network};

/// The Service that pods are told of.
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

const READY: u16 = 8181;

pub(crate) fn start(layout: &Layout, record: &Record, programs: &Programs) -> Result<Running> {
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
    Server::new(layout, "dns", &programs.coredns(), record.netns_file().as_deref())
        .file("-conf=", &config)
        .start()
}

fn configuration(address: IpAddr, access: &str) -> String {
    // Five seconds: whoever waits for a Service asks again and again, and must not be told of the past.
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

/// The Service of pods, in the place where every cluster has it.
pub(crate) fn objects(record: &Record) -> Vec<Value> {
    let ip = SERVICE.to_string();
    let ports = [("dns", "UDP", 53), ("dns-tcp", "TCP", 53)];
    let mut objects = domain::service("kube-system", "kube-dns", Some(&ip), record.address, &ports);
    objects[0]["metadata"]["labels"] = json!({ "k8s-app": "kube-dns" });
    objects
}

/// It has read the cluster's Services, and kube-proxy leads to it: a pod's first question is not left to a time-out.
pub(crate) fn answers(record: &Record) -> Answer {
    match http::answers(record.address, READY, "/ready") {
        Answer::Yes => network::within(record, || http::listens(IpAddr::V4(SERVICE), 53)),
        not_yet => not_yet,
    }
}
