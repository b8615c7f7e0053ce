//! kube-apiserver.
//!
//! Pod Security and ValidatingAdmissionPolicy are admission plugins that are on by default: no flag here touches them.

use crate::error::Result;
use crate::paths::{self, Layout};
use crate::pki;
use crate::process::{Running, Server};
use crate::programs::Programs;
use crate::state::Record;

/// Services get their addresses from here; only the cluster's own namespace routes it.
pub(crate) const SERVICES: &str = "10.96.0.0/16";

/// One event a request when it is complete: who, what, which answer. No bodies, so no secrets.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

pub(crate) fn start(layout: &Layout, record: &Record, programs: &Programs) -> Result<Running> {
    let policy = layout.path("audit-policy.yaml");
    paths::write(&policy, AUDIT_POLICY)?;
    let serving = pki::pair(layout, "apiserver");
    let to_etcd = pki::pair(layout, "apiserver-etcd-client");
    let to_kubelet = pki::pair(layout, "apiserver-kubelet-client");
    Server::new(layout, "kube-apiserver", &programs.kube("kube-apiserver"), record.netns_file().as_deref())
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
        // Pods of the tests may be privileged where Pod Security lets them.
        .arg("--allow-privileged=true")
        // The node's name is in no DNS: by name, exec, logs and port-forward would fail.
        .arg("--kubelet-preferred-address-types=InternalIP")
        .file("--kubelet-certificate-authority=", layout.pki("ca.crt"))
        .file("--kubelet-client-certificate=", &to_kubelet.certificate)
        .file("--kubelet-client-key=", &to_kubelet.key)
        .file("--audit-policy-file=", &policy)
        .file("--audit-log-path=", layout.audit_log())
        // An event is in the file before the next request of the same client can be: tests count right after they wrote.
        .arg("--audit-log-mode=blocking")
        // Readers hold offsets into the file, so it must not be rotated under them; with a bound all the same.
        .args(["--audit-log-maxsize=2048", "--audit-log-maxbackup=1"])
        .arg("--profiling=false")
        .start()
}
