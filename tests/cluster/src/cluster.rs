//! The cluster as its users see it, and the order in which it comes up.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::audit::{self, AuditEvent};
use crate::build::{self, Built};
use crate::error::{At, Error, Result};
use crate::keycloak::Keycloak;
use crate::kubectl::Kubectl;
use crate::lock::Lock;
use crate::needs::{Need, Purpose};
use crate::part::Part;
use crate::paths::Layout;
use crate::process::{Running, wait_for};
use crate::programs::Programs;
use crate::progress::{Report, note, step};
use crate::registry::Registry;
use crate::servers::Server;
use crate::state::{ImageRecord, Made, NODE, NodeRecord, Record};
use crate::status::{Health, health};
use crate::{
    apiserver, cgroup, containerd, controller_manager, dns, doctor, domain, etcd, images, ingress, keycloak,
    kubeconfig, needs, network, packages, part, paths, pki, process, programs, registry, reset, scheduler,
    servers, storage, teardown,
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
    /// What the node is to have beside itself; nothing of it where there is no node.
    pub with: BTreeSet<Part>,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: "default".to_owned(), node: Node::Auto, with: BTreeSet::new() }
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
pub(crate) struct Own {
    pub(crate) layout: Layout,
    pub(crate) record: Record,
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
        if let Some(cluster) = Self::running(&layout)?.or_else(|| repaired(&layout, report)) {
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
        let parts = if wants_node(options.node, report)? {
            part::closure(options.with.iter().chain([&Part::Node]))
        } else {
            BTreeSet::new()
        };
        let built = build(layout, &parts, report)?;
        let begin = Instant::now();
        let start = Start { layout, programs: &built.programs };
        let record = match &built.images {
            None => start.control_plane_alone(report),
            Some(images) => start.with_node(images, parts, report),
        };
        let record = record.inspect_err(|_| {
            // The folder stays, for its logs. What could not be stopped is found by `down`.
            let _ = teardown::stop(layout);
        })?;
        step(report, format!("cluster `{}` is up after {:.1} s", layout.name, begin.elapsed().as_secs_f32()));
        Ok(Self::of(layout, record))
    }

    fn of(layout: &Layout, record: Record) -> Self {
        Self { kubeconfig: layout.kubeconfig(), own: Some(Own { layout: layout.clone(), record }) }
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
            (Health::Running, Some(record)) => Some(Self::of(layout, record)),
            _ => None,
        })
    }

    /// A running cluster is kept even if it has more or less than was asked for, as long as it will do. Parts that it
    /// lacks are started.
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
                step(report, format!("cluster `{name}` runs already, with a node"));
                self.complete(&options.with, report)?;
            }
            (_, false) => step(report, format!("cluster `{name}` runs already, the control plane alone")),
        }
        Ok(self)
    }

    /// Gives a node the parts that it lacks, and images of another recipe than those that it was started with.
    fn complete(&mut self, with: &BTreeSet<Part>, report: &mut Report<'_>) -> Result<()> {
        let Some(Own { layout, record }) = &mut self.own else { return Ok(()) };
        let lacking: BTreeSet<Part> = &part::closure(with) - &record.parts;
        let built = build(layout, &(&record.parts | &lacking), report)?;
        if let (Some(node), Some(images)) = (&mut record.node, &built.images) {
            for archive in images.archives(&(&record.parts | &lacking)) {
                if node.images.iter().all(|image| image.archive != archive) {
                    step(report, format!("putting {} into the node", archive.display()));
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
                for server in lacking.iter().flat_map(|part| servers::of_part(*part)) {
                    process::end(layout, server.name);
                }
            })?;
            record.made.push(Made { from, to: etcd::revision(layout, record)? });
            record.parts.extend(lacking);
        }
        record.write(layout)
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
        Some(&self.image(images::DEVPI_IMAGE)?.name)
    }

    /// The same image by its digest, `name@sha256:…`.
    pub fn devpi_image_digest(&self) -> Option<&str> {
        Some(&self.image(images::DEVPI_IMAGE)?.digest)
    }

    /// The reference of the image with oauth2-proxy, which runs as user 2000; `None` without Keycloak.
    ///
    /// There is no other file in it: the authority that has signed Keycloak's certificate is mounted and named to it.
    pub fn oauth2_proxy_image(&self) -> Option<&str> {
        Some(&self.image(images::OAUTH2_PROXY_IMAGE)?.name)
    }

    /// The archive of that image, to push it to a registry; `None` without Keycloak.
    pub fn oauth2_proxy_archive(&self) -> Option<&Path> {
        Some(&self.image(images::OAUTH2_PROXY_IMAGE)?.archive)
    }

    /// The reference of an image with a shell, a web server and little else; `None` without a node.
    pub fn toolbox_image(&self) -> Option<&str> {
        Some(&self.image(images::TOOLBOX_IMAGE)?.name)
    }

    /// The archive of that image, to build others from; `None` without a node.
    pub fn toolbox_archive(&self) -> Option<&Path> {
        Some(&self.image(images::TOOLBOX_IMAGE)?.archive)
    }

    fn image(&self, name: &str) -> Option<&ImageRecord> {
        self.node()?.images.iter().find(|image| image.name == name)
    }

    /// Puts the images of an archive into the node. Returns the reference of each, and the same by digest.
    pub fn load(&self, archive: &Path) -> Result<Vec<(String, String)>> {
        let own = self.own("a node to load an image into")?;
        if own.record.node.is_none() {
            return Err(Error::NoNode(own.layout.name.clone()));
        }
        let archive = fs::canonicalize(archive).at(archive)?;
        let images = containerd::import(&own.layout, &archive)?;
        Ok(images.into_iter().map(|image| (image.name, image.digest)).collect())
    }

    /// What it has beside the control plane. Of somebody else's cluster nothing is known.
    pub fn parts(&self) -> BTreeSet<Part> {
        self.own.as_ref().map(|own| own.record.parts.clone()).unwrap_or_default()
    }

    /// Where the front doors are: every name of [`DOMAIN`](crate::DOMAIN) leads there.
    pub fn address(&self) -> Result<IpAddr> {
        Ok(self.own("an address")?.record.address)
    }

    /// The file with the certificate of the authority that has signed those of the front doors.
    pub fn authority(&self) -> Result<PathBuf> {
        Ok(domain::authority(&self.own("an authority")?.layout))
    }

    /// The registry and who may use it; `None` where there is none.
    pub fn registry(&self) -> Result<Option<Registry>> {
        let own = self.own("a registry")?;
        if !own.record.parts.contains(&Part::Registry) {
            return Ok(None);
        }
        registry::access(&own.layout).map(Some)
    }

    /// Keycloak and who may use it; `None` where there is none.
    pub fn keycloak(&self) -> Result<Option<Keycloak>> {
        let own = self.own("a Keycloak")?;
        if !own.record.parts.contains(&Part::Keycloak) {
            return Ok(None);
        }
        keycloak::access(&own.layout).map(Some)
    }

    /// Makes what services look for before they are installed and the ingress controller joins later: its class, and the
    /// certificate of the domain.
    pub fn announce_ingress(&self) -> Result<()> {
        let layout = &self.own("an ingress class")?.layout;
        let items = ingress::announced(layout)?;
        Kubectl::of(layout)?.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }))
    }

    /// The file of a kubeconfig for another user, known by a client certificate. It may do what RBAC lets this user and
    /// these groups do, so bind them to roles. At most two groups.
    pub fn client_kubeconfig(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        self.client(user, groups, "default")
    }

    /// The same for a user without groups who is at home in a namespace.
    pub(crate) fn kubeconfig_in(&self, user: &str, namespace: &str) -> Result<PathBuf> {
        self.client(user, &[], namespace)
    }

    fn client(&self, user: &str, groups: &[&str], namespace: &str) -> Result<PathBuf> {
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
        kubeconfig::write_in(&path, namespace, &record.server(), authority.certificate(), user, &pair)?;
        Ok(path)
    }

    /// The harness's own kubectl, for what tests share.
    pub(crate) fn administrator(&self) -> Result<Kubectl> {
        Kubectl::of(&self.own("an administrator")?.layout)
    }

    /// The name of the network namespace that everything runs in; `None` without a node.
    pub fn netns(&self) -> Option<&str> {
        self.node().map(|node| node.netns.as_str())
    }

    /// Makes the cluster empty again, as right after `up`: objects, pods, volumes, images in the registry, and what was
    /// made in Keycloak. Its servers run on. Images in the node stay.
    pub fn reset(&self, report: &mut Report<'_>) -> Result<()> {
        let Own { layout, record } = self.own("a reset")?;
        let _lock = Lock::take(&layout.lock(), report)?;
        let begin = Instant::now();
        let start = Start { layout, programs: &Programs::cached()? };
        reset::all(layout, record, || record.parts.iter().try_for_each(|part| start.objects(record, *part)))?;
        step(
            report,
            format!("cluster `{}` is empty after {:.1} s", layout.name, begin.elapsed().as_secs_f32()),
        );
        Ok(())
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

    /// A command that runs in the cluster's network namespace, with KUBECONFIG and PATH set. There it finds Services and
    /// pods by their addresses and the front doors by their names, and trusts their certificates.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match (&self.own, self.netns()) {
            (Some(own), Some(netns)) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{netns}"));
                command.args(["--", "unshare", "--mount", "--propagation=private", "--", "sh", "-c"]);
                command.arg(process::WITH_NAMES).arg(own.layout.resolver()).arg(program);
                for variable in TRUST {
                    command.env(variable, domain::authority(&own.layout));
                }
                command
            }
            _ => Command::new(program),
        };
        command.env("KUBECONFIG", &self.kubeconfig).env("PATH", self.path_variable());
        if let Some(own) = &self.own {
            // kubectl's cache goes with the cluster, and so does the command if it still runs.
            command.env("KUBECACHEDIR", own.layout.path("kubectl-cache"));
            process::mark(&mut command, &own.layout);
        }
        command
    }

    pub(crate) fn own(&self, what: &'static str) -> Result<&Own> {
        self.own.as_ref().ok_or_else(|| Error::External { what, kubeconfig: self.kubeconfig.clone() })
    }

    fn node(&self) -> Option<&NodeRecord> {
        self.own.as_ref()?.record.node.as_ref()
    }
}

/// The variables by which the usual clients (OpenSSL's, curl, Python's requests, pip, git, Node.js) are told whom to trust.
const TRUST: [&str; 6] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
];

/// A cluster that was up and whose servers have been paused or ended since. `None` where that is not all that is wrong.
fn repaired(layout: &Layout, report: &mut Report<'_>) -> Option<Cluster> {
    let record = Record::read(layout).ok()??;
    let here = record
        .node
        .as_ref()
        .is_none_or(|node| node.machine.boot == teardown::boot() && network::is_there(layout));
    if !record.ready || !here {
        return None;
    }
    let mut missing = Vec::new();
    for server in record.servers() {
        match process::of_server(layout, server.name) {
            Some(pid) => process::signal(pid, Signal::CONT, |pid| process::belongs(pid, layout)),
            None => missing.push(server),
        }
    }
    let names: Vec<_> = missing.iter().map(|server| server.name).collect();
    let again = if names.is_empty() {
        "waiting for it".into()
    } else {
        format!("starting {} again", names.join(", "))
    };
    step(report, format!("cluster `{}` is not healthy; {again}", layout.name));
    let healthy = start_again(layout, &record, &missing).and_then(|started| {
        // A `reset` that was cut off may have left it without its realm.
        if missing.is_empty() && record.parts.contains(&Part::Keycloak) {
            keycloak::reset(layout, &record)?;
        }
        wait_for_all(layout, record.servers(), &record, &started)
    });
    match healthy {
        Ok(()) => Some(Cluster::of(layout, record)),
        Err(error) => {
            note(report, format!("that did not help: {error}"));
            None
        }
    }
}

/// Starts servers that were there before.
fn start_again(layout: &Layout, record: &Record, servers: &[&Server]) -> Result<Vec<Running>> {
    let programs = Programs::cached()?;
    servers.iter().map(|server| (server.start)(layout, record, &programs)).collect()
}

fn wait_for_all(
    layout: &Layout,
    servers: impl Iterator<Item = &'static Server>,
    record: &Record,
    started: &[Running],
) -> Result<()> {
    for server in servers {
        wait_for(server.name, PATIENCE, layout, started, || Ok((server.answers)(layout, record)))?;
    }
    Ok(())
}

/// Stops a server of a cluster in the middle of what it does, until [`resume`].
pub fn pause(cluster: &str, server: &str) -> Result<()> {
    signal(cluster, server, Signal::STOP)
}

/// Lets a paused server go on.
pub fn resume(cluster: &str, server: &str) -> Result<()> {
    signal(cluster, server, Signal::CONT)
}

fn signal(cluster: &str, server: &str, signal: Signal) -> Result<()> {
    let (layout, _, server) = server_of(cluster, server)?;
    let pid = process::of_server(&layout, server.name).ok_or(Error::Gone(server.name))?;
    process::signal(pid, signal, |pid| process::belongs(pid, &layout));
    Ok(())
}

/// Ends a server of a cluster, starts it again and waits until it does its work.
pub fn restart(cluster: &str, server: &str) -> Result<()> {
    let (layout, record, server) = server_of(cluster, server)?;
    process::end(&layout, server.name);
    let started = start_again(&layout, &record, &[server])?;
    wait_for_all(&layout, std::iter::once(server), &record, &started)
}

/// The file that a server of a cluster writes its messages to.
pub fn log(cluster: &str, server: &str) -> Result<PathBuf> {
    let (layout, _, server) = server_of(cluster, server)?;
    Ok(layout.log(server.name))
}

/// A server of a cluster that may be in any state, whoever asks: this is for making faults and looking at them.
fn server_of(cluster: &str, server: &str) -> Result<(Layout, Record, &'static Server)> {
    let layout = Layout::of(cluster)?;
    let record = Record::read(&layout)?.ok_or_else(|| Error::NotRunning(cluster.to_owned()))?;
    let found = record.servers().find(|known| known.name == server).ok_or_else(|| Error::Server {
        cluster: cluster.to_owned(),
        name: server.to_owned(),
        there: record.servers().map(|server| server.name).collect::<Vec<_>>().join(", "),
    })?;
    Ok((layout, record, found))
}

/// The names of the clusters of this user that are there, in whatever state.
pub fn cluster_names() -> Result<Vec<String>> {
    let folder = paths::state()?;
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at(&folder)?,
    };
    let is_a_cluster = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let names =
        entries.flatten().filter(is_a_cluster).filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| Layout::of(name).is_ok()).collect();
    names.sort();
    Ok(names)
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
        (Node::Required, Some(need)) => Err(Error::NeedsFacts(vec![need])),
        (Node::Auto, Some(Need { what, cure, .. })) => {
            note(report, format!("the control plane alone, no pod will run: {what}; cure: {cure}"));
            Ok(false)
        }
    }
}

/// Builds what these parts need.
fn build(layout: &Layout, parts: &BTreeSet<Part>, report: &mut Report<'_>) -> Result<Built> {
    doctor::curl()?;
    if parts.contains(&Part::Node) {
        needs::kernel(report)?;
    }
    packages::ensure(&Purpose::of(parts), report)?;
    build::ensure(layout, parts, report)
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

    fn with_node(
        &self,
        images: &images::Images,
        parts: BTreeSet<Part>,
        report: &mut Report<'_>,
    ) -> Result<Record> {
        let layout = self.layout;
        let (host_address, address) = network::free_addresses(layout)?;
        let node = NodeRecord {
            netns: network::netns(layout),
            link: network::link(layout),
            host_address,
            machine: teardown::machine(layout),
            images: Vec::new(),
        };
        let mut record = Record::in_namespace(address, node, parts);
        self.folder()?;
        record.write(layout)?;

        let netns = network::netns(layout);
        step(report, format!("network namespace {netns}, reached at {address}, with no way out"));
        network::make(layout, host_address, address)?;
        cgroup::make(layout)?;
        domain::certificates(layout, record.address)?;
        let mut started = Vec::new();
        if record.parts.contains(&Part::Keycloak) {
            // The slowest of all, and it needs none of the others.
            self.servers(&record, Part::Keycloak, &mut started, report)?;
        }
        step(report, "starting containerd");
        started.push(containerd::start(layout, &record)?);
        wait_for("containerd's socket", PATIENCE, layout, &started, || Ok(containerd::answers(layout)))?;
        // Takes as long as everything else, so it runs beside it.
        let import = {
            let layout = layout.clone();
            let archives: Vec<PathBuf> = images.archives(&record.parts).map(Path::to_owned).collect();
            thread::spawn(move || {
                let imported: Result<Vec<_>> =
                    archives.iter().map(|archive| containerd::import(&layout, archive)).collect();
                imported.map(|images| images.concat())
            })
        };

        self.control_plane(&record, &mut started, report)?;
        for part in record.parts.clone() {
            self.objects(&record, part)?;
            if part != Part::Keycloak {
                self.servers(&record, part, &mut started, report)?;
            }
        }
        step(report, "waiting for the images to be in the node");
        let imported = import.join().unwrap_or_else(|_| {
            Err(Error::Io { path: layout.logs(), source: io::Error::other("the import panicked") })
        })?;
        step(report, "waiting for everything to answer");
        wait_for_all(layout, record.servers(), &record, &started)?;
        if let Some(node) = &mut record.node {
            node.images = imported;
        }
        self.finish(&mut record)?;
        Ok(record)
    }

    /// Starts further parts of a node that runs.
    fn add(&self, record: &Record, parts: &BTreeSet<Part>, report: &mut Report<'_>) -> Result<()> {
        let mut started = Vec::new();
        for part in parts {
            self.objects(record, *part)?;
            self.servers(record, *part, &mut started, report)?;
        }
        let servers = parts.iter().flat_map(|part| servers::of_part(*part));
        wait_for_all(self.layout, servers, record, &started)
    }

    fn servers(
        &self,
        record: &Record,
        part: Part,
        started: &mut Vec<Running>,
        report: &mut Report<'_>,
    ) -> Result<()> {
        for server in servers::of_part(part) {
            if process::of_server(self.layout, server.name).is_none() {
                step(report, format!("starting {}", server.name));
                started.push((server.start)(self.layout, record, self.programs)?);
            }
        }
        Ok(())
    }

    /// What a part has in the cluster.
    fn objects(&self, record: &Record, part: Part) -> Result<()> {
        let (layout, kubectl) = (self.layout, Kubectl::of(self.layout)?);
        let objects = match part {
            Part::Node => [dns::objects(record), storage::objects()].concat(),
            Part::Registry => registry::objects(layout)?,
            Part::Ingress => {
                kubectl.apply_file(&self.programs.gateway_api())?;
                ingress::objects(layout)?
            }
            Part::Keycloak => keycloak::objects(layout, record)?,
        };
        kubectl.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }))
    }

    /// Keys and the audit log are for the owner alone.
    fn folder(&self) -> Result<()> {
        let root = &self.layout.root;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).at(root)?;
        let bin = self.layout.path("bin");
        fs::create_dir(&bin).at(&bin)?;
        // Not a symbolic link: the cluster must be asked and ended also when the cache has been emptied or moved on.
        let (from, to) = (self.programs.kube("kubectl"), bin.join("kubectl"));
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).at(to)
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
        record.made.push(Made { from: 0, to: etcd::revision(self.layout, record)? });
        record.ready = true;
        record.write(self.layout)
    }
}
