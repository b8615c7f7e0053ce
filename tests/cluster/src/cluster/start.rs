//! The order in which the servers of a cluster start. Programs and images must be built.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use serde_json::json;

use crate::access::kubectl::Kubectl;
use crate::access::{domain, kubeconfig, pki};
use crate::addon::Addon;
use crate::addons::{ingress, registry};
use crate::build::images::Images;
use crate::build::modules::KUBERNETES;
use crate::build::programs::Programs;
use crate::cluster::servers::{self, SERVER_TIMEOUT, wait_for_all};
use crate::cluster::teardown;
use crate::control_plane::{apiserver, controller_manager, etcd, scheduler};
use crate::error::{At, Error, Result};
use crate::keycloak;
use crate::machine::cgroup;
use crate::node::{containerd, dns, network, storage};
use crate::paths::Layout;
use crate::process::find;
use crate::process::server::{RunningServer, wait_for};
use crate::progress::{Report, step};
use crate::record::{ClusterRecord, ImageRecord, NODE, NodeRecord, RevisionRange};

/// A start of servers of one cluster.
pub(crate) struct Start<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) programs: &'a Programs,
}

impl Start<'_> {
    pub(crate) fn control_plane_alone(&self, report: &mut Report<'_>) -> Result<ClusterRecord> {
        self.make_folder()?;
        let mut record = ClusterRecord::loopback()?;
        record.write(self.layout)?;
        let mut started = Vec::new();
        self.control_plane(&record, &mut started, report)?;
        self.finish(&mut record)?;
        Ok(record)
    }

    pub(crate) fn with_node(
        &self,
        images: &Images,
        addons: BTreeSet<Addon>,
        report: &mut Report<'_>,
    ) -> Result<ClusterRecord> {
        let layout = self.layout;
        let (mut record, host_address, address) = self.record_of_node(addons)?;
        let netns = network::netns(layout);
        step(report, format!("network namespace {netns}, reached at {address}, with no way out"));
        network::make(layout, host_address, address)?;
        cgroup::make(layout)?;
        domain::certificates(layout, record.address)?;
        let mut started = Vec::new();
        if record.addons.contains(&Addon::Keycloak) {
            // First, because it is the slowest server and depends on no other.
            self.servers(&record, Addon::Keycloak, &mut started, report)?;
        }
        step(report, "starting containerd");
        started.push(containerd::start(layout, &record)?);
        let socket = || Ok(containerd::readiness(layout));
        wait_for("containerd's socket", SERVER_TIMEOUT, layout, &started, socket)?;
        // In a thread, because the import takes as long as the rest of the start.
        let import = import(layout, images.archives(&record.addons).map(Path::to_owned).collect());

        self.control_plane(&record, &mut started, report)?;
        for addon in record.addons.clone() {
            apply_objects(layout, self.programs, &record, addon)?;
            if addon != Addon::Keycloak {
                self.servers(&record, addon, &mut started, report)?;
            }
        }
        step(report, "waiting for the import of the images");
        let imported = import.join().unwrap_or_else(|_| {
            Err(Error::Io { path: layout.logs(), source: io::Error::other("the import panicked") })
        })?;
        step(report, "waiting for every server");
        wait_for_all(layout, servers::of_record(&record), &record, &started)?;
        if let Some(node) = &mut record.node {
            node.images = imported;
        }
        self.finish(&mut record)?;
        Ok(record)
    }

    /// Makes the folder and writes the record, before anything changes on the machine. Also returns the addresses of the host and
    /// of the node on their link.
    fn record_of_node(&self, addons: BTreeSet<Addon>) -> Result<(ClusterRecord, Ipv4Addr, Ipv4Addr)> {
        let layout = self.layout;
        let (host_address, address) = network::free_addresses(layout)?;
        let node = NodeRecord {
            netns: network::netns(layout),
            link: network::link(layout),
            host_address,
            machine: teardown::machine(layout),
            images: Vec::new(),
        };
        let record = ClusterRecord::in_namespace(address, node, addons);
        self.make_folder()?;
        record.write(layout)?;
        Ok((record, host_address, address))
    }

    /// Adds addons to a node that runs.
    pub(crate) fn add(
        &self,
        record: &ClusterRecord,
        addons: &BTreeSet<Addon>,
        report: &mut Report<'_>,
    ) -> Result<()> {
        let mut started = Vec::new();
        for addon in addons {
            apply_objects(self.layout, self.programs, record, *addon)?;
            self.servers(record, *addon, &mut started, report)?;
        }
        let servers = addons.iter().flat_map(|addon| servers::of_addon(*addon));
        wait_for_all(self.layout, servers, record, &started)
    }

    fn servers(
        &self,
        record: &ClusterRecord,
        addon: Addon,
        started: &mut Vec<RunningServer>,
        report: &mut Report<'_>,
    ) -> Result<()> {
        for server in servers::of_addon(addon) {
            if find::of_server(self.layout, server.name).is_none() {
                step(report, format!("starting {}", server.name));
                started.push((server.start)(self.layout, record, self.programs)?);
            }
        }
        Ok(())
    }

    /// Only the owner may read it: it holds keys and the audit log.
    fn make_folder(&self) -> Result<()> {
        let root = &self.layout.root;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).at(root)?;
        let bin = self.layout.path("bin");
        fs::create_dir(&bin).at(&bin)?;
        // Not a symbolic link: the cluster needs its kubectl after the cache was emptied.
        let (from, to) = (self.programs.kube("kubectl"), bin.join("kubectl"));
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).at(to)
    }

    fn control_plane(
        &self,
        record: &ClusterRecord,
        started: &mut Vec<RunningServer>,
        report: &mut Report<'_>,
    ) -> Result<()> {
        let (layout, programs) = (self.layout, self.programs);
        step(report, "making keys and certificates");
        pki::make(layout, record.address, record.node.as_ref().map(|_| NODE))?;
        let authority = layout.pki("ca.crt");
        let admin = pki::pair(layout, "admin");
        kubeconfig::write(&layout.kubeconfig(), &record.server(), &authority, "thinkube-admin", &admin)?;
        step(report, format!("starting etcd and kube-apiserver {KUBERNETES}"));
        started.push(etcd::start(layout, record, programs)?);
        started.push(apiserver::start(layout, record, programs)?);
        let kubectl = Kubectl::of(layout)?;
        wait_for("a ready apiserver", SERVER_TIMEOUT, layout, started, || {
            Ok(kubectl.succeeds(&["get", "--raw=/readyz"]))
        })?;
        step(report, "starting kube-controller-manager and kube-scheduler");
        started.push(controller_manager::start(layout, record, programs)?);
        started.push(scheduler::start(layout, record, programs)?);
        // Without its ServiceAccount no pod can be created in a namespace.
        wait_for("the ServiceAccount of namespace default", SERVER_TIMEOUT, layout, started, || {
            Ok(kubectl.succeeds(&["get", "serviceaccount", "default", "--namespace=default"]))
        })
    }

    fn finish(&self, record: &mut ClusterRecord) -> Result<()> {
        record.own_revisions.push(RevisionRange { from: 0, to: etcd::revision(self.layout, record)? });
        record.ready = true;
        record.write(self.layout)
    }
}

/// Applies an addon's objects in the cluster.
pub(crate) fn apply_objects(
    layout: &Layout,
    programs: &Programs,
    record: &ClusterRecord,
    addon: Addon,
) -> Result<()> {
    let kubectl = Kubectl::of(layout)?;
    let objects = match addon {
        Addon::Node => [dns::objects(record), storage::objects()].concat(),
        Addon::Registry => registry::objects(layout)?,
        Addon::Ingress => {
            kubectl.apply_file(&programs.gateway_api())?;
            ingress::objects(layout)?
        }
        Addon::Keycloak => keycloak::server::objects(layout, record)?,
    };
    kubectl.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }))
}

fn import(layout: &Layout, archives: Vec<PathBuf>) -> JoinHandle<Result<Vec<ImageRecord>>> {
    let layout = layout.clone();
    thread::spawn(move || {
        let imported = archives.iter().map(|archive| containerd::import(&layout, archive));
        imported.collect::<Result<Vec<_>>>().map(|images| images.concat())
    })
}
