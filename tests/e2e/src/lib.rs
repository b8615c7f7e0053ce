//! The kit of the end-to-end tests: the programs under test, a release in a real cluster, and clients of what it runs.
//!
//! Everything here panics instead of failing: a test that cannot be set up has failed.
//!
//! ```no_run
//! use thinkube_e2e::release::Release;
//!
//! # fn test() {
//! let Some(release) = Release::in_shared_cluster("example") else { return };
//! let mark = release.audit_mark();
//! release.run(&["status", &release.name]).ends_with(3);
//! release.assert_no_writes_since(mark);
//! # }
//! ```

pub mod browser;
pub mod build;
mod host;
pub mod keycloak;
mod plugins;
mod python;
pub mod release;
mod wait;
pub mod web;

pub use host::{Run, command, finish, run};
pub use plugins::{devpi, host, hostile, plugin, python, root, target};
pub use python::virtual_environment;
pub use thinkube_test_cluster::skip;
pub use wait::eventually;
