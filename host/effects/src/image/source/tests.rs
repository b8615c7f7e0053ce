//! Repositories behind HTTPS, with git as client and as server.

use super::error::SourceError;
use super::{fetch, resolve};
use crate::http::client::HttpOptions;
use crate::image::build_dir::BuildDir;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use thinkube_plan::{GitSource, ImageSource, ImageStep};

/// git's own HTTP backend, behind Python's web server.
const SERVER: &str = r#"
import http.server, os, ssl, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        path, _, query = self.path.partition('?')
        if path.startswith('/moved/'):
            self.send_response(302)
            self.send_header('Location', self.path[len('/moved'):])
            self.send_header('Content-Length', '0')
            return self.end_headers()
        if path.startswith('/private/'):
            self.send_response(401)
            self.send_header('WWW-Authenticate', 'Basic realm="x"')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        length = int(self.headers.get('Content-Length') or 0)
        environment = dict(os.environ, GIT_PROJECT_ROOT=sys.argv[1], GIT_HTTP_EXPORT_ALL='1', PATH_INFO=path,
            QUERY_STRING=query, REQUEST_METHOD=self.command, CONTENT_LENGTH=str(length), REMOTE_ADDR='127.0.0.1',
            CONTENT_TYPE=self.headers.get('Content-Type', ''), GIT_PROTOCOL=self.headers.get('Git-Protocol', ''),
            HTTP_CONTENT_ENCODING=self.headers.get('Content-Encoding', ''))
        reply = subprocess.run(['git', 'http-backend'], input=self.rfile.read(length), env=environment,
            capture_output=True).stdout
        head, _, body = reply.partition(b'\r\n\r\n')
        lines = [line.split(': ', 1) for line in head.decode().split('\r\n')]
        status = [value.split()[0] for name, value in lines if name == 'Status']
        self.send_response(int(status[0]) if status else 200)
        for name, value in lines:
            if name not in ('Status', 'Content-Length'):
                self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

struct Web {
    server: Child,
    folder: TempDir,
    port: String,
}

impl Web {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let own = rcgen::generate_simple_self_signed(["localhost", "git.thinkube.test"].map(str::to_owned))
            .expect("a certificate");
        let pair = folder.path().join("pair.pem");
        fs::write(&pair, own.signing_key.serialize_pem() + &own.cert.pem()).expect("writable");
        fs::write(folder.path().join("ca.crt"), own.cert.pem()).expect("writable");
        let mut server = Command::new("python3")
            .args(["-c", SERVER])
            .arg(folder.path())
            .arg(pair)
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs");
        let mut port = String::new();
        let reply = server.stdout.take().expect("stdout is piped");
        BufReader::new(reply).read_line(&mut port).expect("the server prints its port");
        Self { server, folder, port: port.trim().to_owned() }
    }

    fn options(&self) -> HttpOptions {
        HttpOptions { ca_file: Some(self.folder.path().join("ca.crt")), ..HttpOptions::default() }
    }

    fn step(&self, path: &str, revision: &str) -> ImageStep {
        let url = format!("https://localhost:{}/{path}", self.port);
        ImageStep {
            name: "devpi".into(),
            source: ImageSource::Git(GitSource { url, revision: revision.into() }),
            dockerfile: "Dockerfile".into(),
            context: ".".into(),
            destination: "registry.example.org/library/devpi:1".into(),
            push_credentials: None,
        }
    }

    /// A repository with two commits. Returns them.
    fn repository(&self, name: &str) -> [String; 2] {
        let folder = self.folder.path().join(name);
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=Test", "-c", "user.email=test@example.org"]);
            let output = git.env("HOME", self.folder.path()).args(arguments).current_dir(&folder).output();
            let output = output.expect("git runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text").trim().to_owned()
        };
        fs::create_dir(&folder).expect("writable");
        git(&["init", "--quiet", "--initial-branch=main"]);
        ["first", "second"].map(|content| {
            fs::write(folder.join("Dockerfile"), content).expect("writable");
            git(&["add", "--all"]);
            git(&["commit", "--quiet", "--message=x"]);
            git(&["rev-parse", "HEAD"])
        })
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

async fn build_dir(options: &HttpOptions) -> BuildDir {
    BuildDir::open(options).await.unwrap_or_else(|error| panic!("{error}"))
}

fn is_refused<T>(result: Result<T, SourceError>) {
    match result {
        Err(SourceError::Git { .. }) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("git succeeded"),
    }
}

#[tokio::test]
async fn one_commit_is_fetched_by_its_hash_even_if_its_branch_moved() {
    let web = Web::start();
    let [first, second] = web.repository("devpi.git");
    let build_dir = build_dir(&web.options()).await;
    let step = web.step("devpi.git", "main");
    let commit = resolve(&step, &build_dir).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(commit.id(), second);
    let old = resolve(&web.step("devpi.git", &first), &build_dir).await.expect("a commit");
    let checkout = fetch(&step, &old, &build_dir, &|_| ()).await;
    let checkout = checkout.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fs::read_to_string(checkout.dockerfile).expect("the source is readable"), "first");
    let files: Vec<_> = fs::read_dir(checkout.context).expect("the source is readable").flatten().collect();
    assert_eq!(files.len(), 1, "nothing of git's own is in the context");
    let mut commits = Command::new("git");
    commits.arg("--git-dir").arg(build_dir.path("git")).args(["rev-list", "--count", "HEAD"]);
    assert_eq!(commits.output().expect("git runs").stdout, b"1\n");
}

#[tokio::test]
async fn an_untrusted_redirecting_or_private_server_is_refused() {
    let web = Web::start();
    let [first, _] = web.repository("devpi.git");
    let distrusting = build_dir(&HttpOptions::default()).await;
    is_refused(resolve(&web.step("devpi.git", "main"), &distrusting).await);

    for path in ["moved/devpi.git", "private/devpi.git", "gone.git"] {
        let (step, build_dir) = (web.step(path, "main"), build_dir(&web.options()).await);
        is_refused(resolve(&step, &build_dir).await);
        let commit = resolve(&web.step(path, &first), &build_dir).await.expect("a commit");
        is_refused(fetch(&step, &commit, &build_dir, &|_| ()).await);
    }
}

#[tokio::test]
async fn the_configuration_of_the_operators_git_does_not_count() {
    let web = Web::start();
    let [_, second] = web.repository("devpi.git");
    let build_dir = build_dir(&web.options()).await;
    // Everything that git may read in place of the operator's configuration is here.
    let home = build_dir.create_dir("home").expect("writable");
    let hooks = home.join("hooks");
    fs::create_dir(&hooks).expect("writable");
    for hook in ["post-checkout", "reference-transaction"] {
        script(&hooks.join(hook), &home.join("ran"));
    }
    script(&home.join("helper"), &home.join("ran"));
    let settings = format!(
        "[core]\n\thooksPath = {hooks}\n\tfsmonitor = {helper}\n[credential]\n\thelper = {helper}\n",
        hooks = hooks.display(),
        helper = home.join("helper").display()
    );
    fs::write(home.join(".gitconfig"), settings).expect("writable");
    let step = web.step("devpi.git", &second);
    let commit = resolve(&step, &build_dir).await.expect("a commit");
    fetch(&step, &commit, &build_dir, &|_| ()).await.unwrap_or_else(|error| panic!("{error}"));
    is_refused(resolve(&web.step("private/devpi.git", "main"), &build_dir).await);
    assert!(!home.join("ran").exists());
}

#[tokio::test]
async fn git_uses_the_addresses_of_the_options() {
    let web = Web::start();
    let [_, second] = web.repository("devpi.git");
    let named = |name: &str| {
        let step = web.step("devpi.git", "main");
        let ImageSource::Git(git) = &step.source else { panic!("the source is git") };
        let url = git.url.replace("localhost", name);
        ImageStep { source: ImageSource::Git(GitSource { url, ..git.clone() }), ..step }
    };
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    let names = ["git.thinkube.test", "other.thinkube.test"].map(|name| (name.to_owned(), address));
    let build_dir = build_dir(&HttpOptions { resolve: names.into(), ..web.options() }).await;
    let step = named("git.thinkube.test");
    let commit = resolve(&step, &build_dir).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(commit.id(), second);
    fetch(&step, &commit, &build_dir, &|_| ()).await.unwrap_or_else(|error| panic!("{error}"));
    // The certificate must be for the name; the second name is not in the options.
    is_refused(resolve(&named("other.thinkube.test"), &build_dir).await);
    is_refused(resolve(&named("nowhere.thinkube.test"), &build_dir).await);
}

fn script(path: &Path, says: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, format!("#!/bin/sh\ntouch {}\n", says.display())).expect("writable");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
}
