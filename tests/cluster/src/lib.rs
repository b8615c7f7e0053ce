//! Starts and stops a whole Kubernetes on one Linux machine.
//!
//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler run as ordinary processes, built once from pinned Go
//! modules. With root there is a real node as well: containerd, kubelet and kube-proxy in a network namespace with no way
//! out, volumes for claims, and a DevPI image. Each part has a file of its own here, with its flags and their reasons.
//!
//! ```no_run
//! use thinkube_test_cluster::{Cluster, Options};
//!
//! let cluster = Cluster::up(&Options::default(), &mut |progress| drop(progress))?;
//! println!("export KUBECONFIG={}", cluster.kubeconfig().display());
//! # Ok::<(), thinkube_test_cluster::Error>(())
//! ```

mod apiserver;
mod audit;
mod cgroup;
mod cluster;
mod cni;
mod containerd;
mod controller_manager;
mod error;
mod etcd;
mod images;
mod kube_proxy;
mod kubeconfig;
mod kubectl;
mod kubelet;
mod lock;
mod needs;
mod network;
mod packages;
mod paths;
mod pki;
mod process;
mod programs;
mod progress;
mod scheduler;
mod state;
mod status;
mod teardown;
mod volumes;

use sha2::{Digest, Sha256};

pub use audit::AuditEvent;
pub use cluster::{Cluster, Node, Options, down};
pub use error::{Error, Result};
pub use kubeconfig::KUBECONFIG_VARIABLE;
pub use needs::Need;
pub use programs::KUBERNETES;
pub use progress::{Progress, Report};
pub use status::{Health, Status, status};

/// A name for content: SHA-256 over the parts, each with its length, in hexadecimal.
fn hash(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
