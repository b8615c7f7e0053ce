//! A browser as a person has it, but without a screen: Chromium, driven by its WebDriver.

use crate::host::finish;
use crate::plugins::target;
use crate::wait::eventually;
use crate::web::{Answer, ask};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use tempfile::TempDir;
use thinkube_test_cluster::{Cluster, skip};

/// What WebDriver calls the reference of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long an element that a page is still building is waited for.
const ELEMENT_TIMEOUT_MS: u32 = 20_000;

/// A browser with an empty profile in the cluster's network namespace. It ends when this is dropped; when that is because
/// the test has failed, what it shows is kept in the target folder first.
#[derive(Debug)]
pub struct Browser {
    cluster: Cluster,
    driver: Child,
    /// As long as it is open the driver can write to it.
    _stdout: BufReader<ChildStdout>,
    _home: TempDir,
    session: String,
}

impl Browser {
    /// A browser that trusts the authority of the front doors. `None`, and printed, where there is no browser.
    pub fn open(cluster: &Cluster) -> Option<Self> {
        let home = home()?;
        let database = home.path().join(".pki/nssdb");
        fs::create_dir_all(&database).expect("a temporary folder can be made");
        let database = format!("sql:{}", database.display());
        let certutil = |arguments: &[&str]| {
            finish(Command::new("certutil").args(["-d", &database]).args(arguments)).ends_with(0);
        };
        certutil(&["-N", "--empty-password"]);
        let authority = cluster.authority().expect("the harness's own cluster");
        certutil(&["-A", "-t", "C,,", "-n", "thinkube", "-i", authority.to_str().expect("it is text")]);
        Some(Self::start(cluster, home))
    }

    /// A browser without the authority of the test domain.
    pub fn of_a_stranger(cluster: &Cluster) -> Option<Self> {
        Some(Self::start(cluster, home()?))
    }

    fn start(cluster: &Cluster, home: TempDir) -> Self {
        let mut driver = cluster.command("chromedriver");
        driver.arg("--port=0").env("HOME", home.path()).env("TMPDIR", home.path());
        for variable in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
            driver.env_remove(variable);
        }
        let log = fs::File::create(home.path().join("driver.log")).expect("the folder is writable");
        driver.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut driver = driver.spawn().expect("chromedriver starts");
        let mut printed = BufReader::new(driver.stdout.take().expect("it is piped"));
        let port = port(&mut printed);
        let mut browser = Self {
            cluster: cluster.clone(),
            driver,
            _stdout: printed,
            _home: home,
            session: format!("http://127.0.0.1:{port}/session"),
        };
        let session =
            browser.call("POST", "", Some(&capabilities())).unwrap_or_else(|error| panic!("{error}"));
        browser.session =
            format!("{}/{}", browser.session, session["sessionId"].as_str().expect("a session"));
        browser
    }

    /// Opens a page and waits until it is loaded. What the browser shows instead of a page is a page too.
    pub fn go(&self, url: &str) {
        let gone = self.call("POST", "/url", Some(&json!({ "url": url })));
        gone.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// What the address bar shows.
    pub fn address(&self) -> String {
        self.text_of(self.call("GET", "/url", None))
    }

    /// Waits until the address begins with this, and returns it.
    pub fn arrives_at(&self, url: &str) -> String {
        eventually(&format!("the browser at {url}"), || {
            let address = self.address();
            if address.starts_with(url) { Ok(address) } else { Err(address) }
        })
    }

    /// The title of the page.
    pub fn title(&self) -> String {
        self.text_of(self.call("GET", "/title", None))
    }

    /// What is to be read in an element, by its CSS selector.
    pub fn text(&self, selector: &str) -> String {
        self.text_of(self.call("GET", &format!("{}/text", self.element(selector)), None))
    }

    /// Waits until the page shows this text.
    pub fn shows(&self, text: &str) {
        eventually(&format!("`{text}` on the page"), || {
            let body = self.text("body");
            if body.contains(text) { Ok(()) } else { Err(body) }
        });
    }

    /// Types into a field.
    pub fn fill(&self, selector: &str, text: &str) {
        let path = format!("{}/value", self.element(selector));
        self.call("POST", &path, Some(&json!({ "text": text }))).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Clicks on an element.
    pub fn click(&self, selector: &str) {
        let path = format!("{}/click", self.element(selector));
        self.call("POST", &path, Some(&json!({}))).unwrap_or_else(|error| panic!("{error}"));
    }

    /// A cookie of the page's host with its attributes, as WebDriver describes it.
    pub fn cookie(&self, name: &str) -> Option<Value> {
        self.call("GET", &format!("/cookie/{name}"), None).ok()
    }

    /// Keeps a picture of what it shows in the target folder; returns the file.
    pub fn screenshot(&self, name: &str) -> PathBuf {
        let folder = target().join("screenshots");
        fs::create_dir_all(&folder).expect("the folder is writable");
        let file = folder.join(format!("{name}.png"));
        let picture = self.picture().expect("a picture");
        assert!(picture.starts_with(b"\x89PNG"), "WebDriver takes pictures as PNG");
        fs::write(&file, picture).expect("the folder is writable");
        file
    }

    fn picture(&self) -> Option<Vec<u8>> {
        let picture = self.call("GET", "/screenshot", None).ok()?;
        STANDARD.decode(picture.as_str()?).ok()
    }

    fn element(&self, selector: &str) -> String {
        let query = json!({ "using": "css selector", "value": selector });
        let found = self.call("POST", "/element", Some(&query));
        let found = found.unwrap_or_else(|error| panic!("{selector} at {}: {error}", self.address()));
        format!("/element/{}", found[ELEMENT].as_str().expect("a reference"))
    }

    fn text_of(&self, answer: Result<Value, String>) -> String {
        answer.unwrap_or_else(|error| panic!("{error}")).as_str().expect("it is text").to_owned()
    }

    /// WebDriver's answer, or the message of its error.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let mut curl = self.cluster.command("curl");
        curl.args(["--request", method]).arg(format!("{}{path}", self.session));
        if let Some(body) = body {
            curl.args(["--header", "Content-Type: application/json", "--data-binary", &body.to_string()]);
        }
        match ask(&mut curl) {
            Ok(answer @ Answer { status: 200, .. }) => Ok(answer.json()["value"].take()),
            Ok(answer) => Err(answer.json()["value"]["message"].as_str().unwrap_or(&answer.body).to_owned()),
            Err(run) => Err(run.stderr),
        }
    }

    /// Keeps what it shows beside what is kept of the test's namespace.
    fn describe(&self) {
        let test = thread::current().name().unwrap_or("a test").replace("::", "-");
        let folder = target().join("failed").join(test);
        let keep = |file: &str, content: &[u8]| {
            // The failure of the test has its own message.
            let _ = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(file), content));
        };
        if let Some(picture) = self.picture() {
            keep("browser.png", &picture);
        }
        let text =
            |path| self.call("GET", path, None).ok().and_then(|value| Some(value.as_str()?.to_owned()));
        let page = [text("/url"), text("/source")].map(Option::unwrap_or_default).join("\n");
        keep("browser.html", page.as_bytes());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if thread::panicking() {
            self.describe();
        }
        // The driver ends the browser with its session.
        let _ = self.call("DELETE", "", None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// A home of its own, where the programs are there.
fn home() -> Option<TempDir> {
    let there = |program: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    let missing: Vec<&str> =
        ["chromium", "chromedriver", "certutil"].into_iter().filter(|program| !there(program)).collect();
    if missing.is_empty() {
        return Some(tempfile::tempdir().expect("a temporary folder"));
    }
    skip(&format!("{} are missing; `cargo xtask test` installs them on Debian", missing.join(", ")));
    None
}

/// The port that the driver has chosen.
fn port(printed: &mut BufReader<ChildStdout>) -> u16 {
    let mut text = String::new();
    for line in printed.lines() {
        let line = line.expect("it is text");
        if let Some(port) =
            line.trim_end_matches('.').strip_prefix("ChromeDriver was started successfully on port ")
        {
            return port.parse().expect("a port");
        }
        text.push_str(&line);
    }
    panic!("chromedriver has ended: {text}")
}

fn capabilities() -> Value {
    let arguments = [
        "--headless",
        // It runs as root here, and shows pages of the tests alone.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--no-proxy-server",
        // It would ask its maker for news.
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ];
    json!({ "capabilities": { "alwaysMatch": {
        "acceptInsecureCerts": false,
        "timeouts": { "implicit": ELEMENT_TIMEOUT_MS, "pageLoad": 60_000 },
        "goog:chromeOptions": { "args": arguments }
    } } })
}
