//! kube-scheduler.

use crate::error::Result;
use crate::kubeconfig;
use crate::paths::Layout;
use crate::pki;
use crate::process::{Running, Server};
use crate::programs::Programs;
use crate::state::Record;

pub(crate) fn start(layout: &Layout, record: &Record, programs: &Programs) -> Result<Running> {
    let config = layout.path("scheduler.kubeconfig");
    let user = "system:kube-scheduler";
    kubeconfig::write(
        &config,
        &record.server(),
        &layout.pki("ca.crt"),
        user,
        &pki::pair(layout, "scheduler"),
    )?;
    Server::new(layout, "kube-scheduler", &programs.kube("kube-scheduler"), record.netns_file().as_deref())
        .file("--kubeconfig=", &config)
        // There is one; an election costs seconds at the start and writes in the audit log for ever.
        .arg("--leader-elect=false")
        // Nobody reads its metrics, and a fixed port would keep a second cluster from starting.
        .arg("--secure-port=0")
        .start()
}
