//! kube-proxy: Services.

use serde_json::json;

use crate::error::Result;
use crate::kubeconfig;
use crate::network::PODS;
use crate::paths::{self, Layout};
use crate::pki;
use crate::process::{Running, Server};
use crate::programs::Programs;
use crate::state::{NODE, Record};

/// Where it tells how it is; on loopback.
pub(crate) const HEALTH: u16 = 10256;

pub(crate) fn start(layout: &Layout, record: &Record, programs: &Programs) -> Result<Running> {
    let access = layout.path("kube-proxy.kubeconfig");
    let user = "system:kube-proxy";
    kubeconfig::write(
        &access,
        &record.server(),
        &layout.pki("ca.crt"),
        user,
        &pki::pair(layout, "kube-proxy"),
    )?;
    let config = layout.path("kube-proxy.json");
    let settings = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": { "kubeconfig": access },
        "hostnameOverride": NODE,
        "clusterCIDR": PODS,
        // IPVS needs modules that a small kernel does not have.
        "mode": "iptables",
        // A new Service is reachable this much sooner.
        "iptables": { "minSyncPeriod": "100ms", "syncPeriod": "30s" },
        // Settings of the whole machine, not to be changed; where they can't be, kube-proxy would fail.
        "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
        "healthzBindAddress": format!("127.0.0.1:{HEALTH}"),
        "metricsBindAddress": "127.0.0.1:10249",
        // Lowering it needs CAP_SYS_RESOURCE.
        "oomScoreAdj": 0
    });
    paths::write(&config, settings.to_string())?;
    Server::new(layout, "kube-proxy", &programs.kube("kube-proxy"), record.netns_file().as_deref())
        .file("--config=", &config)
        .start()
}
