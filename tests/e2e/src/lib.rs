//! What the tests of the whole host share: the program, the plugins, the cluster.
//!
//! Everything here panics instead of failing: a test that cannot be set up has failed.

pub mod browser;
pub mod build;
pub mod keycloak;
pub mod web;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use thinkube_test_cluster::skip;
use thinkube_test_cluster::{HOST_VARIABLE, is_built};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/e2e is two below the root")
        .to_owned()
}

/// Cargo's target folder, as an absolute path. The runner names an absolute one; another is relative to where cargo was
/// started, the root.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

fn cargo(arguments: &[&str]) {
    let mut cargo = thinkube_test_cluster::cargo(arguments);
    let status = cargo.env_remove("RUSTC_BOOTSTRAP").current_dir(root()).status().expect("cargo runs");
    assert!(status.success(), "cargo {arguments:?} failed");
}

/// The host's program: that of the run, or one that is built now.
pub fn host() -> &'static Path {
    static HOST: OnceLock<PathBuf> = OnceLock::new();
    HOST.get_or_init(|| {
        if let Some(built) = std::env::var_os(HOST_VARIABLE) {
            return PathBuf::from(built);
        }
        cargo(&["build", "--quiet", "--package", "thinkube-host"]);
        target().join("debug/thinkube-host")
    })
}

/// The component of the plugin whose crate is this folder of the workspace: that of the run, or one that the host builds now.
pub fn plugin(folder: &'static str) -> &'static Path {
    static BUILT: Mutex<BTreeMap<&str, &'static Path>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(folder).or_insert_with(|| {
        if !is_built(folder) {
            run(&["inspect", folder]).ends_with(0);
        }
        let name = folder.rsplit('/').next().unwrap_or(folder).replace('-', "_");
        Box::leak(target().join(format!("plugins/wasm32-wasip2/plugin/{name}.wasm")).into_boxed_path())
    })
}

/// The DevPI plugin's component.
pub fn devpi() -> &'static Path {
    plugin("plugin-devpi")
}

/// The component that misbehaves as its settings say.
pub fn hostile() -> &'static Path {
    static HOSTILE: OnceLock<PathBuf> = OnceLock::new();
    HOSTILE.get_or_init(|| {
        let component = target().join("plugins/wasm32-wasip2/plugin/hostile_plugin.wasm");
        if is_built("tests/hostile-plugin") {
            return component;
        }
        let folder = target().join("plugins");
        let folder = folder.to_str().expect("the target folder's path is text");
        let arguments =
            ["build", "--quiet", "--package", "hostile-plugin", "--profile", "plugin", "--target"];
        cargo(&[&arguments[..], &["wasm32-wasip2", "--target-dir", folder]].concat());
        component
    })
}

/// The Python plugin's component; made with componentize-py, which takes a while the first time.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let component = target().join("plugins/python_plugin.wasm");
        let status = Command::new("sh")
            .arg(root().join("tests/python-plugin/build.sh"))
            .arg(&component)
            .status()
            .expect("sh runs");
        assert!(status.success(), "the Python plugin cannot be built");
        component
    })
}

/// How a run of the host ended.
#[derive(Debug)]
pub struct Run {
    /// The exit code; 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said meanwhile.
    pub stderr: String,
}

impl Run {
    /// Its output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }

    /// The error that it reported as JSON on its last line of stderr.
    pub fn error(&self) -> Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }

    /// The message and the hint of the error that it reported as JSON.
    pub fn error_text(&self) -> String {
        let error = &self.error()["error"];
        let message = error["message"].as_str().expect("an error has a message");
        format!("{message}\n{}", error["hint"].as_str().unwrap_or_default())
    }

    /// The run itself if it ended with `code`.
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

/// A command of the host that sees no cluster and no secret, in the root of the workspace.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(host());
    command
        .current_dir(root())
        .args(arguments)
        .env("KUBECONFIG", "/nonexistent/kubeconfig")
        .env_remove("ADMIN_PASSWORD")
        // The runner's, for libtest: a plugin that is built with it is built anew.
        .env_remove("RUSTC_BOOTSTRAP")
        .env_remove("THINKUBE_STATE_NAMESPACE")
        .stdin(Stdio::null());
    command
}

/// Runs the host with no cluster.
pub fn run(arguments: &[&str]) -> Run {
    finish(&mut command(arguments))
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Run {
    use std::os::unix::process::ExitStatusExt;
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    let code = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
    Run { code: code.expect("it ended"), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Longer than anything takes that a test waits for, on a machine that also builds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Asks until the answer is there. Fails with the last reason why it is not.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let begin = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(last) => {
                assert!(begin.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}; the last was {last}")
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
}
