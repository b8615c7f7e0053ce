//! containerd: one of the cluster's own, beside whatever runs on the machine.

use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::error::{Error, Result};
use crate::images::{Images, PAUSE_IMAGE};
use crate::needs::{self, Need};
use crate::paths::{self, Layout};
use crate::process::{Answer, Running, Server, helper, run};
use crate::state::Record;

/// An image in the node.
#[derive(Debug)]
pub(crate) struct References {
    pub(crate) name: String,
    pub(crate) digest: String,
}

pub(crate) fn start(layout: &Layout, record: &Record) -> Result<Running> {
    let lacking = |what: &str, package: &str| {
        Error::Needs(vec![Need::new(format!("{what} is missing"), format!("apt-get install {package}"))])
    };
    let binary = paths::program("containerd").ok_or_else(|| lacking("containerd", "containerd"))?;
    let plugins = needs::cni_plugins().ok_or_else(|| lacking("CNI", "containernetworking-plugins"))?;
    let config = layout.path("containerd.toml");
    paths::write(&config, configuration(layout, plugins))?;
    crate::cni::configure(layout)?;
    Server::new(layout, "containerd", &binary, record.netns_file().as_deref())
        .file("--config=", &config)
        .arg("--log-level=info")
        .start()
}

fn configuration(layout: &Layout, plugins: &Path) -> String {
    // A TOML basic string has the escapes of a JSON string.
    let path =
        |below: &str| serde_json::Value::from(layout.path(below).to_string_lossy().as_ref()).to_string();
    let plugins = serde_json::Value::from(plugins.to_string_lossy().as_ref()).to_string();
    format!(
        r#"version = 2
root = {root}
state = {state}
# Snapshotters that would look for devices and file systems of this machine, and an interface for plugins of others.
disabled_plugins = [
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.nri.v1.nri",
    "io.containerd.internal.v1.tracing",
]

[grpc]
address = {socket}

[plugins."io.containerd.internal.v1.opt"]
# Else /opt/containerd is made.
path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
# From a registry it could not be pulled.
sandbox_image = "{PAUSE_IMAGE}"
# A sandbox wants an oom_score_adj below its parent's, which needs CAP_SYS_RESOURCE; without it, and without this, runc
# says "can't get final child's PID from pipe: EOF" and the pod stays in ContainerCreating.
restrict_oom_score_adj = true
# The pods' network namespaces lie where `down` finds them.
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
# The same driver as kubelet's.
SystemdCgroup = false
# Else in /run/containerd, together with the containers of a containerd of the machine's.
Root = {runc}

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {plugins}
conf_dir = {network}

[plugins."io.containerd.grpc.v1.cri".registry]
# One folder a registry; read at every pull.
config_path = {registries}
"#,
        root = path("containerd"),
        state = path("containerd-state"),
        socket = path("containerd.sock"),
        opt = path("containerd-opt"),
        runc = path("runc"),
        network = path("cni/net.d"),
        registries = path("registries"),
    )
}

/// kubelet ends at once when it finds no socket, so it is waited for.
pub(crate) fn answers(layout: &Layout) -> Answer {
    match UnixStream::connect(layout.containerd_socket()) {
        Ok(_) => Answer::Yes,
        Err(error) => Answer::NotYet(error.to_string()),
    }
}

/// Puts the images where kubelet looks for them.
pub(crate) fn import(layout: &Layout, images: &Images) -> Result<References> {
    let ctr = |arguments: &[&str]| {
        let mut command = helper("ctr", layout);
        command.arg("--address").arg(layout.containerd_socket()).args(["--namespace", "k8s.io", "images"]);
        run(command.args(arguments))
    };
    for archive in [&images.pause, &images.devpi] {
        ctr(&["import", &archive.to_string_lossy()])?;
    }
    let name = images.devpi_name.clone();
    let listing = ctr(&["list", &format!("name=={name}")])?;
    let digest = listing
        .split_whitespace()
        .find(|word| word.starts_with("sha256:"))
        .map(|digest| format!("{}@{digest}", name.rsplit_once(':').map_or(name.as_str(), |(name, _)| name)))
        .ok_or_else(|| {
            Error::Needs(vec![Need::new(
                format!("the image {name} is not in the node after its import"),
                format!("remove {} and start again", images.devpi.display()),
            )])
        })?;
    // What a pod names by digest must be known by that very name: there is no registry to ask.
    ctr(&["tag", &name, &digest])?;
    Ok(References { name, digest })
}
