//! The programs under test: the host and the plugins, built by the test runner or now.

use crate::host::run;
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use thinkube_test_cluster::{HOST_VARIABLE, is_built};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/e2e is two below the root")
        .to_owned()
}

/// Cargo's target folder, as an absolute path. A relative one is relative to the root.
pub fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

fn cargo(arguments: &[&str]) {
    let mut cargo = thinkube_test_cluster::cargo(arguments);
    let status = cargo.env_remove("RUSTC_BOOTSTRAP").current_dir(root()).status().expect("cargo starts");
    assert!(status.success(), "cargo {arguments:?} failed");
}

/// The host's program, built by the runner or now.
pub fn host() -> &'static Path {
    static HOST: OnceLock<PathBuf> = OnceLock::new();
    HOST.get_or_init(|| {
        if let Some(built) = env::var_os(HOST_VARIABLE) {
            return PathBuf::from(built);
        }
        cargo(&["build", "--quiet", "--package", "thinkube-host"]);
        target().join("debug/thinkube-host")
    })
}

/// The component of the plugin in this folder of the workspace, built by the runner or now by the host.
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

/// The component of the hostile plugin, which misbehaves as its settings say.
pub fn hostile() -> &'static Path {
    static HOSTILE: OnceLock<PathBuf> = OnceLock::new();
    HOSTILE.get_or_init(|| {
        let component = target().join("plugins/wasm32-wasip2/plugin/hostile_plugin.wasm");
        if is_built("tests/hostile-plugin") {
            return component;
        }
        let folder = target().join("plugins");
        let folder = folder.to_str().expect("the target folder's path is UTF-8");
        let arguments =
            ["build", "--quiet", "--package", "hostile-plugin", "--profile", "plugin", "--target"];
        cargo(&[&arguments[..], &["wasm32-wasip2", "--target-dir", folder]].concat());
        component
    })
}

/// The Python plugin's component, built with componentize-py.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let component = target().join("plugins/python_plugin.wasm");
        let status = Command::new("sh")
            .arg(root().join("tests/python-plugin/build.sh"))
            .arg(&component)
            .status()
            .expect("sh starts");
        assert!(status.success(), "the Python plugin cannot be built");
        component
    })
}
