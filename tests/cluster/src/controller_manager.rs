//! kube-controller-manager: without it namespaces never finish terminating, nothing is garbage collected, Deployments
//! and Jobs have no status, and namespaces get no default ServiceAccount.

use crate::error::Result;
use crate::kubeconfig;
use crate::paths::Layout;
use crate::pki;
use crate::process::{Running, Server};
use crate::programs::Programs;
use crate::state::Record;

pub(crate) fn start(layout: &Layout, record: &Record, programs: &Programs) -> Result<Running> {
    let config = layout.path("controller-manager.kubeconfig");
    let user = "system:kube-controller-manager";
    let authority = layout.pki("ca.crt");
    kubeconfig::write(&config, &record.server(), &authority, user, &pki::pair(layout, "controller-manager"))?;
    let binary = programs.kube("kube-controller-manager");
    Server::new(layout, "kube-controller-manager", &binary, record.netns_file().as_deref())
        .file("--kubeconfig=", &config)
        .file("--service-account-private-key-file=", layout.pki("service-account.key"))
        .file("--root-ca-file=", &authority)
        .file("--cluster-signing-cert-file=", &authority)
        .file("--cluster-signing-key-file=", layout.pki("ca.key"))
        // Each controller under its own ServiceAccount, as everywhere: the audit log tells them apart, RBAC holds for them.
        .arg("--use-service-account-credentials=true")
        // With the usual 20 requests a second its forty controllers take 5 s to start.
        .args(["--kube-api-qps=1000", "--kube-api-burst=2000"])
        // Else it makes a folder in /usr/libexec.
        .file("--flex-volume-plugin-dir=", layout.path("volume-plugins"))
        // There is one; an election costs seconds at the start and writes in the audit log for ever.
        .arg("--leader-elect=false")
        // Nobody reads its metrics, and a fixed port would keep a second cluster from starting.
        .arg("--secure-port=0")
        .start()
}
