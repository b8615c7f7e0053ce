//! `up`: builds what a cluster needs, starts it, and adds addons to one that runs.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::addon::{self, Addon};
use crate::build;
use crate::build::queues::Built;
use crate::cluster::start::Start;
use crate::cluster::{servers, teardown};
use crate::control_plane::etcd;
use crate::error::{Error, Result};
use crate::machine::requirements::Purpose;
use crate::machine::{packages, requirements, tools};
use crate::node::containerd;
use crate::paths::Layout;
use crate::process::find;
use crate::progress::{Report, note, step};
use crate::record::{ClusterRecord, RevisionRange};

/// Whether the cluster gets a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Node {
    /// A node where this machine can run one; else the control plane alone.
    #[default]
    Auto,
    /// The control plane alone, on loopback.
    Never,
    /// A node; fails where this machine can run none.
    Required,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster's name: 1 to 20 characters of `a-z`, `0-9` and `-`, a letter first.
    pub name: String,
    /// Whether the cluster gets a node.
    pub node: Node,
    /// What the node gets beside itself; ignored without a node.
    pub with: BTreeSet<Addon>,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: "default".to_owned(), node: Node::Auto, with: BTreeSet::new() }
    }
}

/// Starts a cluster that does not run. Leftovers of an earlier one are removed first.
pub(crate) fn start(layout: &Layout, options: &Options, report: &mut Report<'_>) -> Result<ClusterRecord> {
    if layout.root.exists() || !teardown::leftovers(layout).is_empty() {
        step(report, format!("removing what is left of cluster `{}`", layout.name));
        teardown::remove(layout)?;
    }
    let addons = if wants_node(options.node, report)? {
        addon::closure(options.with.iter().chain([&Addon::Node]))
    } else {
        BTreeSet::new()
    };
    let built = build(layout, &addons, report)?;
    let begin = Instant::now();
    let start = Start { layout, programs: &built.programs };
    let record = match &built.images {
        None => start.control_plane_alone(report),
        Some(images) => start.with_node(images, addons, report),
    };
    let record = record.inspect_err(|_| {
        // The folder keeps the logs. `down` finds what could not be stopped.
        let _ = teardown::stop(layout);
    })?;
    step(report, format!("cluster `{}` is up after {:.1} s", layout.name, begin.elapsed().as_secs_f32()));
    Ok(record)
}

/// Starts the addons that a running node lacks, and imports images whose recipe has changed since its start.
pub(crate) fn complete(
    layout: &Layout,
    record: &mut ClusterRecord,
    with: &BTreeSet<Addon>,
    report: &mut Report<'_>,
) -> Result<()> {
    let lacking: BTreeSet<Addon> = &addon::closure(with) - &record.addons;
    let built = build(layout, &(&record.addons | &lacking), report)?;
    if let (Some(node), Some(images)) = (&mut record.node, &built.images) {
        for archive in images.archives(&(&record.addons | &lacking)) {
            if node.images.iter().all(|image| image.archive != archive) {
                step(report, format!("importing {} into the node", archive.display()));
                let new = containerd::import(layout, archive)?;
                node.images.retain(|old| new.iter().all(|new| new.name != old.name));
                node.images.extend(new);
            }
        }
    }
    if !lacking.is_empty() {
        let from = etcd::revision(layout, record)? + 1;
        let started = Start { layout, programs: &built.programs }.add(record, &lacking, report);
        started.inspect_err(|_| {
            for server in lacking.iter().flat_map(|addon| servers::of_addon(*addon)) {
                find::end(layout, server.name);
            }
        })?;
        record.own_revisions.push(RevisionRange { from, to: etcd::revision(layout, record)? });
        record.addons.extend(lacking);
    }
    record.write(layout)
}

fn wants_node(node: Node, report: &mut Report<'_>) -> Result<bool> {
    match (node, requirements::no_node_because()) {
        (Node::Never, _) => {
            note(report, "the control plane alone was asked for: no pod will run");
            Ok(false)
        }
        (_, None) => Ok(true),
        (Node::Required, Some(unmet)) => Err(Error::Unmet(vec![unmet])),
        (Node::Auto, Some(unmet)) => {
            note(report, format!("the control plane alone is started, and no pod will run: {unmet}"));
            Ok(false)
        }
    }
}

/// Builds what these addons need.
fn build(layout: &Layout, addons: &BTreeSet<Addon>, report: &mut Report<'_>) -> Result<Built> {
    tools::require_curl()?;
    if addons.contains(&Addon::Node) {
        requirements::load_kernel(report)?;
    }
    packages::ensure(&Purpose::of(addons), report)?;
    build::ensure(layout, addons, report)
}
