//! An inner cargo, started by a program that cargo runs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::Command;

/// The cargo that runs this program, or the one on PATH, in the environment of a shell.
///
/// Cargo sets variables of the package for a program that it runs. Build scripts depend on them, so an inner cargo that
/// inherits them rebuilds ring and every crate above it, and so does the next cargo without them.
pub fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    forget_package(&mut command);
    command
}

/// Removes cargo's variables of this program's package from a command.
pub fn forget_package(command: &mut Command) {
    forget(command, env::vars_os().map(|(name, _)| name));
}

fn forget(command: &mut Command, variables: impl IntoIterator<Item = OsString>) {
    for variable in variables.into_iter().filter(|variable| is_of_a_package(variable)) {
        command.env_remove(variable);
    }
}

/// Whether cargo sets this variable for a program that it runs: The Cargo Book, "Environment variables Cargo sets for crates".
fn is_of_a_package(variable: &OsStr) -> bool {
    const ONE: [&str; 8] = [
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_LINKS",
        "CARGO_MANIFEST_PATH",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        "OUT_DIR",
    ];
    let Some(name) = variable.to_str() else { return false };
    ONE.contains(&name) || ["CARGO_PKG_", "CARGO_BIN_EXE_"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_cargo_gets_no_variable_of_this_package() {
        // Cargo has set these for this very test.
        assert!(env::var_os("CARGO_PKG_NAME").is_some() && env::var_os("CARGO_MANIFEST_DIR").is_some());
        let command = cargo(["build"]);
        let removed: Vec<_> =
            command.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"]
        {
            assert!(removed.contains(&OsStr::new(name)), "{name} is kept");
        }
        assert!(!removed.contains(&OsStr::new("CARGO")) && !removed.contains(&OsStr::new("PATH")));
    }

    #[test]
    fn a_users_variables_for_cargo_are_kept() {
        let mut command = Command::new("cargo");
        let kept = [
            "CARGO",
            "CARGO_BUILD_JOBS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_HOME",
            "CARGO_INCREMENTAL",
            "CARGO_LOG",
            "CARGO_NET_OFFLINE",
            "CARGO_PROFILE_DEV_DEBUG",
            "CARGO_REGISTRIES_MY_INDEX",
            "CARGO_TARGET_DIR",
            "RUSTFLAGS",
            "RUSTUP_TOOLCHAIN",
        ];
        forget(&mut command, kept.map(OsString::from));
        assert_eq!(command.get_envs().count(), 0);
        forget(&mut command, ["CARGO_BIN_EXE_xtask", "CARGO_CRATE_NAME", "OUT_DIR"].map(OsString::from));
        assert_eq!(command.get_envs().count(), 3);
    }
}
