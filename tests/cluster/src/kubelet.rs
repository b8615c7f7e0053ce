//! kubelet: the node.

use serde_json::json;

use crate::error::Result;
use crate::paths::{self, Layout};
use crate::pki;
use crate::process::{Running, Server};
use crate::programs::Programs;
use crate::state::{NODE, Record};
use crate::{cgroup, dns, kubeconfig};

/// Where it tells how it is; on loopback.
pub(crate) const HEALTH: u16 = 10248;

pub(crate) fn start(layout: &Layout, record: &Record, programs: &Programs) -> Result<Running> {
    let access = layout.path("kubelet.kubeconfig");
    let user = format!("system:node:{NODE}");
    kubeconfig::write(
        &access,
        &record.server(),
        &layout.pki("ca.crt"),
        &user,
        &pki::pair(layout, "kubelet"),
    )?;
    // A pod takes its DNS settings from here where it does not use the cluster's: the machine's would lead nowhere.
    let resolver = layout.resolver();
    paths::write(&resolver, format!("nameserver {}\n", record.address))?;
    let serving = pki::pair(layout, "kubelet-server");
    let config = layout.path("kubelet.json");
    let settings = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": layout.pki("ca.crt") }
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": serving.certificate,
        "tlsPrivateKeyFile": serving.key,
        // Not systemd's: there may be none.
        "cgroupDriver": "cgroupfs",
        // A cgroup of our own, so that `down` finds all processes of pods and nobody else's.
        "healthzPort": HEALTH,
        "cgroupRoot": cgroup::name(layout),
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "clusterDomain": "cluster.local",
        "clusterDNS": [dns::SERVICE],
        "resolvConf": resolver,
        // By default in /var/log/pods and /usr/libexec.
        "podLogsDir": layout.path("pod-logs"),
        "volumePluginDir": layout.path("volume-plugins"),
        "staticPodPath": "",
        // The disk is shared with everything else on the machine: neither evict nor delete images because it fills.
        "evictionHard": {
            "memory.available": "64Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.available": "1%"
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "imageMinimumGCAge": "100h",
        // Lowering it needs CAP_SYS_RESOURCE.
        "oomScoreAdj": 0,
        "maxPods": 60
    });
    paths::write(&config, settings.to_string())?;
    Server::new(layout, "kubelet", &programs.kube("kubelet"), record.netns_file().as_deref())
        .file("--config=", &config)
        .file("--kubeconfig=", &access)
        .file("--root-dir=", layout.path("kubelet"))
        .file("--cert-dir=", layout.path("kubelet/pki"))
        .arg(format!("--hostname-override={NODE}"))
        // Of the two addresses in the namespace the one that the host can reach.
        .arg(format!("--node-ip={}", record.address))
        .start()
}
