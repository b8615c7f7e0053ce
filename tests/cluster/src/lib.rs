//! Starts and stops a whole Kubernetes on one Linux machine.
//!
//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler run as ordinary processes, built once from pinned Go
//! modules. With root there is a real node as well: containerd, kubelet and kube-proxy in a network namespace with no way
//! out, with cluster DNS, a provisioner of volumes and a DevPI image, and on demand a registry, an ingress controller and
//! Keycloak. Each server has a file of its own here, with its flags and their reasons.
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
mod build;
mod buildah;
mod built;
mod cgroup;
mod cluster;
mod cni;
mod containerd;
mod controller_manager;
mod corner;
mod dns;
pub mod doctor;
mod domain;
mod error;
mod etcd;
mod http;
mod images;
mod ingress;
mod keycloak;
mod kube_proxy;
mod kubeconfig;
mod kubectl;
mod kubelet;
mod lock;
mod needs;
mod network;
mod packages;
mod part;
mod paths;
mod pki;
mod process;
mod programs;
mod progress;
mod random;
mod registry;
mod reset;
mod scheduler;
mod servers;
mod skip;
mod state;
mod status;
mod storage;
mod supply;
mod sweep;
mod teardown;
mod toolchain;
pub mod workshop;

use sha2::{Digest, Sha256};

pub use audit::AuditEvent;
pub use build::{fetch_sources, is_everything_built};
pub use buildah::Buildah;
pub use built::{HOST_VARIABLE, PLUGINS_VARIABLE, is_built};
pub use cluster::{Cluster, Node, Options, cluster_names, down, log, pause, restart, resume};
pub use corner::{Corner, NO_CLUSTER_VARIABLE, no_cluster_because};
pub use domain::DOMAIN;
pub use error::{Error, Result};
pub use keycloak::Keycloak;
pub use kubeconfig::KUBECONFIG_VARIABLE;
pub use needs::{Need, Purpose, Way};
pub use part::Part;
pub use pki::self_signed;
pub use programs::{KUBERNETES, built_kubectl};
pub use progress::{Progress, Report};
pub use random::password;
pub use registry::Registry;
pub use skip::{SKIPS_VARIABLE, skip};
pub use status::{Health, Image, ServerState, ServerStatus, Status, status};
pub use sweep::{SEED_VARIABLE, SWEEP_VARIABLE, sample, seed, seed_of_environment};
pub use toolchain::{cargo, forget_package};

/// A name for content: SHA-256 over the parts, each with its length, in hexadecimal.
fn hash(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
