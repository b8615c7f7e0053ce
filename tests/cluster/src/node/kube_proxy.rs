//! kube-proxy, for Services.

use serde_json::json;

use crate::access::kubeconfig;
use crate::access::pki;
use crate::build::programs::Programs;
use crate::error::Result;
use crate::node::network::PODS;
use crate::paths::{self, Layout};
use crate::process::server::{RunningServer, ServerCommand};
use crate::record::{ClusterRecord, NODE};

/// The port of its health check, on loopback.
pub(crate) const HEALTH: u16 = 10256;

pub(crate) fn start(layout: &Layout, record: &ClusterRecord, programs: &Programs) -> Result<RunningServer> {
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
        // IPVS needs modules that a small kernel lacks.
        "mode": "iptables",
        // A new Service is reachable sooner than with the default.
        "iptables": { "minSyncPeriod": "100ms", "syncPeriod": "30s" },
        // These would change settings of the whole machine, and fail where that is not allowed.
        "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
        "healthzBindAddress": format!("127.0.0.1:{HEALTH}"),
        "metricsBindAddress": "127.0.0.1:10249",
        // Lowering it needs CAP_SYS_RESOURCE.
        "oomScoreAdj": 0
    });
    paths::write(&config, settings.to_string())?;
    ServerCommand::new(layout, "kube-proxy", &programs.kube("kube-proxy"), record.netns_file().as_deref())
        .file("--config=", &config)
        .start()
}
