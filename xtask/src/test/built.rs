//! Builds the test binaries, the host and the plugins, each once, before the first test runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use thinkube_test_cluster::{HOST_VARIABLE, PLUGINS_VARIABLE};

use super::run::Environment;
use super::suites::{Selection, Suite, of_messages};
use crate::command::{absolute_target, cargo, root, run, target};

/// The package of the host's program.
const HOST: &str = "thinkube-host";

/// The plugins of the tests, by their folders. The host builds each as it builds an operator's.
const PLUGINS: [&str; 5] = [
    "plugin-devpi",
    "tests/files-plugin",
    "tests/image-plugin",
    "tests/operations-plugin",
    "tests/sign-on-plugin",
];

/// A plugin that the host would refuse to build.
const HOSTILE: &str = "tests/hostile-plugin";

/// The packages whose tests run the host, and those whose tests load the hostile plugin.
const RUN_THE_HOST: [&str; 2] = ["thinkube-e2e", "xtask"];
const LOAD_THE_HOSTILE: [&str; 2] = ["thinkube-e2e", "thinkube-sandbox"];

/// Builds for the selected tests. Returns the test binaries and the environment variables with the paths of the rest.
pub(crate) fn build(selection: &Selection) -> anyhow::Result<(Vec<Suite>, Environment)> {
    let (suites, host) = binaries(selection)?;
    let mut environment = Environment::new();
    let mut plugins = Vec::new();
    let is_in = |packages: &[&str]| suites.iter().any(|suite| packages.contains(&suite.package.as_str()));
    if is_in(&RUN_THE_HOST) {
        let host = host.context("cargo built no program of the host")?;
        for plugin in PLUGINS {
            let mut inspect = Command::new(&host);
            inspect.current_dir(root()).envs(absolute_target());
            inspect.args(["inspect", plugin]).stdout(Stdio::null());
            run(&mut inspect)?;
            plugins.push(plugin);
        }
        environment.push((HOST_VARIABLE, host.into()));
    }
    if is_in(&LOAD_THE_HOSTILE) {
        run(cargo(["build", "--quiet", "--package", "hostile-plugin", "--profile", "plugin"])
            .args(["--target", "wasm32-wasip2", "--target-dir"])
            .arg(target().join("plugins")))?;
        plugins.push(HOSTILE);
    }
    environment.push((PLUGINS_VARIABLE, plugins.join(",").into()));
    Ok((suites, environment))
}

/// One call of cargo for the tests and the host: separate calls would select other features and build dependencies twice.
fn binaries(selection: &Selection) -> anyhow::Result<(Vec<Suite>, Option<PathBuf>)> {
    let mut build = cargo(["build", "--message-format=json-render-diagnostics", "--bins"]);
    build.args(selection.packages());
    if selection.package.iter().any(|package| RUN_THE_HOST.contains(&package.as_str())) {
        build.args(["--package", HOST]);
    }
    if selection.test.is_empty() {
        build.arg("--tests");
    }
    for test in &selection.test {
        build.args(["--test", test]);
    }
    let output = build.stderr(Stdio::inherit()).output().context("cargo cannot be run")?;
    if !output.status.success() {
        bail!("the tests cannot be built");
    }
    let text = String::from_utf8(output.stdout).context("cargo's messages")?;
    Ok((of_messages(&text, selection)?, program(&text, HOST)))
}

/// The program of this name among cargo's messages.
fn program(text: &str, name: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["reason"] == "compiler-artifact"
            && message["target"]["name"] == name
            && message["target"]["kind"][0] == "bin"
            && message["profile"]["test"] == false;
        is_it.then(|| message["executable"].as_str().map(|path| Path::new(path).to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_and_its_tests_are_not_taken_for_it() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"thinkube-host"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"thinkube-host"},"profile":{"test":true},"executable":"/w/deps/thinkube_host-1"}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"thinkube-host"},"profile":{"test":false},"executable":"/w/thinkube-host"}"#;
        assert_eq!(program(messages, HOST), Some("/w/thinkube-host".into()));
        assert_eq!(program(messages, "other"), None);
    }

    #[test]
    fn every_plugin_of_the_workspace_is_built_before_the_tests() {
        let workspace = std::fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
        let workspace: toml::Table = workspace.parse().expect("TOML");
        let members = workspace["workspace"]["members"].as_array().expect("a list");
        let mut plugins: Vec<_> = members
            .iter()
            .filter_map(toml::Value::as_str)
            .filter(|member| member.contains("plugin"))
            .collect();
        plugins.sort_unstable();
        let mut built = [&PLUGINS[..], &[HOSTILE]].concat();
        built.sort_unstable();
        assert_eq!(plugins, built);
    }
}
