//! Runs other programs. An error names the program and its arguments.

use anyhow::{Context as _, bail};
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Into::into)
}

/// Cargo's variable for a target folder that is not the workspace's own.
const TARGET_VARIABLE: &str = "CARGO_TARGET_DIR";

/// Cargo's target folder, as an absolute path.
pub(crate) fn target() -> PathBuf {
    absolute_target().map_or_else(|| root().join("target"), |(_, folder)| folder.into())
}

/// The target folder that the environment names, as an absolute path: a program in another folder would resolve a
/// relative one differently.
pub(crate) fn absolute_target() -> Option<(&'static str, OsString)> {
    let folder = std::env::var_os(TARGET_VARIABLE).filter(|folder| !folder.is_empty())?;
    Some((TARGET_VARIABLE, absolute(folder)))
}

fn absolute(folder: OsString) -> OsString {
    std::path::absolute(&folder).map_or(folder, PathBuf::into_os_string)
}

/// Prints progress for a person.
pub(crate) fn say(text: &str) {
    // A closed standard error is not a failure.
    let _ = writeln!(std::io::stderr().lock(), "\n==> {text}");
}

/// The cargo that runs this xtask, in the root of the workspace.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = thinkube_test_cluster::cargo(arguments);
    command.current_dir(root()).envs(absolute_target());
    command
}

/// Runs `command` to its end with inherited output.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{:?}", command.get_program()).replace('"', "");
    let arguments: Vec<_> =
        command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let status = command.status().with_context(|| format!("{shown} cannot be run"))?;
    if !status.success() {
        bail!("{shown} {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn the_target_folder_is_the_same_wherever_a_program_runs() {
        assert!(target().is_absolute());
        let here = std::env::current_dir().expect("a folder");
        assert_eq!(absolute("other".into()), here.join("other"));
        assert_eq!(absolute("/some/where".into()), "/some/where");
    }

    /// The features that each crate has when a package of the workspace is built, by the crate's name and version.
    fn features(package: &str) -> BTreeMap<String, BTreeSet<String>> {
        let tree = ["tree", "--locked", "--package", package, "--edges", "normal", "--prefix", "none"];
        let output = cargo(tree).args(["--format", "{p}|{f}"]).output().expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut found = BTreeMap::<String, BTreeSet<String>>::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let line = line.trim_end_matches(" (*)").replace(" (proc-macro)", "");
            if let Some((name, features)) = line.split_once('|') {
                found.entry(name.to_owned()).or_default().insert(features.to_owned());
            }
        }
        found
    }

    #[test]
    fn xtask_asks_for_the_features_that_the_host_has() {
        let (xtask, host) = (features("xtask"), features("thinkube-host"));
        let shared: Vec<_> = xtask.iter().filter(|(name, _)| host.contains_key(*name)).collect();
        assert!(shared.len() > 40, "{shared:?}");
        let differ: Vec<_> =
            shared.into_iter().filter(|(name, features)| !features.is_subset(&host[*name])).collect();
        assert!(differ.is_empty(), "state these features in xtask/Cargo.toml: {differ:#?}");
    }
}
