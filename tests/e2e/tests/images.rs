//! Images: built from source by a real buildah, pushed to a real registry with TLS and a login, run on the node.

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use thinkube_e2e::release::Release;
use thinkube_e2e::{Run, build, eventually, finish, web};
use thinkube_test_cluster::Addon;

fn plugin() -> &'static Path {
    thinkube_e2e::plugin("tests/image-plugin")
}

/// A release of the image plugin, whose image no other test has, and the source of the image.
struct Built(Release);

impl Deref for Built {
    type Target = Release;

    fn deref(&self) -> &Release {
        &self.0
    }
}

impl Built {
    /// `None` without a registry, git or buildah.
    fn new() -> Option<Self> {
        if !build::can() {
            return None;
        }
        let release = Release::with("im", [Addon::Node, Addon::Registry])?;
        let built = Self(release.reaching(["registry"]).building());
        fs::create_dir(built.path("source")).expect("the folder of the test is writable");
        built.write("grants.json", built.grants().to_string());
        built.git(&["init", "--quiet", "--initial-branch=main"]);
        Some(built)
    }

    /// The operator's grants. The plugin cannot request the sources, which are this test's.
    fn grants(&self) -> Value {
        let emit = |api_version: &str, kind: &str| json!({ "emit": { "apiVersion": api_version, "kind": kind, "scope": "ownNamespace" } });
        json!({ "permissions": [
            emit("v1", "Namespace"),
            emit("v1", "Secret"),
            emit("apps/v1", "Deployment"),
            { "copySecret": "default/harbor-pull-secret" },
            { "copySecret": format!("{}/harbor-pull-secret", self.name) },
            { "copySecret": format!("{}/other", self.namespace().name()) },
            { "pushImage": "registry.thinkube.test:5000/library" },
            { "buildFrom": self.url() },
            { "buildFrom": self.path("source") },
        ] })
    }

    fn url(&self) -> String {
        format!("file://{}", self.path("source").display())
    }

    fn git(&self, arguments: &[&str]) -> String {
        build::git(&self.path("source"), arguments)
    }

    /// A commit whose image says `page` and waits. Returns it.
    fn commit(&self, page: &str) -> String {
        let says = format!("CMD [\"sh\", \"-c\", \"echo {page}; exec sleep 1000000\"]\n");
        self.commit_of(&says)
    }

    fn commit_of(&self, recipe: &str) -> String {
        self.write("source/Dockerfile", &(self.base() + recipe));
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=A change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn base(&self) -> String {
        let toolbox = self.cluster().toolbox_archive().expect("a node has the image");
        format!("FROM docker-archive:{}\n", toolbox.display())
    }

    fn with_inputs(&self, before: &[&str], settings: &[&str]) -> Command {
        let (component, grants) = (plugin().to_str().expect("it is text"), self.path("grants.json"));
        let destination = format!("destination=registry.thinkube.test:5000/library/{}:latest", self.name);
        let mut arguments = before.to_vec();
        arguments.extend([component, "--release", &self.name, "--set", &destination]);
        arguments.extend(["--grants", grants.to_str().expect("it is text")]);
        arguments.extend(settings.iter().flat_map(|setting| ["--set", *setting]));
        self.command(&arguments)
    }

    /// With settings beside the repository.
    fn plugin(&self, before: &[&str], settings: &[&str]) -> Command {
        let url = format!("url={}", self.url());
        self.with_inputs(before, &[&[url.as_str()], settings].concat())
    }

    fn apply(&self, settings: &[&str]) -> Run {
        finish(&mut self.plugin(&["apply", "--yes", "-o", "json"], settings))
    }

    /// What would be done with the image.
    fn planned(&self, settings: &[&str]) -> Value {
        let run = finish(&mut self.plugin(&["plan", "--cluster", "-o", "json"], settings));
        run.ends_with(0).json()["images"][0].clone()
    }

    /// The Deployment's image and how often its specification has changed.
    fn deployment(&self) -> (String, String) {
        let path = "jsonpath={.spec.template.spec.containers[0].image} {.metadata.generation}";
        let printed = self.kubectl(&["get", "deployment", "web", "-n", &self.name, "-o", path]).ends_with(0);
        let (image, generation) = printed.stdout.split_once(' ').expect("two words");
        (image.to_owned(), generation.to_owned())
    }

    /// That the container says this. The one before it may be asked while it goes.
    fn says(&self, page: &str) {
        eventually(page, || {
            let printed = self.kubectl(&["logs", "deployment/web", "-n", &self.name]);
            if printed.stdout.trim() == page { Ok(()) } else { Err(format!("{printed:?}")) }
        });
    }

    /// The status of the answer of the registry about an image.
    fn in_registry(&self, reference: &str) -> u16 {
        let cluster = self.cluster();
        let registry = cluster.registry().expect("the harness started the cluster").expect("it exists");
        let (_, digest) = reference.split_once('@').expect("a digest");
        let url = format!("https://{}/v2/library/{}/manifests/{digest}", registry.host, self.name);
        let login = format!("{}:{}", registry.user, registry.password);
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
        web::curl(cluster, &["--user", &login, "--header", accept, &url]).expect("the server answers").status
    }

    /// What builds have left on this machine.
    fn left(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("tmp")).expect("a temporary folder can be made");
        entries.map(|entry| entry.expect("readable").path()).collect()
    }

    fn password(&self) -> String {
        self.cluster().registry().expect("the harness started the cluster").expect("it exists").password
    }
}

#[test]
fn an_image_is_built_once_for_each_commit_and_runs_by_its_digest() {
    let Some(release) = Built::new() else { return };
    let first = release.commit("first");

    let planned = release.planned(&[]);
    assert_eq!((&planned["commit"], &planned["action"]), (&json!(first), &json!("create")), "{planned}");
    let text = finish(&mut release.plugin(&["plan", "--cluster"], &[])).ends_with(0).stdout;
    assert!(text.contains(&format!("main = {first}")) && text.contains("the registry has none"), "{text}");
    release.assert_nothing_made();

    let applied = release.apply(&[]).ends_with(0);
    for printed in [&format!("commit {first}"), "building", "pushing"] {
        assert!(applied.stderr.contains(printed), "{printed} is not in {}", applied.stderr);
    }
    let built = applied.json()["release"]["images"][0].clone();
    let reference = built["reference"].as_str().expect("a reference").to_owned();
    assert_eq!(built["commit"], json!(first));
    assert_eq!(release.deployment().0, reference);
    release.says("first");

    // Nothing is built or written twice.
    let mark = release.audit_mark();
    assert_eq!(release.planned(&[])["action"], "unchanged");
    let again = release.apply(&[]).ends_with(0);
    assert_eq!(again.json()["changed"], false, "{again:?}");
    assert!(!again.stderr.contains("building"), "{}", again.stderr);
    release.assert_nothing_changed_since(mark);

    // Another commit is another image, and the first is found again by its commit.
    let second = release.commit("second");
    let planned = release.planned(&[]);
    assert_eq!((&planned["commit"], &planned["action"]), (&json!(second), &json!("create")), "{planned}");
    let newer = release.apply(&[]).ends_with(0);
    assert_ne!(release.deployment().0, reference);
    release.says("second");
    let back = format!("revision={first}");
    assert_eq!(release.planned(&[&back])["reference"], json!(reference));
    let older = release.apply(&[&back]).ends_with(0);
    assert!(!older.stderr.contains("building"), "{}", older.stderr);
    assert_eq!(release.deployment().0, reference);
    release.says("first");

    let status = release.run(&["status", &release.name]).ends_with(0);
    assert!(status.stdout.contains(&first) && status.stdout.contains(&reference), "{}", status.stdout);
    let home = release.state_namespace();
    let kept = release.kubectl(&["get", "configmaps,leases", "-n", &home, "-o", "yaml"]).ends_with(0);
    for run in [&applied, &again, &newer, &older, &status, &kept] {
        assert!(!format!("{run:?}").contains(&release.password()), "{run:?}");
    }
    assert_eq!(release.left(), Vec::<PathBuf>::new());

    // They stay without `--delete-images`.
    let taken = release.run(&["uninstall", &release.name, "--yes", "-o", "json"]).ends_with(0);
    assert_eq!(taken.json()["images"][0]["action"], "keep", "{taken:?}");
    assert_eq!(release.in_registry(&reference), 200);
    release.apply(&[&back]).ends_with(0);
    let taken = ["uninstall", &release.name, "--yes", "--delete-images", "-o", "json"];
    let taken = release.run(&taken).ends_with(0);
    assert_eq!(taken.json()["images"][0]["action"], "delete", "{taken:?}");
    assert_eq!(release.in_registry(&reference), 404);
}

#[test]
fn images_are_deleted_without_the_releases_own_copy_of_the_login() {
    let Some(release) = Built::new() else { return };
    release.commit("page");
    let own = format!("login_namespace={}", release.name);
    let uninstall = |more: &[&str]| {
        release.run(
            &[&["uninstall", &release.name, "--yes", "--delete-images", "-o", "json"][..], more].concat(),
        )
    };
    release.apply(&[&own]).ends_with(0);
    let (reference, _) = release.deployment();
    release.kubectl(&["delete", "namespace", &release.name]).ends_with(0);
    assert_eq!(uninstall(&[]).ends_with(0).json()["images"][0]["action"], "delete");
    assert_eq!(release.in_registry(&reference), 404);

    let original = ["get", "secret", "harbor-pull-secret", "-n", "default", "-o", "json"];
    let mut login = release.kubectl(&original).ends_with(0).json();
    login["metadata"] = json!({ "name": "other" });
    release.namespace().apply(json!([login])).expect("our own namespace");
    let namespace = format!("login_namespace={}", release.namespace().name());
    release.apply(&[&namespace, "login_name=other"]).ends_with(0);
    let (reference, _) = release.deployment();
    let held = |finalizers: &str| {
        let patch = format!(r#"{{"metadata":{{"finalizers":{finalizers}}}}}"#);
        release
            .kubectl(&["patch", "deployment", "web", "-n", &release.name, "--type=merge", "-p", &patch])
            .ends_with(0);
    };
    held(r#"["thinkube.org/test"]"#);
    let forget =
        || release.kubectl(&["delete", "secret", "other", "-n", release.namespace().name()]).ends_with(0);
    forget();
    let refused = uninstall(&[]).ends_with(3);
    assert_eq!(refused.error()["error"]["kind"], "registry-login", "{}", refused.stderr);
    for printed in ["Secret", "other", &reference, "leave out --delete-images"] {
        assert!(refused.stderr.contains(printed), "{printed} is not in {}", refused.stderr);
    }

    release.namespace().apply(json!([login])).expect("our own namespace");
    uninstall(&["--timeout", "2s"]).ends_with(1);
    assert_eq!(release.in_registry(&reference), 404);
    forget();
    held("[]");
    uninstall(&[]).ends_with(0);
}

#[test]
fn a_folder_is_built_and_pushed_with_a_login_that_the_plan_itself_brings() {
    let Some(release) = Built::new() else { return };
    release.commit("from git");
    release.write(
        "source/Dockerfile",
        format!(
            "{}COPY page /page\nCMD [\"sh\", \"-c\", \"cat /page; exec sleep 1000000\"]\n",
            release.base()
        ),
    );
    release.write("source/page", "from the folder\n");
    let folder = format!("folder={}", release.path("source").display());
    let login = format!("login_namespace={}", release.name);
    let settings = [folder.as_str(), login.as_str()];
    let planned = finish(&mut release.with_inputs(&["plan", "--cluster", "-o", "json"], &settings));
    let image = planned.ends_with(0).json()["images"][0].clone();
    assert!(image["note"].as_str().expect("a note").contains("this plan makes its login"), "{image}");

    let apply =
        || finish(&mut release.with_inputs(&["apply", "--yes", "-o", "json"], &settings)).ends_with(0);
    apply();
    release.says("from the folder");
    assert_eq!(apply().json()["changed"], false);
    release.write("source/page", "changed\n");
    assert_eq!(apply().json()["changed"], true);
    release.says("changed");
    assert_eq!(release.left(), Vec::<PathBuf>::new());
}

#[test]
fn an_image_that_cannot_be_built_stops_the_apply_before_any_write() {
    let Some(release) = Built::new() else { return };
    release.commit("page");
    let namespace = format!("login_namespace={}", release.namespace().name());
    let other = [namespace.as_str(), "login_name=other"];
    let refused = |command: &mut Command, code: i32, kind: &str, printed: &str| {
        let run = finish(command).ends_with(code);
        assert_eq!(run.error()["error"]["kind"], kind, "{}", run.stderr);
        assert!(run.stderr.contains(printed), "{printed} is not in {}", run.stderr);
    };
    let apply = |settings: &[&str]| release.plugin(&["apply", "--yes", "-o", "json"], settings);

    refused(&mut apply(&["revision=nowhere"]), 3, "no-revision", "nowhere");
    refused(&mut apply(&other), 3, "registry-login", "docker-registry");
    let login = json!({ "auths": { "registry.thinkube.test:5000": { "username": "robot$thinkube", "password": "wrong-5e1f0c" } } });
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "other" },
        "type": "kubernetes.io/dockerconfigjson", "stringData": { ".dockerconfigjson": login.to_string() } });
    release.namespace().apply(json!([secret])).expect("our own namespace");
    refused(&mut apply(&other), 1, "registry-refused", "push credentials");
    // No registry listens there.
    let loopback = ["--resolve", "registry.thinkube.test=127.0.0.1"];
    refused(apply(&[]).args(loopback), 1, "unreachable", "registry.thinkube.test");

    let tools = release.path("tools");
    fs::create_dir(&tools).expect("the folder is writable");
    let path = std::env::var_os("PATH").expect("it is set");
    for program in ["git", "sh", "mount"] {
        let found =
            std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists());
        std::os::unix::fs::symlink(found.expect("it exists"), tools.join(program)).expect("a link");
    }
    let unshare =
        std::env::split_paths(&path).map(|folder| folder.join("unshare")).find(|file| file.exists());
    let mut bare = Command::new(unshare.expect("it exists"));
    let whole = apply(&[]);
    bare.args(whole.get_args()).current_dir(thinkube_e2e::root()).stdin(Stdio::null());
    bare.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", &tools);
    refused(&mut bare, 1, "no-program", "apt-get install buildah");

    let mut grants = release.grants();
    grants["permissions"].as_array_mut().expect("it is a list").retain(|one| one.get("buildFrom").is_none());
    release.write("grants.json", grants.to_string());
    refused(&mut apply(&[]), 4, "denied", &release.url());

    release.assert_nothing_made();
    assert_eq!(release.left(), Vec::<PathBuf>::new());
}

#[test]
fn podman_builds_where_there_is_no_buildah() {
    let Some(release) = Built::new() else { return };
    let path = std::env::var_os("PATH").expect("it is set");
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if !folders.iter().any(|folder| folder.join("podman").exists()) {
        return thinkube_e2e::skip("there is no podman");
    }
    let programs = release.path("programs");
    fs::create_dir(&programs).expect("the folder is writable");
    for program in folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
        if program.file_name() != "buildah" {
            // The first of a name counts, as on PATH.
            let _ = std::os::unix::fs::symlink(program.path(), programs.join(program.file_name()));
        }
    }
    let commit = release.commit("by podman");
    let applied = finish(release.plugin(&["apply", "--yes", "-o", "json"], &[]).env("PATH", &programs));
    let applied = applied.ends_with(0);
    assert_eq!(applied.json()["release"]["images"][0]["commit"], json!(commit));
    assert!(!applied.stderr.contains(&release.password()), "{}", applied.stderr);
    release.says("by podman");
    assert_eq!(release.left(), Vec::<PathBuf>::new());
}

/// Processes whose arguments have this.
fn running(text: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("it is mounted").flatten();
    let arguments = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    arguments.filter(|arguments| String::from_utf8_lossy(arguments).contains(text)).count()
}

#[test]
fn a_failed_or_interrupted_build_changes_no_pod_and_leaves_no_file() {
    let Some(release) = Built::new() else { return };
    release.commit("page");
    release.apply(&[]).ends_with(0);
    let before = release.deployment();

    release.commit_of("RUN echo it does not work && false\n");
    let failed = release.apply(&[]).ends_with(1);
    assert_eq!(failed.error()["error"]["kind"], "image-build", "{}", failed.stderr);
    assert!(failed.stderr.contains("it does not work"), "{}", failed.stderr);
    assert_eq!(release.left(), Vec::<PathBuf>::new());

    // A number that no other process has.
    let seconds = format!("7{}0", std::process::id());
    release.commit_of(&format!("RUN sleep {seconds}\n"));
    let mut apply = release.plugin(&["apply", "--yes"], &[]);
    let mut host = apply.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut printed = BufReader::new(host.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("RUN sleep") {
        line.clear();
        assert!(printed.read_line(&mut line).expect("readable") > 0, "it never began to build");
    }
    while running(&seconds) == 0 {
        thread::sleep(Duration::from_millis(20));
    }
    finish(Command::new("kill").args(["-INT", &host.id().to_string()])).ends_with(0);
    let mut rest = String::new();
    printed.read_to_string(&mut rest).expect("readable");
    assert_eq!(host.wait().expect("the process ends").code(), Some(130), "{rest}");
    assert_eq!((running(&seconds), release.left()), (0, Vec::new()), "{rest}");
    let status = release.run(&["status", &release.name, "-o", "json"]).ends_with(0);
    assert_eq!(status.json()["phase"], "interrupted");

    assert_eq!(release.deployment(), before);
    release.commit("mended");
    release.apply(&[]).ends_with(0);
    release.says("mended");
}
