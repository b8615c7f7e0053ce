//! kube-scheduler.

use crate::access::kubeconfig;
use crate::access::pki;
use crate::build::programs::Programs;
use crate::error::Result;
use crate::paths::Layout;
use crate::process::server::{RunningServer, ServerCommand};
use crate::record::ClusterRecord;

pub(crate) fn start(layout: &Layout, record: &ClusterRecord, programs: &Programs) -> Result<RunningServer> {
    let config = layout.path("scheduler.kubeconfig");
    let user = "system:kube-scheduler";
    kubeconfig::write(
        &config,
        &record.server(),
        &layout.pki("ca.crt"),
        user,
        &pki::pair(layout, "scheduler"),
    )?;
    ServerCommand::new(
        layout,
        "kube-scheduler",
        &programs.kube("kube-scheduler"),
        record.netns_file().as_deref(),
    )
    .file("--kubeconfig=", &config)
    // It runs once; an election costs seconds, and writes to the audit log all the time.
    .arg("--leader-elect=false")
    // Its metrics are not read, and a fixed port would keep a second cluster from starting.
    .arg("--secure-port=0")
    .start()
}
