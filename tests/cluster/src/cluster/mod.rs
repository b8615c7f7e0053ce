//! A cluster as its users see it. Everything here is a method of [`Cluster`]; the work is done in the files beside it.

pub(crate) mod control;
pub(crate) mod on_demand_images;
pub(crate) mod reset;
pub(crate) mod servers;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod teardown;
pub(crate) mod up;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use crate::access::kubectl::Kubectl;
use crate::access::{domain, kubeconfig, pki};
use crate::addon::Addon;
use crate::addons::ingress;
use crate::addons::registry::{self, Registry};
use crate::build::images::{DEVPI_IMAGE, Image, OAUTH2_PROXY_IMAGE, TOOLBOX_IMAGE};
use crate::build::programs::Programs;
use crate::cluster::start::apply_objects;
use crate::cluster::status::{Health, health};
use crate::cluster::up::{Node, Options};
use crate::content_hash::content_hash;
use crate::control_plane::audit::{self, AuditEvent};
use crate::error::{At, Error, Result};
use crate::keycloak::{self, Keycloak};
use crate::lock::Lock;
use crate::machine::requirements;
use crate::node::containerd;
use crate::paths::{self, Layout};
use crate::process::find;
use crate::process::server::WITH_RESOLVER;
use crate::progress::{Report, note, step};
use crate::record::{ClusterRecord, ImageRecord, NodeRecord};

/// A running cluster. Dropping it leaves it running; [`down`](crate::down) takes it down.
#[derive(Debug, Clone)]
pub struct Cluster {
    kubeconfig: PathBuf,
    /// `None`: [`KUBECONFIG_VARIABLE`](crate::KUBECONFIG_VARIABLE) names a cluster that the harness did not start.
    own: Option<Own>,
}

#[derive(Debug, Clone)]
struct Own {
    layout: Layout,
    record: ClusterRecord,
}

impl Own {
    fn has(&self, addon: Addon) -> bool {
        self.record.addons.contains(&addon)
    }
}

/// The variables that tell common clients (OpenSSL, curl, Python's requests, pip, git, Node.js) which authority to trust.
const TRUST: [&str; 6] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
];

impl Cluster {
    /// Starts the cluster, or finds it running. A broken cluster is repaired or, where that fails, replaced.
    ///
    /// When the environment names an existing kubeconfig, nothing is started and that cluster is used.
    pub fn up(options: &Options, report: &mut Report<'_>) -> Result<Self> {
        if let Some(cluster) = Self::of_environment()? {
            note(report, format!("{} is set: nothing is started", kubeconfig::KUBECONFIG_VARIABLE));
            return Ok(cluster);
        }
        let layout = Layout::of(&options.name)?;
        let lock = Lock::take(&layout.lock(), report)?;
        let existing = match Self::running(&layout)? {
            Some(cluster) => Some(cluster),
            None => control::repair(&layout, report).map(|record| Self::of(&layout, record)),
        };
        if let Some(cluster) = existing {
            return cluster.extend_to(options, report);
        }
        let result = up::start(&layout, options, report);
        // An attempt that failed before it made a folder leaves no lock.
        if !layout.root.exists() {
            control::remove_lock(&layout, lock)?;
        }
        Ok(Self::of(&layout, result?))
    }

    fn of(layout: &Layout, record: ClusterRecord) -> Self {
        Self { kubeconfig: layout.kubeconfig(), own: Some(Own { layout: layout.clone(), record }) }
    }

    /// The cluster that the environment names, or the one of this name if it runs and is healthy.
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

    /// Adds the addons that a running cluster lacks. One without a node stays as it is unless a node is required.
    fn extend_to(mut self, options: &Options, report: &mut Report<'_>) -> Result<Self> {
        let name = &options.name;
        match (options.node, self.has_node()) {
            (Node::Required, false) => return Err(Error::NoNode(name.clone())),
            (Node::Auto, false) if requirements::no_node_because().is_none() => note(
                report,
                format!(
                    "cluster `{name}` runs already, without a node; for one with a node take it down first with \
                     `cargo xtask cluster down --name {name}`"
                ),
            ),
            (_, true) => {
                step(report, format!("cluster `{name}` runs already, with a node"));
                if let Some(Own { layout, record }) = &mut self.own {
                    up::complete(layout, record, &options.with, report)?;
                }
            }
            (_, false) => step(report, format!("cluster `{name}` runs already, the control plane alone")),
        }
        Ok(self)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Whether the harness started it; false for a cluster that the environment names.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Whether a node runs pods. A cluster that the environment names is assumed to have one.
    pub fn has_node(&self) -> bool {
        self.own.as_ref().is_none_or(|own| own.record.node.is_some())
    }

    /// The audit log, one line a request; `None` for a cluster that the harness did not start.
    pub fn audit_log(&self) -> Option<PathBuf> {
        self.own.as_ref().map(|own| own.layout.audit_log())
    }

    /// The present end of the audit log in bytes, for [`audit_events`](Self::audit_events).
    pub fn audit_offset(&self) -> Result<u64> {
        Ok(audit::end(&self.own("an audit log")?.layout.audit_log()))
    }

    /// The requests that were completed after the offset.
    pub fn audit_events(&self, since: u64) -> Result<Vec<AuditEvent>> {
        audit::events(&self.own("an audit log")?.layout.audit_log(), since)
    }

    /// The reference of the DevPI image in the node; `None` without a node.
    pub fn devpi_image(&self) -> Option<&str> {
        Some(&self.image(DEVPI_IMAGE)?.name)
    }

    /// The DevPI image by digest, `name@sha256:…`; `None` without a node.
    pub fn devpi_image_digest(&self) -> Option<&str> {
        Some(&self.image(DEVPI_IMAGE)?.digest)
    }

    /// The reference of the image with oauth2-proxy, which runs as user 2000; `None` without Keycloak.
    ///
    /// It holds the program alone: mount [`authority`](Self::authority) and name the file with `--provider-ca-file`.
    pub fn oauth2_proxy_image(&self) -> Option<&str> {
        Some(&self.image(OAUTH2_PROXY_IMAGE)?.name)
    }

    /// The archive of the oauth2-proxy image, to push it to a registry; `None` without Keycloak.
    pub fn oauth2_proxy_archive(&self) -> Option<&Path> {
        Some(&self.image(OAUTH2_PROXY_IMAGE)?.archive)
    }

    /// The reference of an image with a shell and a web server; `None` without a node.
    pub fn toolbox_image(&self) -> Option<&str> {
        Some(&self.image(TOOLBOX_IMAGE)?.name)
    }

    /// The archive of the toolbox image, to build others from; `None` without a node.
    pub fn toolbox_archive(&self) -> Option<&Path> {
        Some(&self.image(TOOLBOX_IMAGE)?.archive)
    }

    fn image(&self, name: &str) -> Option<&ImageRecord> {
        self.node()?.images.iter().find(|image| image.name == name)
    }

    /// Puts an image of Valkey into the node, and returns its reference. The first call builds it, in half a minute.
    ///
    /// It holds `valkey-server`, open to other pods as upstream's image is, `valkey-cli` and `sh`, for any user and a
    /// read-only root file system.
    pub fn valkey_image(&self) -> Result<String> {
        on_demand_images::provide(self.own_with_node()?, Image::Valkey)
    }

    /// Puts an image of a development environment into the node, and returns its reference. The first call builds it, in a
    /// minute.
    ///
    /// It holds bash, zsh and fish, Python with pip, and the devpi client, for the user `coder` (1000) with a home.
    pub fn shells_image(&self) -> Result<String> {
        on_demand_images::provide(self.own_with_node()?, Image::Shells)
    }

    /// The archive of an image with Python and a pip that may install, to build others on.
    pub fn python_archive(&self) -> Result<PathBuf> {
        on_demand_images::archive(self.own_with_node()?, Image::Python)
    }

    fn own_with_node(&self) -> Result<&Layout> {
        let own = self.own("a node to put an image into")?;
        match own.record.node {
            Some(_) => Ok(&own.layout),
            None => Err(Error::NoNode(own.layout.name.clone())),
        }
    }

    /// Puts the images of an archive into the node. Returns the reference of each image, by tag and by digest.
    pub fn load(&self, archive: &Path) -> Result<Vec<(String, String)>> {
        let layout = self.own_with_node()?;
        let archive = fs::canonicalize(archive).at(archive)?;
        let images = containerd::import(layout, &archive)?;
        Ok(images.into_iter().map(|image| (image.name, image.digest)).collect())
    }

    /// What it has beside the control plane; empty for a cluster that the environment names.
    pub fn addons(&self) -> BTreeSet<Addon> {
        self.own.as_ref().map(|own| own.record.addons.clone()).unwrap_or_default()
    }

    /// The address of the node: every name of [`DOMAIN`](crate::DOMAIN) resolves to it inside the cluster.
    pub fn address(&self) -> Result<IpAddr> {
        Ok(self.own("an address")?.record.address)
    }

    /// The file with the certificate of the authority that signs for [`DOMAIN`](crate::DOMAIN).
    pub fn authority(&self) -> Result<PathBuf> {
        Ok(domain::authority(&self.own("an authority")?.layout))
    }

    /// The host's arguments for servers of the platform, `--ca-file FILE --resolve NAME=ADDRESS…`: no DNS of this machine
    /// knows the test domain. `names` are labels below [`DOMAIN`](crate::DOMAIN), `auth` for example.
    pub fn external_arguments<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Vec<String>> {
        let address = self.address()?;
        let mut arguments = vec!["--ca-file".to_owned(), self.authority()?.display().to_string()];
        for name in names {
            arguments.push("--resolve".to_owned());
            arguments.push(format!("{}.{}={address}", name.as_ref(), domain::DOMAIN));
        }
        Ok(arguments)
    }

    /// The registry and its credentials; `None` without a registry.
    pub fn registry(&self) -> Result<Option<Registry>> {
        let own = self.own("a registry")?;
        own.has(Addon::Registry).then(|| registry::access(&own.layout)).transpose()
    }

    /// Keycloak and its credentials; `None` without Keycloak.
    pub fn keycloak(&self) -> Result<Option<Keycloak>> {
        let own = self.own("a Keycloak")?;
        own.has(Addon::Keycloak).then(|| keycloak::access(&own.layout)).transpose()
    }

    /// Makes the ingress class and the wildcard certificate, so that a service can be installed before the ingress controller
    /// runs.
    pub fn announce_ingress(&self) -> Result<()> {
        let layout = &self.own("an ingress class")?.layout;
        let items = ingress::announced(layout)?;
        Kubectl::of(layout)?.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }))
    }

    /// A kubeconfig with a client certificate of this user and of at most two groups. RBAC decides what they may do.
    pub fn client_kubeconfig(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        self.client(user, groups, "default")
    }

    /// A kubeconfig of a user without groups, with this namespace as its default.
    pub(crate) fn kubeconfig_in(&self, user: &str, namespace: &str) -> Result<PathBuf> {
        self.client(user, &[], namespace)
    }

    fn client(&self, user: &str, groups: &[&str], namespace: &str) -> Result<PathBuf> {
        let Own { layout, record } = self.own("a certificate for another user")?;
        if groups.len() > pki::MAX_GROUPS {
            return Err(Error::Groups { given: groups.len(), max: pki::MAX_GROUPS });
        }
        let mut parts = vec![user.as_bytes()];
        parts.extend(groups.iter().map(|group| group.as_bytes()));
        // A hash, because a user's name may hold a slash.
        let file = format!("client-{}", &content_hash(&parts)[..16]);
        let authority = pki::authority(layout)?;
        let pair = authority.client(layout, &file, user, groups)?;
        let path = layout.path(&format!("clients/{file}.kubeconfig"));
        kubeconfig::write_in(&path, namespace, &record.server(), authority.certificate(), user, &pair)?;
        Ok(path)
    }

    pub(crate) fn administrator(&self) -> Result<Kubectl> {
        Kubectl::of(&self.own("an administrator")?.layout)
    }

    /// The name of the network namespace that everything runs in; `None` without a node.
    pub fn netns(&self) -> Option<&str> {
        self.node().map(|node| node.netns.as_str())
    }

    /// Removes all objects, pods, volumes, images of the registry and changes in Keycloak that were made since `up`. The servers
    /// run on, and images in the node stay.
    pub fn reset(&self, report: &mut Report<'_>) -> Result<()> {
        let Own { layout, record } = self.own("a reset")?;
        let _lock = Lock::take(&layout.lock(), report)?;
        let begin = Instant::now();
        let programs = Programs::cached()?;
        reset::reset(layout, record, || {
            record.addons.iter().try_for_each(|addon| apply_objects(layout, &programs, record, *addon))
        })?;
        let seconds = begin.elapsed().as_secs_f32();
        step(report, format!("cluster `{}` is empty after {seconds:.1} s", layout.name));
        Ok(())
    }

    /// The kubectl that was built with the cluster; for a cluster that the environment names, the one on PATH.
    pub fn kubectl(&self) -> PathBuf {
        self.own.as_ref().map_or_else(|| PathBuf::from("kubectl"), |own| own.layout.path("bin/kubectl"))
    }

    /// PATH with the cluster's kubectl in front.
    pub fn path_variable(&self) -> OsString {
        match &self.own {
            Some(own) => paths::path_with(&own.layout.path("bin")),
            None => std::env::var_os("PATH").unwrap_or_default(),
        }
    }

    /// A command in the cluster's network namespace, with KUBECONFIG and PATH set. It reaches Services, pods and the names of
    /// [`DOMAIN`](crate::DOMAIN), and trusts their certificates.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match (&self.own, self.netns()) {
            (Some(own), Some(netns)) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{netns}"));
                command.args(["--", "unshare", "--mount", "--propagation=private", "--", "sh", "-c"]);
                command.arg(WITH_RESOLVER).arg(own.layout.resolver()).arg(program);
                for variable in TRUST {
                    command.env(variable, domain::authority(&own.layout));
                }
                command
            }
            _ => Command::new(program),
        };
        command.env("KUBECONFIG", &self.kubeconfig).env("PATH", self.path_variable());
        if let Some(own) = &self.own {
            // So that `down` also removes kubectl's cache and ends the command.
            command.env("KUBECACHEDIR", own.layout.path("kubectl-cache"));
            find::mark(&mut command, &own.layout);
        }
        command
    }

    fn own(&self, what: &'static str) -> Result<&Own> {
        self.own.as_ref().ok_or_else(|| Error::External { what, kubeconfig: self.kubeconfig.clone() })
    }

    fn node(&self) -> Option<&NodeRecord> {
        self.own.as_ref()?.record.node.as_ref()
    }
}
