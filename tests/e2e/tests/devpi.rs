//! DevPI on a real node behind a real ingress, with a real registry and Keycloak, used by its real clients.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tempfile::TempDir;
use thinkube_e2e::browser::Browser;
use thinkube_e2e::keycloak::{Admin, claims, data};
use thinkube_e2e::{Run, build, devpi, finish, skipped, target, web};
use thinkube_test_cluster::{AuditEvent, Cluster, Corner, Part};

/// A release of DevPI with hosts and a client that are nobody else's.
struct Release {
    corner: Corner,
    admin: Admin,
    name: String,
    folder: TempDir,
    password: String,
}

impl Release {
    /// None where the cluster cannot have all the parts.
    fn new() -> Option<Self> {
        let corner = Cluster::with([Part::Node, Part::Ingress, Part::Registry, Part::Keycloak])?;
        let admin = Admin::of(corner.cluster());
        let name = format!("dp-{}", corner.namespace());
        let folder = build::folder();
        let password = format!("canary-{name}");
        Some(Self { corner, admin, name, folder, password })
    }

    fn cluster(&self) -> &Cluster {
        self.corner.cluster()
    }

    fn api(&self) -> String {
        format!("https://{}-api.thinkube.test", self.name)
    }

    fn dashboard(&self) -> String {
        format!("https://{}.thinkube.test", self.name)
    }

    fn home(&self) -> String {
        format!("home-{}", self.name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let cluster = self.cluster();
        let keycloak = cluster.keycloak().expect("our own").expect("it is there");
        let mut command = build::command(arguments, self.folder.path());
        command
            .env("KUBECONFIG", cluster.kubeconfig())
            .env("THINKUBE_HOME_NAMESPACE", self.home())
            .env("ADMIN_PASSWORD", &self.password)
            .env("KEYCLOAK_ADMIN_PASSWORD", keycloak.admin_password);
        if matches!(arguments[0], "plan" | "apply" | "check" | "run" | "uninstall") {
            command.arg("--ca-file").arg(cluster.authority().expect("our own"));
            let address = cluster.address().expect("our own");
            for host in ["registry".into(), "auth".into(), self.name.clone(), format!("{}-api", self.name)] {
                command.arg("--resolve").arg(format!("{host}.thinkube.test={address}"));
            }
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        finish(&mut self.command(arguments))
    }

    /// The platform's settings and these; a later one wins.
    fn plugin(&self, before: &[&str], settings: &[&str]) -> Run {
        let platform = [
            "domain_name=thinkube.test".to_owned(),
            format!("devpi_namespace={}", self.name),
            format!("devpi_dashboard_hostname={}.thinkube.test", self.name),
            format!("devpi_api_hostname={}-api.thinkube.test", self.name),
            "harbor_registry=registry.thinkube.test:5000".to_owned(),
            "keycloak_url=https://auth.thinkube.test".to_owned(),
            format!("oauth2_proxy_client_id={}", self.name),
        ];
        let component = devpi().to_str().expect("text");
        let mut arguments = [before, &[component, "--release", &self.name]].concat();
        for setting in platform.iter().map(String::as_str).chain(settings.iter().copied()) {
            arguments.extend(["--set", setting]);
        }
        self.run(&arguments)
    }

    fn apply(&self, settings: &[&str]) -> Run {
        self.plugin(&["apply", "--yes", "-o", "json"], settings)
    }

    fn kubectl(&self, arguments: &[&str]) -> Run {
        let mut kubectl = Command::new(self.cluster().kubectl());
        finish(kubectl.args(arguments).env("KUBECONFIG", self.cluster().kubeconfig()).stdin(Stdio::null()))
    }

    /// The value of a key of a Secret.
    fn secret(&self, name: &str, key: &str) -> String {
        let path = format!("jsonpath={{.data['{key}']}}");
        let value = self.kubectl(&["get", "secret", name, "-n", &self.name, "-o", &path]).ends_with(0).stdout;
        String::from_utf8(STANDARD.decode(value).expect("base64")).expect("text")
    }

    /// The ready-made image of the harness.
    fn ready_image(&self) -> String {
        format!("devpi_image={}", self.cluster().devpi_image().expect("a node has it"))
    }

    /// The status of a login of root.
    fn login(&self, password: &str) -> u16 {
        let body = json!({"user": "root", "password": password}).to_string();
        let url = format!("{}/+login", self.api());
        let headers = ["--header", "Content-Type: application/json", "--header", "Accept: application/json"];
        let arguments = [&headers[..], &["--data-binary", &body, &url]].concat();
        web::curl(self.cluster(), &arguments).expect("an answer").status
    }

    /// Every pod with its UID and restarts.
    fn pods(&self) -> BTreeSet<String> {
        let path = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[0].restartCount}{'\\n'}{end}";
        let listed = self.kubectl(&["get", "pods", "-n", &self.name, "-l", "app=devpi", "-o", path]);
        listed.ends_with(0).stdout.lines().map(str::to_owned).collect()
    }

    fn writes_since(&self, mark: u64) -> Vec<AuditEvent> {
        // The log is written after the answer.
        thread::sleep(Duration::from_millis(500));
        let events = self.cluster().audit_events(mark).expect("the audit log can be read");
        let ours = |event: &AuditEvent| {
            event.is_write()
                && event.user_agent.starts_with("thinkube-host")
                && [&event.uri, &event.namespace, &event.name].iter().any(|text| text.contains(&self.name))
        };
        events.into_iter().filter(ours).collect()
    }

    /// What is left of the release in its namespace, but for what the cluster puts into each.
    fn left(&self) -> Vec<String> {
        let kinds =
            "configmaps,secrets,services,persistentvolumeclaims,deployments,jobs,ingresses,httproutes,pods";
        let listed = self.kubectl(&["get", kinds, "-n", &self.name, "-o", "name"]).ends_with(0).stdout;
        listed.lines().filter(|line| !line.contains("kube-root-ca.crt")).map(str::to_owned).collect()
    }

    fn client(&self) -> Option<Value> {
        let answer = self.admin.call("GET", &format!("/clients?clientId={}", self.name), None).json();
        answer.get(0).cloned()
    }

    /// Asks the API every 100 ms.
    fn polled(&self) -> Polling {
        let (cluster, url) = (self.cluster().clone(), format!("{}/+api", self.api()));
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let told = std::sync::Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut asked, mut failed) = (0, Vec::new());
            while !told.load(Ordering::Relaxed) {
                asked += 1;
                match web::get(&cluster, &url) {
                    Ok(answer) if answer.status == 200 => {}
                    other => failed.push(format!("{other:?}")),
                }
                thread::sleep(Duration::from_millis(100));
            }
            (asked, failed)
        });
        Polling { stop, thread }
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        if let Some(client) = self.client() {
            let path = format!("/clients/{}", client["id"].as_str().unwrap_or_default());
            self.admin.call("DELETE", &path, None);
        }
        for namespace in [self.name.clone(), self.home()] {
            self.kubectl(&["delete", "namespace", &namespace, "--ignore-not-found", "--wait=false"]);
        }
    }
}

struct Polling {
    stop: std::sync::Arc<AtomicBool>,
    thread: JoinHandle<(u32, Vec<String>)>,
}

impl Polling {
    fn none_failed(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (asked, failed) = self.thread.join().expect("it ends");
        assert!(asked > 0 && failed.is_empty(), "{} of {asked} failed: {failed:?}", failed.len());
    }
}

/// A git repository with what the server's image is built of: the three pins, from PyPI.
fn repository(release: &Release) -> String {
    let source = release.path("source");
    fs::create_dir(&source).expect("writable");
    let base = release.cluster().python_archive().expect("a base image");
    let trusted =
        std::env::var_os("SSL_CERT_FILE").map_or("/etc/ssl/certs/ca-certificates.crt".into(), PathBuf::from);
    fs::copy(trusted, source.join("ca.crt")).expect("the machine has authorities");
    let entrypoint = thinkube_e2e::root().join("tests/cluster/images/devpi/entrypoint.sh");
    fs::copy(entrypoint, source.join("entrypoint.sh")).expect("it is there");
    let containerfile = format!(
        "FROM docker-archive:{}\nCOPY ca.crt /run/ca.crt\n\
         RUN pip install --no-cache-dir --cert /run/ca.crt \
         devpi-server==6.20.1 devpi-web==5.1.0 devpi-client==7.3.0 \
         && groupadd --gid 1000 devpi \
         && useradd --uid 1000 --gid 1000 --home-dir /data/devpi --no-create-home devpi\n\
         COPY --chmod=755 entrypoint.sh /entrypoint.sh\n\
         STOPSIGNAL SIGINT\nUSER 1000:1000\nENTRYPOINT [\"/entrypoint.sh\"]\n",
        base.display()
    );
    fs::write(source.join("Containerfile"), containerfile).expect("writable");
    build::git(&source, &["init", "--quiet", "--initial-branch=main"]);
    build::git(&source, &["add", "--all"]);
    build::git(&source, &["commit", "--quiet", "--message=The image"]);
    format!("file://{}", source.display())
}

/// pip, devpi and twine of PyPI in a virtual environment, which is kept for the next run.
fn clients() -> &'static Path {
    static CLIENTS: OnceLock<PathBuf> = OnceLock::new();
    CLIENTS.get_or_init(|| {
        let pins = ["devpi-client==7.3.0", "twine==6.2.0"];
        let folder = target().join("clients").join(pins.join("-"));
        if !folder.join("bin/twine").exists() {
            finish(Command::new("python3").args(["-m", "venv"]).arg(&folder)).ends_with(0);
            finish(Command::new(folder.join("bin/pip")).args(["install", "--quiet"]).args(pins)).ends_with(0);
        }
        folder.join("bin")
    })
}

/// A wheel of a package that exists nowhere else.
fn wheel(folder: &Path, package: &str) -> PathBuf {
    let script = "import sys, zipfile\n\
        folder, name = sys.argv[1:]\n\
        info = f'{name}-1.0.dist-info'\n\
        files = {f'{name}.py': 'WORD = \"private\"\\n',\n\
            f'{info}/METADATA': f'Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n',\n\
            f'{info}/WHEEL': 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n'}\n\
        files[f'{info}/RECORD'] = ''.join(f'{path},,\\n' for path in files)\n\
        with zipfile.ZipFile(f'{folder}/{name}-1.0-py3-none-any.whl', 'w') as wheel:\n\
        \x20   for path, text in files.items(): wheel.writestr(path, text)\n";
    finish(Command::new("python3").args(["-c", script]).arg(folder).arg(package)).ends_with(0);
    folder.join(format!("{package}-1.0-py3-none-any.whl"))
}

/// Looks at the arguments of every process of the machine until it is dropped.
struct Watch {
    stop: std::sync::Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<String>>>,
}

impl Watch {
    fn for_text(text: &str) -> Self {
        let (text, stop) = (text.to_owned(), std::sync::Arc::new(AtomicBool::new(false)));
        let told = std::sync::Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").expect("readable").flatten() {
                    let said = fs::read(process.path().join("cmdline")).unwrap_or_default();
                    let said = String::from_utf8_lossy(&said).into_owned();
                    if said.contains(&text) {
                        return Some(said);
                    }
                }
                thread::sleep(Duration::from_millis(5));
            }
            None
        });
        Self { stop, thread: Some(thread) }
    }

    fn saw_nothing(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.take().expect("it runs").join().expect("it ends");
        assert_eq!(seen, None, "a process has the password among its arguments");
    }
}

#[test]
fn devpi_is_built_installed_used_changed_and_taken_back() {
    if !build::can() {
        return;
    }
    let Some(release) = Release::new() else { return };
    let url = repository(&release);
    let git = format!("devpi_git_url={url}");
    let settings = [
        git.as_str(),
        "devpi_git_revision=main",
        "devpi_dockerfile=Containerfile",
        "oauth2_proxy_enabled=false",
    ];

    // W2, W3, W4: the password is searched in everything that is said, kept or run.
    let canary = release.password.clone();
    let watch = Watch::for_text(&canary);
    let mut said = Vec::new();

    let planned = release.plugin(&["plan", "--cluster"], &settings).ends_with(0);
    let applied = release.apply(&settings).ends_with(0);
    let reference =
        applied.json()["release"]["images"][0]["reference"].as_str().expect("a reference").to_owned();
    assert!(reference.starts_with("registry.thinkube.test:5000/library/devpi@sha256:"), "{reference}");
    let health = applied.json()["health"].clone();
    assert!(health.as_array().expect("a list").iter().all(|check| check["status"] == "passed"), "{health}");
    let component = devpi().to_str().expect("text");
    let checked = release.run(&["check", &release.name, "--tests", "--plugin", component]).ends_with(0);
    let status = release.run(&["status", &release.name]).ends_with(0);
    said.extend([planned, applied, checked, status]);

    // Real clients, by the names and the certificates of the platform.
    used_by_clients(&release);

    // W9, W10: a second run changes nothing, restarts nothing, interrupts nobody.
    release.kubectl(&["delete", "job", "devpi-init", "-n", &release.name]).ends_with(0);
    let (pods, mark) = (release.pods(), release.cluster().audit_offset().expect("a log"));
    let polling = release.polled();
    let again = release.apply(&settings).ends_with(0);
    polling.none_failed();
    assert_eq!(again.json()["changed"], false, "{}", again.stderr);
    assert!(!again.stderr.contains("building"), "{}", again.stderr);
    assert_eq!(release.writes_since(mark), []);
    assert_eq!(release.pods(), pods);

    // So does one that changes something else, but for the write that it takes.
    let dashboard = format!("devpi_dashboard_hostname={}-web.thinkube.test", release.name);
    let polling = release.polled();
    let changed = release.apply(&[&settings[..], &[&dashboard]].concat()).ends_with(0);
    polling.none_failed();
    assert_eq!(release.pods(), pods);
    said.extend([again, changed]);

    // The index is mended when somebody changes it, though nothing in the cluster differs.
    release.apply(&settings).ends_with(0);
    let index = format!("{}/root/stable", release.api());
    let bases = format!("{index}?no_projects=");
    let config = || {
        web::curl(release.cluster(), &["--header", "Accept: application/json", &bases])
            .expect("an answer")
            .json()
    };
    release.devpi_client(&["index", "root/stable", "bases="]).ends_with(0);
    assert_eq!(config()["result"]["bases"], json!([]));
    let mended = release.apply(&settings).ends_with(0);
    assert_eq!(config()["result"]["bases"], json!(["root/pypi"]));
    said.push(mended);

    // Consumers that follow no reference get the password in clear, once that is agreed to, and it is said nowhere.
    let in_clear = [&settings[..], &["devpi_password_in_clear=true"]].concat();
    let refused = release.apply(&in_clear).ends_with(4);
    assert!(refused.stderr.contains("secrets in clear into ConfigMap"), "{}", refused.stderr);
    let agreed =
        release.plugin(&["apply", "--yes", "-o", "json", "--grant-requested"], &in_clear).ends_with(0);
    let get = ["get", "configmap", "thinkube-service-config", "-n", &release.name, "-o", "json"];
    let discovery = release.kubectl(&get).ends_with(0).json();
    assert_eq!(discovery["data"]["DEVPI_PASSWORD"], canary);
    let service = discovery["data"]["service.yaml"].as_str().expect("text");
    assert!(service.contains(&format!("value: \"{canary}\"")), "{service}");
    let back = release.plugin(&["plan", "--cluster"], &settings).ends_with(0);
    assert!(back.stdout.contains("service.yaml"), "{}", back.stdout);
    said.extend([refused, agreed, back, release.apply(&settings).ends_with(0)]);
    watch.saw_nothing();

    // Day 2: another password, in the Secret and in the server, without a restart.
    let mut reset = release.command(&[
        "run",
        "reset-root-password",
        "--release",
        &release.name,
        "--plugin",
        component,
        "--yes",
    ]);
    finish(reset.env("ADMIN_PASSWORD", "another-7f3a")).ends_with(0);
    assert_eq!((release.login("another-7f3a"), release.login(&canary)), (200, 401));
    assert_eq!(release.secret("devpi-root", "password"), "another-7f3a");
    assert_eq!(release.pods(), pods);
    let refreshed =
        release.run(&["run", "refresh-image", "--release", &release.name, "--plugin", component, "--yes"]);
    refreshed.ends_with(0);
    assert_eq!(release.pods(), pods, "the same commit is the same image");
    release.apply(&settings).ends_with(0);

    // W3: in the Secret of root and nowhere else.
    let encoded = STANDARD.encode(&canary);
    let hides = |text: &str, what: &str| {
        assert!(!text.contains(&canary) && !text.contains(&encoded), "{what} holds the password");
    };
    for run in &said {
        hides(&run.stdout, "an output");
        hides(&run.stderr, "an output");
    }
    let kinds = "configmaps,services,persistentvolumeclaims,deployments,replicasets,pods,jobs,ingresses,leases,events";
    for namespace in [&release.name, &release.home()] {
        let objects = release.kubectl(&["get", kinds, "-n", namespace, "-o", "yaml"]).ends_with(0).stdout;
        hides(&objects, "an object");
    }
    let secrets = release.kubectl(&["get", "secrets", "-n", &release.name, "-o", "json"]).ends_with(0).json();
    for secret in secrets["items"].as_array().expect("a list") {
        if secret["metadata"]["name"] != "devpi-root" {
            hides(&secret.to_string(), "another Secret");
        }
    }
    assert_eq!(release.secret("devpi-root", "password"), canary);
    let logs = release.kubectl(&["logs", "deployment/devpi", "-n", &release.name]).ends_with(0).stdout;
    hides(&logs, "the server's log");
    let audited = release.cluster().audit_events(mark).expect("a log");
    hides(&format!("{audited:?}"), "the audit log");
    let left = finish(Command::new("grep").args(["-rlF", "-e", &canary]).arg(release.folder.path()));
    assert_eq!(left.stdout, "", "a temporary file holds the password");

    // W12: a removal that takes no data, and says what stays.
    let taken = release.run(&["uninstall", &release.name, "--yes"]).ends_with(0);
    assert!(taken.stdout.contains("devpi-data-pvc") && taken.stdout.contains("stays"), "{}", taken.stdout);
    assert_eq!(release.left(), ["persistentvolumeclaim/devpi-data-pvc"]);
    hides(&taken.stdout, "an output");

    // The packages are there again after the next install.
    release.apply(&settings).ends_with(0);
    let kept = web::get(release.cluster(), &format!("{index}/thinkube-sample/1.0")).expect("an answer");
    kept.with(200);
    let taken =
        release.run(&["uninstall", &release.name, "--yes", "--delete-data", "--delete-images"]).ends_with(0);
    assert!(taken.stdout.contains("is gone"), "{}", taken.stdout);
    release.kubectl(&["get", "namespace", &release.name]).ends_with(1);
}

impl Release {
    /// devpi of PyPI, logged in as root: it reads the password as a person would type it.
    fn devpi_client(&self, arguments: &[&str]) -> Run {
        let script = "devpi=$0; folder=$1; url=$2; shift 2; shift; \
            \"$devpi\" use --clientdir \"$folder\" \"$url\" >/dev/null && \
            \"$devpi\" login --clientdir \"$folder\" root >/dev/null && exec \"$devpi\" \"$@\" --clientdir \"$folder\"";
        let mut shell = self.cluster().command("sh");
        shell.args(["-c", script]).arg(clients().join("devpi")).arg(self.path("devpi-client"));
        shell.arg(format!("{}/root/stable", self.api())).arg("--").args(arguments);
        let password = self.path("typed");
        fs::write(&password, format!("{}\n", self.password)).expect("writable");
        let run = finish(shell.stdin(fs::File::open(&password).expect("it is there")));
        fs::remove_file(&password).expect("it is there");
        // Its token is as good as the password for ten hours.
        fs::remove_dir_all(self.path("devpi-client")).expect("it is there");
        run
    }
}

fn used_by_clients(release: &Release) {
    let (bin, api) = (clients(), release.api());
    let sample = wheel(release.folder.path(), "thinkube_sample");
    release.devpi_client(&["upload", sample.to_str().expect("text")]).ends_with(0);

    let twined = wheel(release.folder.path(), "thinkube_twined");
    let mut twine = release.cluster().command(bin.join("twine"));
    twine
        .args(["upload", "--non-interactive", "--repository-url", &format!("{api}/root/stable/")])
        .arg(&twined);
    twine.env("TWINE_USERNAME", "root").env("TWINE_PASSWORD", &release.password).stdin(Stdio::null());
    finish(&mut twine).ends_with(0);

    let site = release.path("site");
    let mut pip = release.cluster().command(bin.join("pip"));
    pip.args([
        "install",
        "--quiet",
        "--no-cache-dir",
        "--isolated",
        "--index-url",
        &format!("{api}/root/stable/+simple/"),
        "--target",
    ]);
    pip.arg(&site).args(["thinkube_sample", "thinkube_twined"]).stdin(Stdio::null());
    // This machine's own index must not answer instead.
    for variable in ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"] {
        pip.env_remove(variable);
    }
    pip.env("PIP_CERT", release.cluster().authority().expect("our own"));
    finish(&mut pip).ends_with(0);
    assert!(fs::read_to_string(site.join("thinkube_sample.py")).expect("installed").contains("private"));
    assert!(site.join("thinkube_twined.py").exists());

    // W7: who is not logged in reads and writes nothing.
    let refused = |arguments: &[&str]| {
        let json = ["--header", "Content-Type: application/json", "--header", "Accept: application/json"];
        web::curl(release.cluster(), &[&json[..], arguments].concat()).expect("an answer").status
    };
    let (user, index) = (format!("{api}/mallory"), format!("{api}/root/other"));
    assert_eq!(refused(&["--request", "PUT", "--data-binary", "{\"password\":\"x\"}", &user]), 403);
    assert_eq!(refused(&["--request", "PUT", "--data-binary", "{}", &index]), 403);
    let mut anonymous = release.cluster().command(bin.join("twine"));
    anonymous
        .args(["upload", "--non-interactive", "--repository-url", &format!("{api}/root/stable/")])
        .arg(&twined);
    anonymous.env("TWINE_USERNAME", "nobody").env("TWINE_PASSWORD", "nothing").stdin(Stdio::null());
    assert_ne!(finish(&mut anonymous).code, 0);
}

/// Without an image of the proxy its half of the sign-on is proven against Keycloak alone: what the proxy would be given works.
#[test]
fn the_planned_client_signs_people_in_and_the_dashboard_is_open_to_nobody_meanwhile() {
    let Some(release) = Release::new() else { return };
    let cluster = release.cluster();
    let Some(browser) = Browser::open(cluster) else { return };
    let image = release.ready_image();
    let redis = format!("oauth2_proxy_redis_image={}", cluster.valkey_image().expect("it is made"));
    let settings = [image.as_str(), redis.as_str(), "oauth2_proxy_image=registry.invalid/oauth2-proxy:1"];
    let applied = release.plugin(&["apply", "--yes", "-o", "json", "--no-wait"], &settings).ends_with(0);

    let client = release.client().expect("the client was made");
    let callback = format!("{}/oauth2/callback", release.dashboard());
    assert_eq!(client["redirectUris"], json!([callback]));
    let secret = release.secret("oauth2-proxy", "client-secret");
    assert_eq!(release.secret("oauth2-proxy", "client-id"), release.name);
    // W5: 32 bytes, this release's own.
    let cookie = release.secret("oauth2-proxy", "cookie-secret");
    assert_eq!(URL_SAFE_NO_PAD.decode(cookie.trim_end_matches('=')).expect("base64url").len(), 32);

    // RFC 7636, appendix B.
    let (verifier, challenge) =
        ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let keycloak = cluster.keycloak().expect("our own").expect("it is there");
    let protocol = format!("{}/realms/{}/protocol/openid-connect", keycloak.url, keycloak.realm);
    let login = |more: &str| {
        format!(
            "{protocol}/auth?response_type=code&scope=openid&state=st&client_id={}&redirect_uri={callback}{more}",
            release.name
        )
    };
    browser.go(&login(&format!("&code_challenge={challenge}&code_challenge_method=S256")));
    browser.fill("#username", &keycloak.user);
    browser.fill("#password", &keycloak.user_password);
    browser.click("#kc-login");
    let address = browser.arrives_at(&callback);
    let fields = [
        "grant_type=authorization_code".to_owned(),
        format!("client_id={}", release.name),
        format!("client_secret={secret}"),
        format!("redirect_uri={callback}"),
        format!("code={}", web::parameter(&address, "code")),
        format!("code_verifier={verifier}"),
    ];
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let url = format!("{protocol}/token");
    let tokens = web::curl(cluster, &[&[url.as_str()][..], &data(&fields)].concat())
        .expect("an answer")
        .with(200)
        .json();
    let claims = claims(&tokens["access_token"]);
    // oauth2-proxy demands itself in the audience.
    assert!(claims["aud"].to_string().contains(&release.name), "{claims}");
    assert_eq!(claims["preferred_username"], keycloak.user.as_str());
    // Without the proof that PKCE wants Keycloak gives no code.
    let refused = web::get(cluster, &login("")).expect("an answer");
    assert!(refused.header("location").is_some_and(|to| to.contains("error=invalid_request")), "{refused:?}");

    // W1: the proxy is not there, so nobody comes in.
    let closed = web::get(cluster, &format!("{}/", release.dashboard())).expect("an answer");
    assert!(closed.status >= 400, "{closed:?}");
    for text in [&applied.stdout, &applied.stderr] {
        assert!(!text.contains(&secret) && !text.contains(&cookie));
    }

    // W1: the same by the Gateway API, where the original lets everybody in.
    let gateway = [&settings[..], &["routing=gateway"]].concat();
    release.plugin(&["apply", "--yes", "--no-wait"], &gateway).ends_with(0);
    web::until(cluster, 200, &[&format!("{}/+api", release.api())]);
    let closed = web::until(cluster, 503, &[&format!("{}/", release.dashboard())]);
    assert!(!closed.body.contains("devpi"), "{closed:?}");
    assert!(release.left().iter().all(|left| !left.starts_with("ingress")), "{:?}", release.left());

    release.run(&["uninstall", &release.name, "--yes", "--delete-data"]).ends_with(0);
    assert!(release.client().is_none(), "W12: the original never takes its client away");
}

/// The whole of the sign-on, where somebody gives an image of the proxy: `cargo xtask e2e --oauth2-proxy-image FILE`.
#[test]
fn a_person_logs_in_to_the_dashboard_through_the_proxy() {
    let Some(release) = Release::new() else { return };
    let cluster = release.cluster();
    let Some(browser) = Browser::open(cluster) else { return };
    let Some(proxy) = cluster.oauth2_proxy_image().expect("it can be read") else {
        return skipped("no image of oauth2-proxy is given; its own half of the sign-on is left out");
    };
    let authority = fs::read(cluster.authority().expect("our own")).expect("readable");
    let ca = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca"},
        "data": {"ca.crt": STANDARD.encode(authority)}});
    release.corner.apply(ca).expect("applied");
    let settings = [
        release.ready_image(),
        format!("oauth2_proxy_image={proxy}"),
        format!("oauth2_proxy_redis_image={}", cluster.valkey_image().expect("it is made")),
        format!("keycloak_ca_secret={}/ca", release.corner.namespace()),
    ];
    let keycloak = cluster.keycloak().expect("our own").expect("it is there");
    for routing in ["routing=ingress", "routing=gateway"] {
        let settings: Vec<&str> = settings.iter().map(String::as_str).chain([routing]).collect();
        release.apply(&settings).ends_with(0);
        release
            .run(&["check", &release.name, "--tests", "--wait", "--plugin", devpi().to_str().expect("text")])
            .ends_with(0);
        browser.go(&format!("{}/", release.dashboard()));
        if routing == "routing=ingress" {
            browser.fill("#username", &keycloak.user);
            browser.fill("#password", &keycloak.user_password);
            browser.click("#kc-login");
        }
        browser.arrives_at(&release.dashboard());
        assert!(browser.text("body").contains("root/stable"), "{routing}");
    }
}

#[test]
fn what_devpi_depends_on_is_missed_before_anything_is_changed() {
    let Some(release) = Release::new() else { return };
    let image = release.ready_image();
    let none = || {
        release.kubectl(&[
            "get",
            "namespace",
            &release.name,
            &release.home(),
            "--ignore-not-found",
            "-o",
            "name",
        ])
    };
    for (setting, check, code) in [
        ("keycloak_realm=nowhere", "keycloak", 6),
        ("harbor_registry=auth.thinkube.test", "harbor", 6),
        ("tls_source_secret=default/nothing", "acme-certificates", 6),
        ("harbor_pull_secret=default/thinkube-test-tls", "registry-credentials", 6),
        ("gateway_name=nothing", "ingress", 6),
    ] {
        let error = release.apply(&[&image, "routing=gateway", setting]).ends_with(code).stderr;
        assert!(error.contains(check), "{setting}: {error}");
        assert_eq!(none().stdout, "", "{setting} has changed something");
    }
}
