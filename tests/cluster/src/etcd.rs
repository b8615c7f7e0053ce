//! etcd: where the apiserver keeps everything.

use crate::error::Result;
use crate::paths::Layout;
use crate::pki;
use crate::process::{Running, Server};
use crate::programs::Programs;
use crate::state::Record;

pub(crate) fn start(layout: &Layout, record: &Record, programs: &Programs) -> Result<Running> {
    let client = format!("https://127.0.0.1:{}", record.ports.etcd);
    let peer = format!("https://127.0.0.1:{}", record.ports.etcd_peer);
    let server = pki::pair(layout, "etcd");
    let authority = layout.pki("etcd-ca.crt");
    Server::new(layout, "etcd", &programs.etcd(), record.netns_file().as_deref())
        .arg("--name=thinkube")
        .file("--data-dir=", layout.path("etcd"))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        // The peer port can't be switched off, even for a single member.
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=thinkube={peer}"))
        // Loopback is open to every user of the machine, and what is here opens the cluster: client certificates only.
        .file("--cert-file=", &server.certificate)
        .file("--key-file=", &server.key)
        .file("--trusted-ca-file=", &authority)
        .arg("--client-cert-auth=true")
        .file("--peer-cert-file=", &server.certificate)
        .file("--peer-key-file=", &server.key)
        .file("--peer-trusted-ca-file=", &authority)
        .arg("--peer-client-cert-auth=true")
        // The data is worth nothing after a crash of the machine; waiting for the disk is a third of the start.
        .arg("--unsafe-no-fsync=true")
        .arg("--log-level=warn")
        .start()
}
