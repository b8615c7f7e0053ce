//! Starts and stops a whole Kubernetes on one Linux machine.
//!
//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler run as ordinary processes, built once from pinned Go
//! modules. With root there is a node as well: containerd, kubelet and kube-proxy in a network namespace with no way out, with
//! cluster DNS, a volume provisioner and a DevPI image, and on demand a registry, an ingress controller and Keycloak.
//!
//! ```no_run
//! use thinkube_test_cluster::{Cluster, Options};
//!
//! let cluster = Cluster::up(&Options::default(), &mut |progress| drop(progress))?;
//! println!("export KUBECONFIG={}", cluster.kubeconfig().display());
//! # Ok::<(), thinkube_test_cluster::Error>(())
//! ```
//!
//! A test takes a namespace of the cluster `default`, which all tests share:
//!
//! ```no_run
//! use thinkube_test_cluster::{Addon, TestNamespace};
//!
//! # fn test() {
//! let Some(namespace) = TestNamespace::with([Addon::Ingress]) else { return };
//! namespace.run(&["get", "pods"]).expect("kubectl answers");
//! # }
//! ```
//!
//! The rooms, each importing only from those above it:
//!
//! | room | what it holds |
//! |---|---|
//! | the files beside this one | errors, paths, locks, progress, the record of a cluster |
//! | `process` | commands, servers in the background, and the search for what was started |
//! | `machine` | what the machine must have: tools, packages, kernel, cgroups, mounts |
//! | `access` | keys, certificates, kubeconfigs, kubectl, the test domain |
//! | `keycloak` | Keycloak: its distribution, and the server |
//! | `build` | programs and images in the cache |
//! | `doctor` | everything that the machine must have, as a list |
//! | `control_plane`, `node`, `addons` | one file a server, with its flags and their reasons |
//! | `cluster` | up, down, status, reset, repair |
//! | `testing` | what tests use: namespaces, skips, samples, image builds |

mod access;
mod addon;
mod addons;
mod build;
mod cluster;
mod content_hash;
mod control_plane;
pub mod doctor;
mod error;
mod http;
mod keycloak;
mod lock;
mod machine;
mod node;
mod password;
mod paths;
mod process;
mod progress;
mod readiness;
mod record;
mod requirement;
mod testing;

pub use access::domain::DOMAIN;
pub use access::kubeconfig::KUBECONFIG_VARIABLE;
pub use access::pki::self_signed;
pub use addon::Addon;
pub use addons::registry::Registry;
pub use build::modules::KUBERNETES;
pub use build::programs::built_kubectl;
pub use build::{fetch_sources, is_everything_built};
pub use cluster::Cluster;
pub use cluster::control::{cluster_names, down, log, pause, restart, resume};
pub use cluster::status::{Health, Image, ServerState, ServerStatus, Status, status};
pub use cluster::up::{Node, Options};
pub use control_plane::audit::AuditEvent;
pub use error::{Error, Result};
pub use keycloak::Keycloak;
pub use machine::cargo::{cargo, forget_package};
pub use machine::requirements::Purpose;
pub use password::password;
pub use progress::{Progress, Report};
pub use requirement::{FixedBy, UnmetRequirement};
pub use testing::build_dir;
pub use testing::buildah::{Buildah, push_archive};
pub use testing::prebuilt::{HOST_VARIABLE, PLUGINS_VARIABLE, is_built};
pub use testing::skip::{SKIPS_VARIABLE, skip};
pub use testing::sweep::{SEED_VARIABLE, SWEEP_VARIABLE, sample, seed, seed_of_environment};
pub use testing::test_namespace::{NO_CLUSTER_VARIABLE, TestNamespace, no_cluster_because, shared_cluster};
