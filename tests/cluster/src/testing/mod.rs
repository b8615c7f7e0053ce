//! What tests use: a namespace of the shared cluster, skips, samples of sweeps, and image builds.

pub mod build_dir;
pub(crate) mod buildah;
pub(crate) mod prebuilt;
pub(crate) mod skip;
pub(crate) mod sweep;
pub(crate) mod test_namespace;
