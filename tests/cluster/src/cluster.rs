//! The cluster as its users see it, and the order in which it comes up.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::audit::{self, AuditEvent};
use crate::error::{At, Error, Result};
use crate::kubectl::Kubectl;
use crate::lock::Lock;
use crate::needs::Need;
use crate::paths::Layout;
use crate::process::{Answer, Running, wait_for};
use crate::programs::Programs;
use crate::progress::{Report, note, step};
use crate::state::{NODE, NodeRecord, Record};
use crate::status::{Health, health};
use crate::{
    apiserver, cgroup, containerd, controller_manager, etcd, images, kube_proxy, kubeconfig, kubelet, needs,
    network, packages, pki, programs, scheduler, teardown, volumes,
};

/// Longer than any start on a machine that also builds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether there is to be a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Node {
    /// With root; else the control plane alone.
    #[default]
    Auto,
    /// The control plane alone, on loopback.
    Never,
    /// Fail where no node can run.
    Required,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster's name: 1 to 20 characters of `a-z`, `0-9` and `-`, a letter first.
    pub name: String,
    /// Whether there is to be a node.
    pub node: Node,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: "default".to_owned(), node: Node::Auto }
    }
}

/// A running cluster. Dropping it leaves it running; [`down`] takes it down.
#[derive(Debug, Clone)]
pub struct Cluster {
    kubeconfig: PathBuf,
    /// `None`: somebody else's, by [`KUBECONFIG_VARIABLE`](crate::KUBECONFIG_VARIABLE).
    own: Option<Own>,
}

#[derive(Debug, Clone)]
struct Own {
    layout: Layout,
    record: Record,
}

impl Cluster {
    /// Starts the cluster, or finds it running. What is left of one that is broken is removed first.
    ///
    /// When the environment names an existing kubeconfig, nothing is started and that is used.
    pub fn up(options: &Options, report: &mut Report<'_>) -> Result<Self> {
        if let Some(cluster) = Self::of_environment()? {
            note(report, format!("{} is set: nothing is started", kubeconfig::KUBECONFIG_VARIABLE));
            return Ok(cluster);
        }
        let layout = Layout::of(&options.name)?;
        let lock = Lock::take(&layout.lock(), report)?;
        if let Some(cluster) = Self::running(&layout)? {
            return cluster.suits(options, report);
        }
        let result = Self::start(&layout, options, report);
        // An attempt that did not get as far as a folder of its own leaves nothing.
        if !layout.root.exists() {
            let_go(&layout, lock)?;
        }
        result
    }

    fn start(layout: &Layout, options: &Options, report: &mut Report<'_>) -> Result<Self> {
        if layout.root.exists() || !teardown::left(layout).is_empty() {
            step(report, format!("removing what is left of cluster `{}`", layout.name));
            teardown::all(layout)?;
        }
        let node = wants_node(options.node, report)?;
        if node {
            packages::ensure(layout, report)?;
            needs::kernel(report)?;
        }
        let programs = Programs::ensure(layout, node, report)?;
        let images = if node { Some(images::ensure(layout, &programs, report)?) } else { None };
        let begin = Instant::now();
        let start = Start { layout, programs: &programs };
        let record = match &images {
            None => start.control_plane_alone(report),
            Some(images) => start.with_node(images, report),
        };
        let record = record.inspect_err(|_| {
            // The folder stays, for its logs. What could not be stopped is found by `down`.
            let _ = teardown::stop(layout);
        })?;
        step(report, format!("cluster `{}` is up after {:.1} s", layout.name, begin.elapsed().as_secs_f32()));
        Ok(Self { kubeconfig: layout.kubeconfig(), own: Some(Own { layout: layout.clone(), record }) })
    }

    /// The cluster of this name if it runs and is healthy; the one that the environment names if it does.
    pub fn attach(name: &str) -> Result<Option<Self>> {
        match Self::of_environment()? {
            Some(cluster) => Ok(Some(cluster)),
            None => Self::running(&Layout::of(name)?),
        }
    }

    fn of_environment() -> Result<Option<Self>> {
        let Some(path) = kubeconfig::of_environment() else { return Ok(None) };
        match fs::File::open(&path) {
            Ok(_) => Ok(Some(Self { kubeconfig: path, own: None })),
            Err(source) => Err(Error::Kubeconfig { path, source }),
        }
    }

    fn running(layout: &Layout) -> Result<Option<Self>> {
        Ok(match health(layout)? {
            (Health::Running, Some(record)) => Some(Self {
                kubeconfig: layout.kubeconfig(),
                own: Some(Own { layout: layout.clone(), record }),
            }),
            _ => None,
        })
    }

    /// A running cluster is kept even if it has more or less than was asked for, as long as it will do.
    fn suits(mut self, options: &Options, report: &mut Report<'_>) -> Result<Self> {
        let name = &options.name;
        match (options.node, self.has_node()) {
            (Node::Required, false) => return Err(Error::NoNode(name.clone())),
            (Node::Auto, false) if needs::no_node_because().is_none() => note(
                report,
                format!(
                    "cluster `{name}` runs already, without a node; for one with a node take it down first with \
                     `cargo xtask cluster down --name {name}`"
                ),
            ),
            (_, true) => {
                self.free_volumes()?;
                self.renew_image(report)?;
                step(report, format!("cluster `{name}` runs already, with a node"));
            }
            (_, false) => step(report, format!("cluster `{name}` runs already, the control plane alone")),
        }
        Ok(self)
    }

    /// Puts the DevPI image of the present recipe into a node that was started with another.
    fn renew_image(&mut self, report: &mut Report<'_>) -> Result<()> {
        let Some(Own { layout, record }) = &mut self.own else { return Ok(()) };
        let images = images::ensure(layout, &Programs::ensure(layout, true, report)?, report)?;
        match &mut record.node {
            Some(node) if node.devpi_archive != images.devpi => {
                step(report, "the DevPI image has changed: putting it into the node");
                let references = containerd::import(layout, &images)?;
                node.devpi_image = Some(references.name);
                node.devpi_image_digest = Some(references.digest);
                node.devpi_archive = images.devpi;
                record.write(layout)
            }
            _ => Ok(()),
        }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The harness started it, as opposed to a cluster that the environment names.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// There is a node that runs pods. Of somebody else's cluster that is taken for granted.
    pub fn has_node(&self) -> bool {
        self.own.as_ref().is_none_or(|own| own.record.node.is_some())
    }

    /// The file with one line a request; `None` for a cluster that the harness did not start.
    pub fn audit_log(&self) -> Option<PathBuf> {
        self.own.as_ref().map(|own| own.layout.audit_log())
    }

    /// A mark in the audit log, for [`audit_events`](Self::audit_events).
    pub fn audit_offset(&self) -> Result<u64> {
        Ok(audit::end(&self.own("an audit log")?.layout.audit_log()))
    }

    /// The requests that were completed since the mark.
    pub fn audit_events(&self, since: u64) -> Result<Vec<AuditEvent>> {
        audit::events(&self.own("an audit log")?.layout.audit_log(), since)
    }

    /// The reference of the DevPI image that the node has; `None` without a node.
    pub fn devpi_image(&self) -> Option<&str> {
        self.node()?.devpi_image.as_deref()
    }

    /// The same image by its digest, `name@sha256:…`.
    pub fn devpi_image_digest(&self) -> Option<&str> {
        self.node()?.devpi_image_digest.as_deref()
    }

    /// The name of the network namespace that everything runs in; `None` without a node.
    pub fn netns(&self) -> Option<&str> {
        self.node().map(|node| node.netns.as_str())
    }

    /// The file of a kubeconfig for another user, known by a client certificate. It may do what RBAC lets this user and
    /// these groups do, so bind them to roles. At most two groups.
    pub fn client_kubeconfig(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let Own { layout, record } = self.own("a certificate for another user")?;
        if groups.len() > pki::GROUPS {
            return Err(Error::Groups { given: groups.len(), max: pki::GROUPS });
        }
        let mut parts = vec![user.as_bytes()];
        parts.extend(groups.iter().map(|group| group.as_bytes()));
        // A user's name may hold a slash; the same user gets the same file again.
        let file = format!("client-{}", &crate::hash(&parts)[..16]);
        let authority = pki::authority(layout)?;
        let pair = authority.client(layout, &file, user, groups)?;
        let path = layout.path(&format!("clients/{file}.kubeconfig"));
        kubeconfig::write(&path, &record.server(), authority.certificate(), user, &pair)?;
        Ok(path)
    }

    /// Makes volumes that a deleted claim has left behind usable again, emptied.
    pub fn free_volumes(&self) -> Result<()> {
        let own = self.own("a volume")?;
        if own.record.node.is_none() {
            return Ok(());
        }
        volumes::free(&own.layout, &Kubectl::of(&own.layout)?)
    }

    /// The kubectl that was built with the cluster; somebody else's cluster is spoken to with the one on PATH.
    pub fn kubectl(&self) -> PathBuf {
        self.own.as_ref().map_or_else(|| PathBuf::from("kubectl"), |own| own.layout.path("bin/kubectl"))
    }

    /// PATH with the cluster's kubectl in front.
    pub fn path_variable(&self) -> OsString {
        match &self.own {
            Some(own) => programs::path_with(&own.layout.path("bin")),
            None => std::env::var_os("PATH").unwrap_or_default(),
        }
    }

    /// A command that runs in the cluster's network namespace, where Services and pods can be reached by their addresses,
    /// with KUBECONFIG and PATH set.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self.netns() {
            None => Command::new(program),
            Some(netns) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{netns}")).arg("--").arg(program);
                command
            }
        };
        command.env("KUBECONFIG", &self.kubeconfig).env("PATH", self.path_variable());
        command
    }

    fn own(&self, what: &'static str) -> Result<&Own> {
        self.own.as_ref().ok_or_else(|| Error::External { what, kubeconfig: self.kubeconfig.clone() })
    }

    fn node(&self) -> Option<&NodeRecord> {
        self.own.as_ref()?.record.node.as_ref()
    }
}

/// Takes a cluster down, whatever state it is in, and leaves nothing of it but the cache. Tells whether there was one.
pub fn down(name: &str, report: &mut Report<'_>) -> Result<bool> {
    let layout = Layout::of(name)?;
    if !layout.root.exists() && !layout.lock().exists() && teardown::left(&layout).is_empty() {
        return Ok(false);
    }
    let lock = Lock::take(&layout.lock(), report)?;
    step(report, format!("taking cluster `{name}` down"));
    teardown::all(&layout)?;
    let_go(&layout, lock)?;
    Ok(true)
}

/// Removes the lock and the folders above it that hold no other cluster.
fn let_go(layout: &Layout, lock: Lock) -> Result<()> {
    lock.remove()?;
    // Ours are the last two of the path; whoever needs them makes them again.
    for folder in layout.root.ancestors().skip(1).take(2) {
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

fn wants_node(node: Node, report: &mut Report<'_>) -> Result<bool> {
    match (node, needs::no_node_because()) {
        (Node::Never, _) => {
            note(report, "the control plane alone, as asked for: no pod will run");
            Ok(false)
        }
        (_, None) => Ok(true),
        (Node::Required, Some(need)) => Err(Error::Needs(vec![need])),
        (Node::Auto, Some(Need { what, cure })) => {
            note(report, format!("the control plane alone, no pod will run: {what}; cure: {cure}"));
            Ok(false)
        }
    }
}

/// The way up, once programs and images are there.
struct Start<'a> {
    layout: &'a Layout,
    programs: &'a Programs,
}

impl Start<'_> {
    fn control_plane_alone(&self, report: &mut Report<'_>) -> Result<Record> {
        self.folder()?;
        let mut record = Record::loopback()?;
        record.write(self.layout)?;
        let mut servers = Vec::new();
        self.control_plane(&record, &mut servers, report)?;
        self.finish(&mut record)?;
        Ok(record)
    }

    fn with_node(&self, images: &images::Images, report: &mut Report<'_>) -> Result<Record> {
        let layout = self.layout;
        let (host_address, address) = network::free_addresses(layout)?;
        let mut record = Record::in_namespace(
            address,
            NodeRecord {
                netns: network::netns(layout),
                link: network::link(layout),
                host_address,
                machine: teardown::machine(layout),
                devpi_image: None,
                devpi_image_digest: None,
                devpi_archive: images.devpi.clone(),
            },
        );
        self.folder()?;
        record.write(layout)?;

        step(
            report,
            format!("network namespace {}, reached at {address}, with no way out", network::netns(layout)),
        );
        network::make(layout, host_address, address)?;
        cgroup::make(layout)?;
        let mut servers = Vec::new();
        step(report, "starting containerd");
        servers.push(containerd::start(layout, &record)?);
        wait_for("containerd's socket", PATIENCE, layout, &servers, || Ok(containerd::answers(layout)))?;
        // The longest part by far, so it runs beside all others.
        let import = {
            let (layout, images) = (layout.clone(), images.clone());
            thread::spawn(move || containerd::import(&layout, &images))
        };

        self.control_plane(&record, &mut servers, report)?;
        step(report, "starting kubelet and kube-proxy");
        servers.push(kubelet::start(layout, &record, self.programs)?);
        servers.push(kube_proxy::start(layout, &record, self.programs)?);
        let kubectl = Kubectl::of(layout)?;
        volumes::make(layout, &kubectl)?;
        step(report, "waiting for the images to be in the node");
        let references = import.join().unwrap_or_else(|_| {
            Err(Error::Io { path: layout.logs(), source: io::Error::other("the import panicked") })
        })?;
        step(report, "waiting for the node to be ready");
        wait_for("a ready node", PATIENCE, layout, &servers, || Ok(node_ready(&kubectl)))?;

        if let Some(node) = &mut record.node {
            node.devpi_image = Some(references.name);
            node.devpi_image_digest = Some(references.digest);
        }
        self.finish(&mut record)?;
        Ok(record)
    }

    /// Keys and the audit log are for the owner alone.
    fn folder(&self) -> Result<()> {
        let root = &self.layout.root;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).at(root)?;
        let bin = self.layout.path("bin");
        fs::create_dir(&bin).at(&bin)?;
        symlink(self.programs.kube("kubectl"), bin.join("kubectl")).at(bin)
    }

    fn control_plane(
        &self,
        record: &Record,
        servers: &mut Vec<Running>,
        report: &mut Report<'_>,
    ) -> Result<()> {
        let (layout, programs) = (self.layout, self.programs);
        step(report, "making keys and certificates");
        pki::make(layout, record.address, record.node.as_ref().map(|_| NODE))?;
        let authority = layout.pki("ca.crt");
        let admin = pki::pair(layout, "admin");
        kubeconfig::write(&layout.kubeconfig(), &record.server(), &authority, "thinkube-admin", &admin)?;
        step(report, format!("starting etcd and kube-apiserver {}", programs::KUBERNETES));
        servers.push(etcd::start(layout, record, programs)?);
        servers.push(apiserver::start(layout, record, programs)?);
        let kubectl = Kubectl::of(layout)?;
        wait_for("a ready apiserver", PATIENCE, layout, servers, || {
            Ok(kubectl.asks(&["get", "--raw=/readyz"]))
        })?;
        step(report, "starting kube-controller-manager and kube-scheduler");
        servers.push(controller_manager::start(layout, record, programs)?);
        servers.push(scheduler::start(layout, record, programs)?);
        // The controller manager's doing; before it no pod can be created.
        wait_for("the ServiceAccount of namespace default", PATIENCE, layout, servers, || {
            Ok(kubectl.asks(&["get", "serviceaccount", "default", "--namespace=default"]))
        })
    }

    fn finish(&self, record: &mut Record) -> Result<()> {
        record.ready = true;
        record.write(self.layout)
    }
}

fn node_ready(kubectl: &Kubectl) -> Answer {
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    match kubectl.run(&["get", "node", NODE, "-o", path]) {
        Ok(status) if status.trim() == "True" => Answer::Yes,
        Ok(status) => Answer::NotYet(format!("Ready is `{status}`")),
        Err(error) => Answer::NotYet(error.to_string()),
    }
}
