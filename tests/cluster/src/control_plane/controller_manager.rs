//! kube-controller-manager: without it namespaces never finish terminating, nothing is garbage collected, Deployments
//! and Jobs have no status, and namespaces get no default ServiceAccount.

use crate::access::kubeconfig;
use crate::access::pki;
use crate::build::programs::Programs;
use crate::error::Result;
use crate::paths::Layout;
use crate::process::server::{RunningServer, ServerCommand};
use crate::record::ClusterRecord;

pub(crate) fn start(layout: &Layout, record: &ClusterRecord, programs: &Programs) -> Result<RunningServer> {
    let config = layout.path("controller-manager.kubeconfig");
    let user = "system:kube-controller-manager";
    let authority = layout.pki("ca.crt");
    kubeconfig::write(&config, &record.server(), &authority, user, &pki::pair(layout, "controller-manager"))?;
    let binary = programs.kube("kube-controller-manager");
    ServerCommand::new(layout, "kube-controller-manager", &binary, record.netns_file().as_deref())
        .file("--kubeconfig=", &config)
        .file("--service-account-private-key-file=", layout.pki("service-account.key"))
        .file("--root-ca-file=", &authority)
        .file("--cluster-signing-cert-file=", &authority)
        .file("--cluster-signing-key-file=", layout.pki("ca.key"))
        // As in most clusters: the audit log shows each controller, and RBAC applies to it.
        .arg("--use-service-account-credentials=true")
        // With the default of 20 requests a second its forty controllers take 5 s to start.
        .args(["--kube-api-qps=1000", "--kube-api-burst=2000"])
        // The default makes a folder in /usr/libexec.
        .file("--flex-volume-plugin-dir=", layout.path("volume-plugins"))
        // It runs once; an election costs seconds, and writes to the audit log all the time.
        .arg("--leader-elect=false")
        // Its metrics are not read, and a fixed port would keep a second cluster from starting.
        .arg("--secure-port=0")
        .start()
}
