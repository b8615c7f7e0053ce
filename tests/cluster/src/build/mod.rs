//! Everything that is built before a cluster can start.
//!
//! Programs take the processors, and images mostly wait for the network and the disk: the two are built side by side, while
//! the sources of the next programs are downloaded.

pub(crate) mod clock;
pub(crate) mod image_archive;
pub(crate) mod image_build;
pub(crate) mod images;
pub(crate) mod mirrors;
pub(crate) mod modules;
pub(crate) mod programs;
pub(crate) mod queues;
pub(crate) mod toolbox;

use std::collections::BTreeSet;

use crate::addon::{self, Addon};
use crate::build::images::Images;
use crate::build::programs::Programs;
use crate::build::queues::Built;
use crate::error::Result;
use crate::keycloak::distribution::Distribution;
use crate::lock::Lock;
use crate::paths::Layout;
use crate::progress::Report;

/// Builds what the cache lacks for these addons.
pub(crate) fn ensure(layout: &Layout, addons: &BTreeSet<Addon>, report: &mut Report<'_>) -> Result<Built> {
    let built = Built::cached(addons)?;
    let mut locks = Vec::new();
    for lock in built.locks(&built.queues(addons))? {
        locks.push(Lock::take(&lock, report)?);
    }
    // Another process may have built them during the wait.
    let queues = built.queues(addons);
    if queues.iter().any(|queue| !queue.is_empty()) {
        built.build(layout, queues, report)?;
        built.programs.prune();
        built.images.iter().for_each(Images::prune);
        built.keycloak.iter().for_each(Distribution::prune);
    }
    Ok(built)
}

/// Whether the cache has everything for a cluster with these addons.
pub fn is_everything_built(addons: &BTreeSet<Addon>) -> Result<bool> {
    let addons = addon::closure(addons);
    Ok(Built::cached(&addons)?.queues(&addons).iter().all(Vec::is_empty))
}

/// Downloads the sources of the programs that the cache lacks, with the least priority, to run beside another build. A failure
/// is also one of the later build, which reports it.
pub fn fetch_sources(addons: &BTreeSet<Addon>) -> Result<()> {
    // On Linux this is the priority of this thread, and of its commands.
    let _ = rustix::process::nice(19);
    let layout = Layout::of("default")?;
    let programs = Programs::cached()?;
    let mut modules = programs.missing(&addon::closure(addons));
    modules.dedup_by_key(|missing| missing.module());
    programs.prepare(modules.iter().copied())?;
    modules.into_iter().try_for_each(|missing| programs.download(&layout, missing, "early-download.log"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::build::modules::version;
    use crate::testing::test_namespace::TestNamespace;

    /// Needs a cluster, because a first build takes a quarter of an hour.
    #[test]
    #[expect(clippy::print_stderr, reason = "a build that takes minutes shows how far it is")]
    fn every_program_prints_the_release_that_it_was_built_from() {
        let Some(_) = TestNamespace::with(Addon::ALL) else { return };
        let layout = Layout::of("build").expect("`build` is a valid name");
        let built = ensure(&layout, &Addon::ALL.into(), &mut |progress| eprintln!("{progress}"))
            .expect("everything is built");
        let programs = &built.programs;
        for (name, path, argument) in [
            ("etcd", programs.etcd(), "--version"),
            ("kube-apiserver", programs.kube("kube-apiserver"), "--version"),
            ("kubelet", programs.kube("kubelet"), "--version"),
            ("coredns", programs.coredns(), "-version"),
            ("local-path-provisioner", programs.local_path_provisioner(), "--version"),
            ("registry", programs.registry(), "--version"),
            ("traefik", programs.traefik(), "version"),
            ("oauth2-proxy", programs.oauth2_proxy(), "--version"),
        ] {
            let output = Command::new(&path).arg(argument).output().expect(name);
            let printed = String::from_utf8_lossy(&output.stdout);
            let release = version(name).trim_start_matches('v');
            assert!(output.status.success() && printed.contains(release), "{name}: {printed}");
        }
        let kinds = fs::read_to_string(programs.gateway_api()).expect("the manifests are in the cache");
        assert!(kinds.contains("name: httproutes.gateway.networking.k8s.io"));
        for archive in built.images.expect("a node has images").archives(&Addon::ALL.into()) {
            assert!(archive.is_file(), "{}", archive.display());
        }
    }
}
