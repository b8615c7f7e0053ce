//! kube-apiserver.
//!
//! Pod Security and ValidatingAdmissionPolicy are on by default.

use crate::access::pki;
use crate::build::programs::Programs;
use crate::error::Result;
use crate::paths::{self, Layout};
use crate::process::server::{RunningServer, ServerCommand};
use crate::record::ClusterRecord;

/// The addresses of Services; only the cluster's network namespace routes them.
pub(crate) const SERVICES: &str = "10.96.0.0/16";

/// One event a completed request. Without bodies, so without secrets.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

pub(crate) fn start(layout: &Layout, record: &ClusterRecord, programs: &Programs) -> Result<RunningServer> {
    let policy = layout.path("audit-policy.yaml");
    paths::write(&policy, AUDIT_POLICY)?;
    let serving = pki::pair(layout, "apiserver");
    let to_etcd = pki::pair(layout, "apiserver-etcd-client");
    let to_kubelet = pki::pair(layout, "apiserver-kubelet-client");
    ServerCommand::new(
        layout,
        "kube-apiserver",
        &programs.kube("kube-apiserver"),
        record.netns_file().as_deref(),
    )
    .arg(format!("--bind-address={}", record.address))
    .arg(format!("--advertise-address={}", record.address))
    .arg(format!("--secure-port={}", record.ports.apiserver))
    .file("--tls-cert-file=", &serving.certificate)
    .file("--tls-private-key-file=", &serving.key)
    .file("--client-ca-file=", layout.pki("ca.crt"))
    .arg(format!("--etcd-servers=https://127.0.0.1:{}", record.ports.etcd))
    .file("--etcd-cafile=", layout.pki("etcd-ca.crt"))
    .file("--etcd-certfile=", &to_etcd.certificate)
    .file("--etcd-keyfile=", &to_etcd.key)
    .args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"])
    .arg(format!("--service-cluster-ip-range={SERVICES}"))
    .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
    .file("--service-account-key-file=", layout.pki("service-account.pub"))
    .file("--service-account-signing-key-file=", layout.pki("service-account.key"))
    // Pod Security decides which pods of tests may be privileged.
    .arg("--allow-privileged=true")
    // No DNS knows the node's name, with which exec, logs and port-forward would fail.
    .arg("--kubelet-preferred-address-types=InternalIP")
    .file("--kubelet-certificate-authority=", layout.pki("ca.crt"))
    .file("--kubelet-client-certificate=", &to_kubelet.certificate)
    .file("--kubelet-client-key=", &to_kubelet.key)
    .file("--audit-policy-file=", &policy)
    .file("--audit-log-path=", layout.audit_log())
    // An event is in the file before the client's next request: tests count right after a write.
    .arg("--audit-log-mode=blocking")
    // Large, because a rotation would invalidate the offsets of readers.
    .args(["--audit-log-maxsize=2048", "--audit-log-maxbackup=1"])
    .arg("--profiling=false")
    .start()
}
