//! containerd, one of the cluster's own beside any other on the machine.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use crate::build::images::PAUSE_IMAGE;
use crate::error::{Error, Result};
use crate::machine::requirements;
use crate::paths::{self, Layout};
use crate::process::run::{helper, run};
use crate::process::server::{RunningServer, ServerCommand};
use crate::readiness::Readiness;
use crate::record::{ClusterRecord, ImageRecord};
use crate::requirement::UnmetRequirement;

pub(crate) fn start(layout: &Layout, record: &ClusterRecord) -> Result<RunningServer> {
    let missing = |what: &str, package: &str| {
        Error::Unmet(vec![UnmetRequirement::new(
            format!("{what} is missing"),
            format!("apt-get install {package}"),
        )])
    };
    let binary = paths::program("containerd").ok_or_else(|| missing("containerd", "containerd"))?;
    let plugins = requirements::cni_plugins().ok_or_else(|| missing("CNI", "containernetworking-plugins"))?;
    let config = layout.path("containerd.toml");
    paths::write(&config, configuration(layout, plugins))?;
    crate::node::cni::configure(layout)?;
    ServerCommand::new(layout, "containerd", &binary, record.netns_file().as_deref())
        .file("--config=", &config)
        .arg("--log-level=info")
        .start()
}

/// Snapshotters that would use devices and file systems of this machine, and an interface for other plugins.
const DISABLED_PLUGINS: [&str; 6] = [
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.nri.v1.nri",
    "io.containerd.internal.v1.tracing",
];

fn configuration(layout: &Layout, plugins: &Path) -> String {
    // A TOML basic string has the escapes of a JSON string.
    let path =
        |below: &str| serde_json::Value::from(layout.path(below).to_string_lossy().as_ref()).to_string();
    let plugins = serde_json::Value::from(plugins.to_string_lossy().as_ref()).to_string();
    format!(
        r#"version = 2
root = {root}
state = {state}
disabled_plugins = {DISABLED_PLUGINS:?}

[grpc]
address = {socket}

[plugins."io.containerd.internal.v1.opt"]
# The default makes /opt/containerd.
path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
# The default is an image of a registry that is out of reach.
sandbox_image = "{PAUSE_IMAGE}"
# A sandbox wants an oom_score_adj below its parent's, which needs CAP_SYS_RESOURCE; without it, and without this, runc
# says "can't get final child's PID from pipe: EOF" and the pod stays in ContainerCreating.
restrict_oom_score_adj = true
# So that `down` finds the network namespaces of pods.
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
# The same driver as kubelet's.
SystemdCgroup = false
# The default is /run/containerd, with the containers of the machine's containerd.
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

/// Whether its socket exists, without which kubelet ends at once.
pub(crate) fn readiness(layout: &Layout) -> Readiness {
    match UnixStream::connect(layout.containerd_socket()) {
        Ok(_) => Readiness::Ready,
        Err(error) => Readiness::NotReady(error.to_string()),
    }
}

/// Imports the images of an archive into the node.
pub(crate) fn import(layout: &Layout, archive: &Path) -> Result<Vec<ImageRecord>> {
    let names = names(archive)?;
    let ctr = |arguments: &[&str]| {
        let mut command = helper("ctr", layout);
        command.arg("--address").arg(layout.containerd_socket()).args(["--namespace", "k8s.io", "images"]);
        run(command.args(arguments))
    };
    ctr(&["import", &archive.to_string_lossy()])?;
    let mut images = Vec::new();
    for name in names {
        let listing = ctr(&["list", &format!("name=={name}")])?;
        let found = listing.split_whitespace().find(|word| word.starts_with("sha256:"));
        let found =
            found.ok_or_else(|| not_an_image(archive, "its image is not in the node after the import"))?;
        let repository = name.rsplit_once(':').map_or(name.as_str(), |(repository, _)| repository);
        let digest = format!("{repository}@{found}");
        // A pod that names it by digest needs this name: no registry has the image.
        ctr(&["tag", "--force", &name, &digest])?;
        images.push(ImageRecord { name, digest, archive: archive.to_owned() });
    }
    Ok(images)
}

/// The names of the images in an archive of `docker save`, podman, buildah or skopeo.
fn names(archive: &Path) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        #[serde(default)]
        repo_tags: Option<Vec<String>>,
    }
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--to-stdout").arg("--file").arg(archive).arg("manifest.json");
    let manifest =
        run(&mut tar).map_err(|_| not_an_image(archive, "it is not a tar archive with a manifest.json"))?;
    let entries: Vec<Entry> = serde_json::from_str(&manifest)
        .map_err(|source| Error::Json { what: format!("manifest.json in {}", archive.display()), source })?;
    let tags = entries.into_iter().flat_map(|entry| entry.repo_tags.unwrap_or_default());
    let names: Vec<String> = tags.map(|tag| whole_name(&tag)).collect();
    if names.is_empty() {
        return Err(not_an_image(archive, "no image in it has a name"));
    }
    Ok(names)
}

/// The image's name in containerd: Docker leaves out its own registry.
fn whole_name(tag: &str) -> String {
    let registry = |first: &str| first == "localhost" || first.contains(['.', ':']);
    match tag.split_once('/') {
        Some((first, _)) if registry(first) => tag.to_owned(),
        Some(_) => format!("docker.io/{tag}"),
        None => format!("docker.io/library/{tag}"),
    }
}

fn not_an_image(archive: &Path, why: &'static str) -> Error {
    Error::Archive { archive: archive.to_owned(), why }
}

/// The release of the machine's containerd.
pub(crate) fn version() -> String {
    let output = run(Command::new("containerd").arg("--version").env("PATH", paths::search_path()));
    // `containerd MODULE VERSION COMMIT`
    output.ok().and_then(|output| output.split_whitespace().nth(2).map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_name_in_containerd_has_its_registry() {
        for (tag, whole) in [
            ("busybox:latest", "docker.io/library/busybox:latest"),
            ("grafana/grafana:1", "docker.io/grafana/grafana:1"),
            ("thinkube.test/library/devpi:6", "thinkube.test/library/devpi:6"),
            ("localhost/x:1", "localhost/x:1"),
            ("registry:5000/x:1", "registry:5000/x:1"),
        ] {
            assert_eq!(whole_name(tag), whole);
        }
    }

    #[test]
    fn a_file_that_is_not_an_archive_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(matches!(names(file.path()), Err(Error::Archive { .. })));
        assert!(matches!(names(std::path::Path::new("/nonexistent")), Err(Error::Archive { .. })));
    }
}
