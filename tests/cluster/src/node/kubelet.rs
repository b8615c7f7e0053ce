//! kubelet, which runs the pods of the node.

use std::path::Path;

use serde_json::{Value, json};

use crate::access::kubeconfig;
use crate::access::pki;
use crate::build::programs::Programs;
use crate::error::Result;
use crate::machine::cgroup;
use crate::node::dns;
use crate::paths::{self, Layout};
use crate::process::server::{RunningServer, ServerCommand};
use crate::record::{ClusterRecord, NODE};

/// The port of its health check, on loopback.
pub(crate) const HEALTH: u16 = 10248;

pub(crate) fn start(layout: &Layout, record: &ClusterRecord, programs: &Programs) -> Result<RunningServer> {
    let access = layout.path("kubelet.kubeconfig");
    let user = format!("system:node:{NODE}");
    kubeconfig::write(
        &access,
        &record.server(),
        &layout.pki("ca.crt"),
        &user,
        &pki::pair(layout, "kubelet"),
    )?;
    // The resolver of pods that do not use the cluster's DNS; the machine's is out of reach.
    let resolver = layout.resolver();
    paths::write(&resolver, format!("nameserver {}\n", record.address))?;
    let config = layout.path("kubelet.json");
    paths::write(&config, settings(layout, &resolver).to_string())?;
    ServerCommand::new(layout, "kubelet", &programs.kube("kubelet"), record.netns_file().as_deref())
        .file("--config=", &config)
        .file("--kubeconfig=", &access)
        .file("--root-dir=", layout.path("kubelet"))
        .file("--cert-dir=", layout.path("kubelet/pki"))
        .arg(format!("--hostname-override={NODE}"))
        // The namespace has two addresses; the host reaches this one.
        .arg(format!("--node-ip={}", record.address))
        .start()
}

fn settings(layout: &Layout, resolver: &Path) -> Value {
    let serving = pki::pair(layout, "kubelet-server");
    json!({
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
        // A machine may run without systemd.
        "cgroupDriver": "cgroupfs",
        "healthzPort": HEALTH,
        // Its own cgroup, by which `down` finds the processes of pods.
        "cgroupRoot": cgroup::name(layout),
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "clusterDomain": "cluster.local",
        "clusterDNS": [dns::SERVICE],
        "resolvConf": resolver,
        // The defaults are /var/log/pods and /usr/libexec.
        "podLogsDir": layout.path("pod-logs"),
        "volumePluginDir": layout.path("volume-plugins"),
        "staticPodPath": "",
        // The machine shares its disk with other work: a full disk must neither evict pods nor delete images.
        "evictionHard": {
            "memory.available": "64Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.available": "1%"
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "imageMinimumGCAge": "100h",
        // Lowering it needs CAP_SYS_RESOURCE.
        "oomScoreAdj": 0,
        "maxPods": 60
    })
}
