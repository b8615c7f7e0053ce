//! Images built by a real buildah from a real git, and pushed to a real registry.

use crate::support::thread_name;
use serde_json::json;
use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;
use thinkube_effects::{
    HttpError, HttpOptions, ImageAction, ImageError, ImageEvent, ImageOptions, ImageState, Images,
    ObservedImage, ProgramError, RegistryError, SourceError,
};
use thinkube_plan::{GitSource, ImageSource, ImageStep, Output, OutputRef, Permission, SecretText};
use thinkube_test_cluster::{Addon, TestNamespace, skip};

/// Set in the process that is where the registry's name is known.
const INSIDE: &str = "THINKUBE_TEST_INSIDE";
/// What that process is told.
const NAME: &str = "THINKUBE_TEST_IMAGE";
const TOOLBOX: &str = "THINKUBE_TEST_TOOLBOX";
const AUTHORITY: &str = "THINKUBE_TEST_AUTHORITY";
/// What buildah keeps below here has no setting.
const KEPT: &str = "/var/lib";

/// A git repository of this machine.
struct Repository {
    folder: TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    fn url(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.current_dir(self.folder.path()).env("HOME", self.folder.path()).args([
            "-c",
            "user.name=Test",
            "-c",
            "user.email=test@example.org",
        ]);
        let output = git.args(arguments).stderr(Stdio::inherit()).output().expect("git runs");
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(path, content).expect("writable");
    }

    /// Returns the commit.
    fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=A change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn step(&self, revision: &str) -> ImageStep {
        ImageStep {
            name: "devpi".into(),
            source: ImageSource::Git(GitSource { url: self.url(), revision: revision.into() }),
            dockerfile: "Dockerfile".into(),
            context: ".".into(),
            destination: destination(),
            push_credentials: None,
        }
    }
}

/// Of this test, where there is a registry; else of one that is nowhere.
fn destination() -> String {
    format!("{}:latest", env::var(NAME).unwrap_or_else(|_| "registry.example.org/library/devpi".into()))
}

fn options() -> ImageOptions {
    let name = destination();
    let granted = vec![
        Permission::BuildFrom("file:///tmp".into()),
        Permission::BuildFrom(env::temp_dir().display().to_string()),
        Permission::BuildFrom(format!("file://{}", env::temp_dir().display())),
        Permission::PushImage(name.trim_end_matches(":latest").into()),
    ];
    ImageOptions { granted, ..ImageOptions::default() }
}

fn images() -> Images {
    Images::new(options())
}

async fn commit_of(step: &ImageStep) -> String {
    images().resolve(step).await.unwrap_or_else(|error| panic!("{error}")).id().to_owned()
}

#[tokio::test]
async fn a_revision_is_a_commit_a_tag_or_a_branch_in_this_order() {
    let repository = Repository::new();
    repository.write("Dockerfile", "FROM scratch\n");
    let first = repository.commit();
    repository.git(&["tag", "light"]);
    repository.git(&["tag", "--annotate", "heavy", "--message=x"]);
    repository.git(&["branch", "both"]);
    repository.git(&["branch", "feature/main"]);
    repository.write("more", "x");
    let second = repository.commit();
    repository.git(&["tag", "both"]);
    for (revision, commit) in [
        ("main", &second),
        ("HEAD", &second),
        ("light", &first),
        ("heavy", &first),
        ("both", &second),
        ("refs/heads/both", &first),
        ("refs/tags/heavy", &first),
        ("feature/main", &first),
        (&first, &first),
    ] {
        assert_eq!(commit_of(&repository.step(revision)).await, *commit, "{revision}");
    }
    for unknown in ["nothing", "ain", &first[..10], "heads/main"] {
        let error = images().resolve(&repository.step(unknown)).await.expect_err(unknown);
        assert!(matches!(error, ImageError::Source(SourceError::NoRevision { .. })), "{error}");
    }
}

#[tokio::test]
async fn each_image_of_one_commit_has_a_tag_of_its_own() {
    let repository = Repository::new();
    repository.write("Dockerfile", "FROM scratch\n");
    let commit = repository.commit();
    let tag = |dockerfile: &str, context: &str| {
        let (dockerfile, context) = (dockerfile.to_owned(), context.to_owned());
        let step = ImageStep { dockerfile, context, ..repository.step(&commit) };
        async move { images().resolve(&step).await.expect("a commit").tag().to_owned() }
    };
    assert_eq!(tag("Dockerfile", ".").await, commit);
    let other = tag("docker/Dockerfile", "docker").await;
    assert!(other.starts_with(&format!("{commit}-")) && other.len() <= 128, "{other}");
    assert_ne!(other, tag("docker/Dockerfile", ".").await);
}

#[tokio::test]
async fn a_plan_cannot_use_the_tag_of_another_commit() {
    let repository = Repository::new();
    repository.write("Dockerfile", "FROM scratch\n");
    let step = repository.step(&repository.commit());
    let other = "7bbfb79f0a1b2c3d4e5f60718293a4b5c6d7e8f9";
    for tag in [other, &format!("{other}-01234567"), &format!("folder-{}", "0".repeat(64))] {
        let destination = destination().replace("latest", tag);
        let step = ImageStep { destination, ..step.clone() };
        let error = images().observe(&step, None).await.expect_err(tag);
        assert!(matches!(&error, ImageError::Invalid { message, .. } if message.contains(tag)), "{error}");
    }
}

#[tokio::test]
async fn an_absent_repository_is_an_error_without_a_password_prompt() {
    let mut step = Repository::new().step("main");
    let gone = format!("file://{}/gone.git", env::temp_dir().display());
    step.source = ImageSource::Git(GitSource { url: gone, revision: "main".into() });
    let error = images().resolve(&step).await.expect_err("it is not there");
    assert!(
        matches!(&error, ImageError::Source(SourceError::Git { lines, .. }) if !lines.is_empty()),
        "{error}"
    );
}

#[tokio::test]
async fn a_source_or_registry_that_is_not_granted_is_not_contacted() {
    let repository = Repository::new();
    let mut step = repository.step("main");
    for url in ["file:///etc/x", "https://git.example.org/x"] {
        step.source = ImageSource::Git(GitSource { url: url.into(), revision: "main".into() });
        assert!(matches!(images().resolve(&step).await, Err(ImageError::NotGranted { .. })), "{url}");
    }
    for url in ["ext::sh -c whoami", "ssh://a.b/c", "http://a.b/c", "--upload-pack=x"] {
        let granted =
            vec![Permission::BuildFrom(url.into()), Permission::PushImage("registry.example.org".into())];
        step.source = ImageSource::Git(GitSource { url: url.into(), revision: "main".into() });
        let images = Images::new(ImageOptions { granted, ..options() });
        assert!(matches!(images.resolve(&step).await, Err(ImageError::Invalid { .. })), "{url}");
    }
    let mut step = repository.step("main");
    step.destination = "other.example.org/library/devpi:1".into();
    assert!(matches!(images().observe(&step, None).await, Err(ImageError::NotGranted { .. })));
}

fn folder_step(folder: &Path) -> ImageStep {
    ImageStep {
        name: "devpi".into(),
        source: ImageSource::Folder(folder.display().to_string()),
        dockerfile: "Dockerfile".into(),
        context: ".".into(),
        destination: destination(),
        push_credentials: None,
    }
}

#[tokio::test]
async fn a_directory_is_identified_by_what_a_build_reads_of_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (root, step) = (folder.path(), folder_step(folder.path()));
    let write = |path: &str, content: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(path, content).expect("writable");
    };
    write("Dockerfile", "FROM scratch\n");
    write("sub/file", "x");
    let first = commit_of(&step).await;
    let tag = images().resolve(&step).await.expect("a folder").tag().to_owned();
    assert_eq!(tag, format!("folder-{first}"));
    write(".git/index", "what git keeps of itself");
    assert_eq!(commit_of(&step).await, first);

    let mut seen = vec![first.clone()];
    let mut changed = async |step: &ImageStep, what: &str| {
        let commit = commit_of(step).await;
        assert!(!seen.contains(&commit), "{what}");
        seen.push(commit);
    };
    write("sub/file", "y");
    changed(&step, "content").await;
    fs::set_permissions(root.join("sub/file"), fs::Permissions::from_mode(0o755)).expect("ours");
    changed(&step, "mode").await;
    fs::rename(root.join("sub/file"), root.join("file")).expect("ours");
    changed(&step, "place").await;
    symlink("/etc/passwd", root.join("link")).expect("a link");
    changed(&step, "link").await;
    fs::create_dir(root.join("empty")).expect("writable");
    changed(&step, "empty folder").await;

    // The Dockerfile counts where it is not in the context; what is in neither does not.
    let outer = ImageStep { context: "sub".into(), ..step.clone() };
    write("sub/file", "x");
    changed(&outer, "context").await;
    let before = commit_of(&outer).await;
    write("file", "z");
    assert_eq!(commit_of(&outer).await, before);
    write("Dockerfile", "FROM scratch\nCOPY . .\n");
    changed(&outer, "Dockerfile").await;
}

#[tokio::test]
async fn no_link_that_leads_out_of_the_source_is_followed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    fs::write(root.join("Dockerfile"), "FROM scratch\n").expect("writable");
    symlink("/etc", root.join("context")).expect("a link");
    symlink("/etc/passwd", root.join("Linked")).expect("a link");
    let made = Command::new("mkfifo").arg(root.join("Pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    let step = folder_step(root);
    for (dockerfile, context) in [
        ("Dockerfile", "context"),
        ("Linked", "."),
        ("context/passwd", "."),
        ("Pipe", "."),
        ("None", "."),
        ("Dockerfile", "none"),
        ("Dockerfile", "Dockerfile"),
        // The pipe lies in the context.
        ("Dockerfile", "."),
    ] {
        let step = ImageStep { dockerfile: dockerfile.into(), context: context.into(), ..step.clone() };
        let error = images().resolve(&step).await.expect_err(context);
        assert!(
            matches!(error, ImageError::Source(SourceError::Path { .. })),
            "{dockerfile} {context}: {error}"
        );
    }
}

/// How a test is run again where the registry's name leads to it.
struct Again {
    isolation: &'static str,
    /// The registry's certificate is trusted.
    trusting: bool,
    /// By a user who is not root.
    ordinary: bool,
}

const USUALLY: Again = Again { isolation: "chroot", trusting: true, ordinary: false };

impl Again {
    /// True: this is that run.
    fn inside(&self) -> bool {
        if env::var_os(INSIDE).is_some() {
            return true;
        }
        if ["buildah", "git"].iter().any(|program| Command::new(program).arg("--version").output().is_err()) {
            skip("there is no buildah, or no git");
            return false;
        }
        let Some(namespace) = TestNamespace::with([Addon::Registry]) else { return false };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = self.command(&namespace, folder.path()).output().expect("the process runs");
        let printed = [output.stdout, output.stderr]
            .map(|printed| String::from_utf8_lossy(&printed).into_owned())
            .concat();
        assert!(output.status.success(), "{printed}");
        let left: Vec<PathBuf> = fs::read_dir(folder.path().join("tmp"))
            .expect("a folder")
            .map(|entry| entry.expect("readable").path())
            .collect();
        assert_eq!(left, Vec::<PathBuf>::new(), "{printed}");
        false
    }

    fn command(&self, namespace: &TestNamespace, folder: &Path) -> Command {
        let cluster = namespace.cluster();
        let registry = cluster.registry().expect("its own").expect("it has a registry");
        // Else buildah makes /etc/cni.
        let settings = folder.join("containers.conf");
        let networks = json!(folder.join("home/networks")).to_string();
        fs::write(&settings, format!("[network]\nnetwork_config_dir = {networks}\n")).expect("writable");
        // A user without root cannot read the directories of root or of a developer.
        let copy = |from: &Path, name: &str| {
            let to = folder.join(name);
            fs::copy(from, &to).expect("readable");
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).expect("ours");
            to
        };
        let test = copy(&env::current_exe().expect("a test is a program"), "test");
        let authority = copy(&cluster.authority().expect("its own"), "authority.crt");
        for name in ["tmp", "home"] {
            fs::create_dir(folder.join(name)).expect("writable");
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o777)).expect("ours");
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("ours");

        let mut again = cluster.command("sh");
        // In memory, so that it goes with the run. And the names of the domain are for everybody.
        let script = format!(
            "mount -t tmpfs none {KEPT} && cp /etc/resolv.conf \"$0\" && chmod 644 \"$0\" && \
             mount --bind \"$0\" /etc/resolv.conf && exec \"$@\""
        );
        again.args(["-c", &script]).arg(folder.join("resolv.conf"));
        if self.ordinary {
            again.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
            again.env("HOME", folder.join("home"));
        } else {
            again.env("STORAGE_DRIVER", "overlay");
        }
        again
            .arg(test)
            .args(["--exact", &thread_name(), "--nocapture"])
            .env(INSIDE, "1")
            .env(NAME, format!("{}/library/{}", registry.host, namespace.name()))
            .env(TOOLBOX, cluster.toolbox_archive().expect("a node has the image"))
            .env(AUTHORITY, &authority)
            .env("ADMIN_PASSWORD", &registry.password)
            .env("BUILDAH_ISOLATION", self.isolation)
            .env("CONTAINERS_CONF", settings)
            .env("TMPDIR", folder.join("tmp"))
            .stdin(Stdio::null());
        for variable in ["SSL_CERT_FILE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"] {
            again.env_remove(variable);
        }
        if self.trusting {
            again.env("SSL_CERT_FILE", &authority);
        }
        again
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(test);
}

fn password() -> String {
    env::var("ADMIN_PASSWORD").expect("the variable is set")
}

fn login(password: &str) -> SecretText {
    let destination = destination();
    let (registry, _) = destination.split_once('/').expect("a registry");
    // As the harness's registry knows it.
    let config = json!({"auths": {registry: {"username": "robot$thinkube", "password": password}}});
    SecretText::new(config.to_string())
}

async fn observe(step: &ImageStep) -> ObservedImage {
    images().observe(step, Some(&login(&password()))).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Whether a process has this in its arguments.
fn in_arguments(text: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|arguments| String::from_utf8_lossy(&arguments).contains(text))
}

#[test]
fn an_image_is_built_once_for_each_commit_and_the_tag_follows() {
    if USUALLY.inside() {
        run(once_for_each_commit());
    }
}

async fn once_for_each_commit() {
    let repository = Repository::new();
    repository.write("docker/Dockerfile", "FROM scratch\nCOPY page /page\n");
    repository.write("docker/page", "first");
    // What must not be run or fetched.
    repository.write(
        ".gitmodules",
        "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c 'touch /tmp/thinkube-ran'\n",
    );
    let first = repository.commit();
    let step = ImageStep {
        dockerfile: "docker/Dockerfile".into(),
        context: "docker".into(),
        ..repository.step("main")
    };
    let (images, login) = (images(), login(&password()));

    let seen = observe(&step).await;
    assert_eq!((seen.commit.id(), &seen.state), (first.as_str(), &ImageState::Absent));
    let printed = Mutex::new(String::new());
    let events = |event: ImageEvent| {
        assert!(!in_arguments(&password()), "the password is an argument of a program");
        printed.lock().expect("no thread panicked").push_str(&format!("{event:?}\n"));
    };
    let built = images.ensure(&step, &seen, Some(&login), &events).await;
    let built = built.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(built.action, ImageAction::Built);
    let printed = printed.into_inner().expect("no thread panicked");
    for part in ["Fetching", "Building", "COPY page /page", "Pushing"] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
    assert!(!printed.contains(&password()));
    let outputs = built.image.outputs("devpi");
    let at = OutputRef { step: "devpi".into(), output: "reference".into() };
    let name = destination().trim_end_matches(":latest").to_owned();
    assert!(
        matches!(outputs.get(&at), Some(Output::Open(reference)) if *reference == format!("{name}@{}", built.image.digest))
    );

    // Now it is there, by both tags.
    let seen = observe(&step).await;
    assert_eq!(seen.state, ImageState::Current(built.image.clone()));
    let again = images.ensure(&step, &seen, Some(&login), &|event| panic!("{event:?}")).await;
    assert_eq!(again.expect("nothing to do").action, ImageAction::Unchanged);

    // Another commit is another image.
    repository.write("docker/page", "second");
    repository.commit();
    let seen = observe(&step).await;
    assert_eq!(seen.state, ImageState::Absent);
    let second = images.ensure(&step, &seen, Some(&login), &|_| ()).await.expect("the image is built");
    assert_ne!(second.image.digest, built.image.digest);

    // Back to the first: the registry has it, and the tag follows.
    let back = ImageStep { source: repository.step(&first).source, ..step.clone() };
    let seen = observe(&back).await;
    assert_eq!(seen.state, ImageState::Untagged(built.image.clone()));
    let tagged = images.ensure(&back, &seen, Some(&login), &|event| panic!("{event:?}")).await;
    assert_eq!(tagged.expect("the result exists").action, ImageAction::Tagged);
    assert_eq!(observe(&back).await.state, ImageState::Current(built.image));
    assert!(!Path::new("/tmp/thinkube-ran").exists());
}

#[test]
fn a_user_without_root_builds_and_pushes() {
    if (Again { ordinary: true, ..USUALLY }).inside() {
        run(once_for_each_commit());
    }
}

#[test]
fn a_directory_that_changed_after_the_preview_is_not_built() {
    if USUALLY.inside() {
        run(as_it_was());
    }
}

async fn as_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).expect("writable");
    write("Dockerfile", "FROM scratch\nCOPY . /\n");
    write("page", "first");
    write(".dockerignore", "secret\n");
    write("secret", "not for others");
    symlink("/etc/passwd", folder.path().join("link")).expect("a link");
    let step = folder_step(folder.path());
    let (images, login) = (images(), login(&password()));
    let seen = observe(&step).await;
    write("page", "second");
    let error = images.ensure(&step, &seen, Some(&login), &|_| ()).await.expect_err("it has changed");
    assert!(matches!(error, ImageError::Source(SourceError::Changed { .. })), "{error}");
    let seen = observe(&step).await;
    assert_eq!(seen.state, ImageState::Absent);
    let built = images.ensure(&step, &seen, Some(&login), &|_| ()).await;
    assert_eq!(built.unwrap_or_else(|error| panic!("{error}")).action, ImageAction::Built);
    assert!(matches!(observe(&step).await.state, ImageState::Current(_)));
}

#[test]
fn a_refused_push_is_an_error_before_the_build() {
    if USUALLY.inside() {
        run(refused());
    }
}

async fn refused() {
    let repository = Repository::new();
    repository.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    repository.commit();
    let (step, images) = (repository.step("main"), images());
    for (who, logged_in) in [(None, false), (Some(login("canary-wrong")), true)] {
        let error = images.observe(&step, who.as_ref()).await.expect_err("the registry wants a login");
        assert!(
            matches!(error, ImageError::Registry(RegistryError::Refused { status: 401, login, .. }) if login == logged_in),
            "{error:?}"
        );
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
    let seen = observe(&step).await;
    let nothing = |event: ImageEvent| panic!("{event:?}");
    let error =
        images.ensure(&step, &seen, None, &nothing).await.expect_err("an anonymous user may not push");
    assert!(matches!(error, ImageError::Registry(RegistryError::Refused { .. })), "{error:?}");
    let other = SecretText::new(r#"{"auths":{"other.example.org":{"auth":"YTpi"}}}"#.into());
    let error = images.observe(&step, Some(&other)).await.expect_err("no login for this registry");
    assert!(matches!(error, ImageError::Registry(RegistryError::NoLogin { .. })), "{error:?}");
}

#[test]
fn a_registry_is_trusted_by_a_named_authority_and_by_nothing_else() {
    if (Again { trusting: false, ..USUALLY }).inside() {
        run(trusted());
    }
}

async fn trusted() {
    let repository = Repository::new();
    repository.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    repository.commit();
    let (step, login) = (repository.step("main"), login(&password()));
    let error = images().observe(&step, Some(&login)).await.expect_err("the registry is not trusted");
    assert!(
        matches!(error, ImageError::Registry(RegistryError::Http(HttpError::NotTrusted { .. }))),
        "{error:?}"
    );
    let authority = PathBuf::from(env::var_os(AUTHORITY).expect("the variable is set"));
    let http = HttpOptions { ca_file: Some(authority), ..HttpOptions::default() };
    let images = Images::new(ImageOptions { http, ..options() });
    let seen = images.observe(&step, Some(&login)).await.unwrap_or_else(|error| panic!("{error}"));
    let built = images.ensure(&step, &seen, Some(&login), &|_| ()).await;
    assert_eq!(built.unwrap_or_else(|error| panic!("{error}")).action, ImageAction::Built);
}

#[test]
fn a_build_that_fails_or_hangs_leaves_nothing() {
    if USUALLY.inside() {
        run(failing());
    }
}

#[test]
fn a_build_that_hangs_is_stopped_with_its_containers() {
    if Command::new("runc").arg("--version").output().is_err() {
        skip("there is no runc");
    } else if (Again { isolation: "oci", ..USUALLY }).inside() {
        run(failing());
    }
}

/// Processes whose arguments have this.
fn running(text: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let command = |process: fs::DirEntry| fs::read(process.path().join("cmdline")).ok();
    processes
        .filter_map(command)
        .filter(|arguments| String::from_utf8_lossy(arguments).contains(text))
        .count()
}

async fn failing() {
    let toolbox = env::var(TOOLBOX).expect("the variable is set");
    let repository = Repository::new();
    let login = login(&password());
    let step = repository.step("main");
    let build = async |dockerfile: &str, limit: u64| {
        repository.write("Dockerfile", dockerfile);
        repository.commit();
        let images = Images::new(ImageOptions { limit: Some(Duration::from_secs(limit)), ..options() });
        let seen = observe(&step).await;
        images.ensure(&step, &seen, Some(&login), &|_| ()).await.expect_err("it cannot be built")
    };
    let temporary = env::temp_dir();
    let left = || {
        let names = fs::read_dir(&temporary).expect("a folder").flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("thinkube-")).count()
    };

    // What a host was killed over.
    let killed = temporary.join("thinkube-killed");
    fs::create_dir(&killed).expect("writable");
    for name in ["in-use.lock", "auth.json"] {
        fs::write(killed.join(name), "").expect("writable");
    }
    let error = build("FROM scratch\nCOPY nothing /\n", 60).await;
    assert!(
        matches!(&error, ImageError::Build { lines, .. } if lines.iter().any(|line| line.contains("nothing"))),
        "{error}"
    );
    // A secret input is in this very environment.
    let env = format!("FROM docker-archive:{toolbox}\nRUN env && echo \"it is $ADMIN_PASSWORD.\" && false\n");
    let error = build(&env, 120).await;
    assert!(
        matches!(&error, ImageError::Build { lines, .. } if lines.iter().any(|line| line == "it is .")),
        "{error}"
    );
    assert!(!error.to_string().contains(&password()));
    assert_eq!(left(), 0);

    // Numbers that no other process has, and no other of these tests.
    let [first, second] = ["1", "2"].map(|last| format!("8{}{last}", std::process::id()));
    let hang = |seconds: &str| format!("FROM docker-archive:{toolbox}\nRUN sleep {seconds}\n");
    let error = build(&hang(&first), 5).await;
    assert!(matches!(error, ImageError::Program(ProgramError::TimedOut { .. })), "{error}");
    assert_eq!((left(), running(&first)), (0, 0));

    // The caller drops the future.
    repository.write("Dockerfile", &hang(&second));
    repository.commit();
    let seen = observe(&step).await;
    let images = images();
    let began = Mutex::new(false);
    let events = |event: ImageEvent| {
        if matches!(&event, ImageEvent::Output(line) if line.contains("RUN sleep")) {
            *began.lock().expect("no thread panicked") = true;
        }
    };
    let waiting = images.ensure(&step, &seen, Some(&login), &events);
    let dropped = async {
        while !*began.lock().expect("no thread panicked") || running(&second) == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        done = waiting => panic!("{done:?}"),
        () = dropped => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it never began"),
    }
    assert_eq!(left(), 0);
    // On a busy machine the processes of a container take a while to end.
    for _ in 0..1200 {
        if running(&second) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(running(&second), 0);
}

/// Set in a run that has the programs of one folder only.
const TOOLS: &str = "THINKUBE_TEST_TOOLS";

#[test]
#[allow(clippy::print_stdout, reason = "the run that started this one reads it")]
fn podman_replaces_buildah_and_without_both_there_is_an_error() {
    if env::var_os(TOOLS).is_some() {
        run(async { println!("it says: {}", builds().await) });
    } else if USUALLY.inside() {
        let tools = tempfile::tempdir().expect("a temporary folder");
        let link = |name: &str, program: &str| {
            let found = env::split_paths(&env::var_os("PATH").expect("PATH is set"))
                .map(|folder| folder.join(program))
                .find(|path| path.is_file())
                .expect("the result exists");
            symlink(found, tools.path().join(name)).expect("a link");
        };
        let again = || {
            let mut again = Command::new(env::current_exe().expect("a test is a program"));
            again.args(["--exact", &thread_name(), "--nocapture"]).env(TOOLS, "1").env("PATH", tools.path());
            String::from_utf8(again.output().expect("the process runs").stdout).expect("text")
        };
        let printed = again();
        assert!(printed.contains("it says: buildah or podman is not on PATH"), "{printed}");
        // It takes the arguments that podman takes.
        link("podman", "buildah");
        let printed = again();
        assert!(printed.contains("it says: Built"), "{printed}");
    }
}

/// What comes of a build.
async fn builds() -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").expect("writable");
    let step = folder_step(folder.path());
    let seen = observe(&step).await;
    match images().ensure(&step, &seen, Some(&login(&password())), &|_| ()).await {
        Ok(outcome) => format!("{:?}", outcome.action),
        Err(error) => error.to_string(),
    }
}
