//! Images that are made, pushed and pulled.

use crate::fixtures::{PORT, apply, copy_secret, ingress, pod, run, service, wait};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;
use thinkube_e2e::{Run, eventually, finish, web};
use thinkube_test_cluster::{Cluster, Corner, Part};

/// What buildah keeps here has no setting.
const KEPT: &str = "/var/lib/containers";

/// Where Thinkube's installers find the login.
const PULL_SECRET: &str = "harbor-pull-secret";

/// An image that is like no other, and a buildah that has it.
struct Image<'a> {
    cluster: &'a Cluster,
    folder: TempDir,
    /// Its reference without tag or digest.
    name: String,
}

impl<'a> Image<'a> {
    /// A web server whose one page is the name of the corner.
    fn new(corner: &'a Corner) -> Self {
        let cluster = corner.cluster();
        let registry = cluster.registry().expect("the harness's own cluster").expect("it has a registry");
        let name = format!("{}/library/{}", registry.host, corner.namespace());
        let image = Self { cluster, folder: tempfile::tempdir().expect("a temporary folder"), name };
        let base = cluster.toolbox_archive().expect("a node has the image");
        let recipe = format!(
            "FROM docker-archive:{}\nCOPY index.html /www/index.html\nCMD [\"httpd\", \"-f\", \"-p\", \"{PORT}\", \"-h\", \"/www\"]\n",
            base.display()
        );
        image.write("context/Containerfile", &recipe);
        image.write("context/index.html", corner.namespace());
        image.write("policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
        image.write("nobody.json", r#"{"auths":{}}"#);
        // Else buildah makes /etc/cni.
        let networks = Value::from(image.path("networks").to_string_lossy().as_ref());
        image.write("containers.conf", &format!("[network]\nnetwork_config_dir = {networks}\n"));
        let build = ["bud", "--quiet", "--isolation=chroot", "--layers=false", "--tag"];
        image.buildah(&build, |buildah| buildah.arg(&image.name).arg(image.path("context"))).ends_with(0);
        image
    }

    /// Pushes it; returns its reference by digest.
    fn push(&self, as_whom: &Path, trusting: Option<&Path>) -> Result<String, Run> {
        let digest = self.path("digest");
        let run = self.buildah(&["push", "--tls-verify=true", "--digestfile"], |buildah| {
            buildah.arg(&digest).arg("--authfile").arg(as_whom);
            match trusting {
                Some(folder) => buildah.arg("--cert-dir").arg(folder),
                // Go's programs are told of the authority by this too.
                None => buildah.env_remove("SSL_CERT_FILE"),
            };
            buildah.arg(&self.name).arg(format!("docker://{}:1", self.name))
        });
        if run.code != 0 {
            return Err(run);
        }
        Ok(format!("{}@{}", self.name, fs::read_to_string(digest).expect("a digest").trim()))
    }

    fn buildah(&self, arguments: &[&str], more: impl FnOnce(&mut Command) -> &mut Command) -> Run {
        let (subcommand, arguments) = arguments.split_first().expect("a subcommand");
        // One at a time: a folder that is removed takes what is mounted on it away from everybody.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let had_kept = Path::new(KEPT).exists();
        // In memory, so that it goes with the command.
        let script = format!("mkdir -p {KEPT} && mount -t tmpfs none {KEPT} && exec buildah \"$@\"");
        let mut buildah = self.cluster.command("sh");
        buildah.args(["-c", &script, "sh", "--storage-driver=overlay", "--root"]).arg(self.path("storage"));
        buildah.arg("--runroot").arg(self.path("run")).arg(subcommand);
        buildah.arg("--signature-policy").arg(self.path("policy.json")).args(arguments);
        buildah.env("TMPDIR", self.folder.path()).env("CONTAINERS_CONF", self.path("containers.conf"));
        let run = finish(more(&mut buildah).stdin(Stdio::null()));
        if !had_kept {
            let _ = fs::remove_dir(KEPT);
        }
        run
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn write(&self, file: &str, content: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(path, content).expect("writable");
    }
}

/// A pod that asks the registry even where the node has the image.
fn web_server(name: &str, image: &str) -> Value {
    let mut pod = pod(name, image, &[]);
    pod["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
    pod
}

#[test]
fn an_image_is_pushed_with_the_login_and_the_certificate_and_with_one_of_them_alone_it_is_not() {
    let Some(corner) = Cluster::with([Part::Registry]) else { return };
    let registry = corner.cluster().registry().expect("its own").expect("a registry");
    let image = Image::new(&corner);

    let nobody = image.path("nobody.json");
    let refused = image.push(&nobody, Some(&registry.certificates)).expect_err("nobody may push");
    assert!(
        refused.stderr.contains("authentication required") || refused.stderr.contains("unauthorized"),
        "{refused:?}"
    );
    let refused = image.push(&registry.auth_file, None).expect_err("nobody has signed for it");
    assert!(refused.stderr.contains("certificate signed by unknown authority"), "{refused:?}");

    let pushed = image.push(&registry.auth_file, Some(&registry.certificates));
    let pushed = pushed.unwrap_or_else(|run| panic!("{run:?}"));
    let (_, digest) = pushed.split_once('@').expect("a digest");
    let manifest = format!("https://{}/v2/library/{}/manifests/{digest}", registry.host, corner.namespace());
    let login = format!("{}:{}", registry.user, registry.password);
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    let found = web::curl(corner.cluster(), &["--user", &login, "--header", accept, &manifest]);
    assert_eq!(found.expect("an answer").with(200).header("docker-content-digest"), Some(digest));
    web::get(corner.cluster(), &manifest).expect("an answer").with(401);
}

#[test]
fn a_pod_pulls_by_digest_with_the_secret_and_is_reached_by_name_and_without_the_secret_it_never_starts() {
    let Some(corner) = Cluster::with([Part::Registry, Part::Ingress]) else { return };
    let registry = corner.cluster().registry().expect("its own").expect("a registry");
    let image = Image::new(&corner).push(&registry.auth_file, Some(&registry.certificates));
    let image = image.unwrap_or_else(|run| panic!("{run:?}"));

    // First the one without, so that the node does not have the image.
    apply(&corner, json!([web_server("stranger", &image)]));
    let waiting = "jsonpath={.status.containerStatuses[0].state.waiting}";
    eventually("refusal of the image", || {
        let why = run(&corner, &["get", "pod", "stranger", "-o", waiting]);
        let refused = why.contains("ErrImagePull") || why.contains("ImagePullBackOff");
        if refused { Ok(()) } else { Err(why) }
    });

    copy_secret(&corner, PULL_SECRET);
    let mut site = web_server("site", &image);
    site["spec"]["imagePullSecrets"] = json!([{ "name": PULL_SECRET }]);
    apply(&corner, json!([site, service("site")]));
    wait(&corner, "condition=Ready", "pod/site");
    let host = corner.host("web");
    ingress(&corner, "site", &host, &[]);
    let page = web::until(corner.cluster(), 200, &[&format!("https://{host}/")]);
    assert_eq!(page.body, corner.namespace(), "the page of the very image that was pushed");
}
