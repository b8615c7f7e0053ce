//! The server's image as the original's repository builds it: from a base that the platform's registry has, by its short name.

use crate::release::Devpi;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use thinkube_e2e::{build, finish, skip};
use thinkube_test_cluster::push_archive;

/// The project in the registry, which the original's playbooks never read.
const PROJECT: &str = "harbor_project=team";

/// What the original's repository has in `dockerfile/`: the base, the three pins, the user, the entrypoint. Beyond that the
/// authority of this machine's package index.
const DOCKERFILE: &str = "FROM library/python:3.12-slim\n\
    COPY dockerfile/ca.crt /run/ca.crt\n\
    RUN pip install --no-cache-dir --cert /run/ca.crt devpi-server==6.20.1 devpi-web==5.1.0 devpi-client==7.3.0\n\
    RUN groupadd devpi && useradd --gid devpi --home-dir /data/devpi --no-create-home devpi \
    && mkdir -p /data/devpi && chown devpi:devpi /data/devpi\n\
    ENV DEVPISERVER_SERVERDIR=/data/devpi\n\
    EXPOSE 3141\n\
    COPY --chmod=755 dockerfile/scripts/entrypoint.sh /entrypoint.sh\n\
    STOPSIGNAL SIGINT\n\
    USER devpi\n\
    ENTRYPOINT [\"/entrypoint.sh\"]\n";

struct Repository {
    folder: PathBuf,
}

impl Repository {
    fn new(release: &Devpi) -> Self {
        let folder = release.path("repository");
        fs::create_dir_all(folder.join("dockerfile/scripts")).expect("the folder is writable");
        let trusted = std::env::var_os("SSL_CERT_FILE")
            .map_or("/etc/ssl/certs/ca-certificates.crt".into(), PathBuf::from);
        fs::copy(trusted, folder.join("dockerfile/ca.crt")).expect("the machine has authorities");
        let entrypoint = thinkube_e2e::root().join("tests/cluster/images/devpi/entrypoint.sh");
        fs::copy(entrypoint, folder.join("dockerfile/scripts/entrypoint.sh")).expect("it exists");
        build::git(&folder, &["init", "--quiet", "--initial-branch=main"]);
        Self { folder }
    }

    /// A commit with this Dockerfile; returns the settings that build it.
    fn commit(&self, dockerfile: &str) -> [String; 2] {
        fs::write(self.folder.join("dockerfile/Dockerfile"), dockerfile).expect("the folder is writable");
        build::git(&self.folder, &["add", "--all"]);
        build::git(&self.folder, &["commit", "--quiet", "--message=The image"]);
        let commit = build::git(&self.folder, &["rev-parse", "HEAD"]);
        [format!("devpi_git_url=file://{}", self.folder.display()), format!("devpi_git_revision={commit}")]
    }
}

/// Where the platform's setup leads short names; here in a file of the test instead of the machine's.
fn registries(release: &Devpi) -> PathBuf {
    let file = release.path("registries.conf");
    fs::write(&file, "unqualified-search-registries = [\"registry.thinkube.test:5000\"]\n")
        .expect("the folder is writable");
    file
}

fn apply(release: &Devpi, more: &[&str], source: &[String]) -> Command {
    let settings: Vec<&str> =
        source.iter().map(String::as_str).chain(["oauth2_proxy_enabled=false", PROJECT]).collect();
    let before = [&["apply", "--yes", "-o", "json"][..], more].concat();
    release.plugin_command(&before, &settings)
}

/// PATH without buildah.
fn without_buildah(folder: &Path) -> PathBuf {
    let path = std::env::var_os("PATH").expect("it is set");
    fs::create_dir(folder).expect("the folder is writable");
    let programs =
        std::env::split_paths(&path).filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    for program in programs.filter(|program| program.file_name() != "buildah") {
        // The first of a name counts, as on PATH.
        let _ = std::os::unix::fs::symlink(program.path(), folder.join(program.file_name()));
    }
    folder.to_owned()
}

#[test]
fn the_base_image_is_found_by_its_short_name_in_the_platform_s_registry() {
    if !build::can() {
        return;
    }
    let Some(release) = Devpi::new() else { return };
    let repository = Repository::new(&release);
    let source = repository.commit(DOCKERFILE);
    let base = release.cluster().python_archive().expect("a base image");
    push_archive(release.cluster(), &base, "library/python:3.12-slim").expect("pushed");

    // Without the platform's setup the name leads nowhere, and no object is made.
    let nowhere = release.path("nowhere.conf");
    fs::write(&nowhere, "unqualified-search-registries = []\n").expect("the folder is writable");
    let failed =
        finish(apply(&release, &[], &source).env("CONTAINERS_REGISTRIES_CONF", &nowhere)).ends_with(1);
    assert!(failed.stderr.contains("library/python"), "{}", failed.stderr);
    let namespace = ["get", "namespace", &release.name, "--ignore-not-found", "-o", "name"];
    assert_eq!(release.kubectl(&namespace).ends_with(0).stdout, "");

    let registries = registries(&release);
    let applied =
        finish(apply(&release, &[], &source).env("CONTAINERS_REGISTRIES_CONF", &registries)).ends_with(0);
    let applied = applied.json();
    let reference = applied["release"]["images"][0]["reference"].as_str().expect("a reference");
    assert!(reference.starts_with("registry.thinkube.test:5000/team/devpi@sha256:"), "{reference}");
    let health = applied["health"].as_array().expect("it is a list");
    assert!(health.iter().all(|check| check["status"] == "passed"), "{health:?}");
    let path = "jsonpath={.spec.template.spec.containers[0].image}";
    let runs = release.kubectl(&["get", "deployment", "devpi", "-n", &release.name, "-o", path]).ends_with(0);
    assert_eq!(runs.stdout, reference);

    release.run(&["uninstall", &release.name, "--yes", "--delete-data", "--delete-images"]).ends_with(0);
}

#[test]
fn podman_finds_the_base_image_by_the_same_file() {
    if !build::can() {
        return;
    }
    let Some(release) = Devpi::new() else { return };
    let programs = without_buildah(&release.path("programs"));
    if !programs.join("podman").exists() {
        return skip("there is no podman");
    }
    let repository = Repository::new(&release);
    let source =
        repository.commit("FROM library/python:3.12-slim\nENTRYPOINT [\"python3\", \"--version\"]\n");
    let base = release.cluster().python_archive().expect("a base image");
    push_archive(release.cluster(), &base, "library/python:3.12-slim").expect("pushed");
    let mut podman = apply(&release, &["--no-wait"], &source);
    podman.env("CONTAINERS_REGISTRIES_CONF", registries(&release)).env("PATH", programs);
    let built = finish(&mut podman).ends_with(0).json();
    let reference = built["release"]["images"][0]["reference"].as_str().expect("a reference");
    assert!(reference.starts_with("registry.thinkube.test:5000/team/devpi@sha256:"), "{reference}");
    release.run(&["uninstall", &release.name, "--yes", "--delete-data", "--delete-images"]).ends_with(0);
}
