//! Against a real cluster: `cargo xtask cluster up`, then `cargo xtask test`. Without one every test is
//! skipped, and counted.

mod apply;
mod crash;
mod pod_files;
mod reads;
mod recovery;
mod refusals;
mod support;
mod uninstall;
mod waiting;
