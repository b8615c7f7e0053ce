//! Tools that must be on PATH before anything is built, and the memory that a build needs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::machine::requirements::Purpose;
use crate::paths;
use crate::process::run::run;
use crate::requirement::UnmetRequirement;

/// The target that plugins are built for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// The Rust release that the workspace asks for (`rust-version` of its manifest).
pub(crate) const RUST: (u32, u32) = (1, 95);

/// The Python release that the tests' scripts and clients ask for.
pub(crate) const PYTHON: (u32, u32) = (3, 10);

pub(crate) const INSTALL_RUST: &str =
    "install rustup (https://rustup.rs); it fetches the release that rust-toolchain.toml names";

/// The Go release that the pinned modules ask for.
const GO: (u32, u32) = (1, 26);

/// What is wrong with this Go, by its answer to `go env GOVERSION GOTOOLCHAIN`.
fn go_lacks(answer: &str) -> Option<String> {
    let (version, toolchain) = answer.trim().split_once('\n')?;
    let mut parts = version.trim_start_matches("go").split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or(0)
    });
    let has = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    // From 1.21 on Go fetches the release that a module asks for, unless it is told to stay as it is.
    let fetches = has >= (1, 21) && toolchain.trim() != "local";
    (has < GO && !fetches).then(|| format!("Go is {version} and the cluster's programs need go1.26"))
}

/// The version or path of what was found, or what is missing.
pub(crate) type CheckResult = std::result::Result<String, UnmetRequirement>;

/// Fails without Go, which builds the programs.
pub(crate) fn require_go() -> Result<()> {
    Machine::this().go().map(drop).map_err(|unmet| Error::Unmet(vec![unmet]))
}

/// Fails without curl, which sends the requests to etcd.
pub(crate) fn require_curl() -> Result<()> {
    curl_found().map(drop).map_err(|unmet| Error::Unmet(vec![unmet]))
}

/// The machine that is checked; a test gives another than this one.
pub(crate) struct Machine {
    /// The user's PATH.
    path: OsString,
    /// The compiler and cargo that the environment names.
    rustc: Option<OsString>,
    cargo: Option<OsString>,
    /// In MiB; a container's limit counts where it is lower.
    memory: u64,
}

impl Machine {
    pub(crate) fn this() -> Self {
        Self {
            path: env::var_os("PATH").unwrap_or_default(),
            rustc: env::var_os("RUSTC"),
            cargo: env::var_os("CARGO"),
            memory: memory(),
        }
    }

    /// One on which no program is found.
    #[cfg(test)]
    pub(crate) fn without_tools() -> Self {
        Self { path: OsString::new(), rustc: None, cargo: None, memory: 16_000 }
    }

    pub(crate) fn rust(&self) -> CheckResult {
        let cargo = self.cargo.clone().unwrap_or_else(|| "cargo".into());
        let (Some(output), Some(_)) = (self.rustc(&["--version"]), self.output_of(&cargo, &["--version"]))
        else {
            return Err(UnmetRequirement::new(
                "Rust is missing: there is no rustc or no cargo that works",
                INSTALL_RUST,
            ));
        };
        let version = output.split_whitespace().nth(1).unwrap_or_default().to_owned();
        if release(&version) < RUST {
            let what = format!("Rust is {version}, and {}.{} or newer is needed", RUST.0, RUST.1);
            return Err(UnmetRequirement::new(what, "rustup update stable"));
        }
        Ok(version)
    }

    /// rust-toolchain.toml names the target, but rustup may be configured not to install it.
    pub(crate) fn target(&self) -> CheckResult {
        let folder = self.rustc(&["--print", "target-libdir", "--target", TARGET]);
        if folder.is_some_and(|folder| Path::new(folder.trim()).is_dir()) {
            return Ok(TARGET.to_owned());
        }
        let what = format!("Rust has no standard library for {TARGET}");
        Err(match self.find("rustup".as_ref()) {
            Some(_) => UnmetRequirement::rustup(what, format!("rustup target add {TARGET}")),
            None => UnmetRequirement::new(
                what,
                format!("install it as Rust was installed, or use rustup: {INSTALL_RUST}"),
            ),
        })
    }

    pub(crate) fn add_target(&self) -> Result<()> {
        let rustup = self.find("rustup".as_ref()).unwrap_or_else(|| "rustup".into());
        run(Command::new(rustup).args(["target", "add", TARGET]).env("PATH", &self.path))?;
        match self.target() {
            Ok(_) => Ok(()),
            Err(UnmetRequirement { what, fix, .. }) => {
                let what =
                    format!("{what}, though `{fix}` has succeeded: rustc is not the one that rustup manages");
                Err(Error::Unmet(vec![UnmetRequirement::new(
                    what,
                    "put rustup's rustc first on PATH, or unset RUSTC",
                )]))
            }
        }
    }

    pub(crate) fn component(&self, name: &str, subcommand: &str) -> CheckResult {
        let cargo = self.cargo.clone().unwrap_or_else(|| "cargo".into());
        self.output_of(&cargo, &[subcommand, "--version"]).map(|output| output.trim().to_owned()).ok_or_else(
            || UnmetRequirement::new(format!("{name} is missing"), format!("rustup component add {name}")),
        )
    }

    /// A Go that is new enough, or that may fetch a newer one.
    pub(crate) fn go(&self) -> CheckResult {
        let fix = "install Go 1.26 or newer (https://go.dev/doc/install; or any Go from 1.21 on that may fetch it by \
                    itself) and put its bin folder on PATH";
        let Some(output) = self.output_of("go".as_ref(), &["env", "GOVERSION", "GOTOOLCHAIN"]) else {
            let what = "the Go tool chain is missing: the cluster's programs are built from source";
            return Err(UnmetRequirement::new(what, fix));
        };
        match go_lacks(&output) {
            None => Ok(output.lines().next().unwrap_or_default().trim_start_matches("go").to_owned()),
            Some(what) => Err(UnmetRequirement::new(what, fix)),
        }
    }

    pub(crate) fn git(&self) -> CheckResult {
        match self.output_of("git".as_ref(), &["--version"]) {
            Some(output) => Ok(output.trim().trim_start_matches("git version ").to_owned()),
            None => Err(UnmetRequirement::packages("git is missing", &["git"])),
        }
    }

    pub(crate) fn python(&self) -> CheckResult {
        let script = "import ensurepip, venv, platform; print(platform.python_version())";
        let Some(output) = self.output_of("python3".as_ref(), &["-c", script]) else {
            let what = "Python 3 is missing, or its modules venv and ensurepip are";
            return Err(UnmetRequirement::packages(what, &["python3", "python3-venv"]));
        };
        let version = output.trim().to_owned();
        if release(&version) < PYTHON {
            let what = format!("Python is {version}, and {}.{} or newer is needed", PYTHON.0, PYTHON.1);
            return Err(UnmetRequirement::new(what, "put a newer python3 first on PATH"));
        }
        Ok(version)
    }

    pub(crate) fn memory_for(&self, purposes: &[Purpose]) -> CheckResult {
        /// In MiB: a cluster with everything 1200, its pods 600, a browser 700, and two compilers or linkers 1500 each. A
        /// machine of 6 GiB reports a little less than that.
        const WITH_A_NODE: u64 = 5400;
        const ALONE: u64 = 2600;
        let wanted = if purposes.contains(&Purpose::Node) { WITH_A_NODE } else { ALONE };
        if self.memory >= wanted {
            return Ok(format!("{} MiB", self.memory));
        }
        let what = format!("there are {} MiB of memory, and about {wanted} MiB are needed", self.memory);
        Err(UnmetRequirement::new(what, "use a larger machine; `cargo xtask test --no-cluster` needs less"))
    }

    fn rustc(&self, arguments: &[&str]) -> Option<String> {
        self.output_of(self.rustc.as_deref().unwrap_or("rustc".as_ref()), arguments)
    }

    /// What a program prints; `None` without the program or when it fails.
    fn output_of(&self, program: &OsStr, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new(self.find(program)?);
        let output = command.args(arguments).env("PATH", &self.path).stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn find(&self, program: &OsStr) -> Option<PathBuf> {
        if Path::new(program).is_absolute() {
            return Some(program.into());
        }
        env::split_paths(&self.path).map(|folder| folder.join(program)).find(|path| path.is_file())
    }
}

/// The first two numbers of a version.
fn release(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

pub(crate) fn curl_found() -> CheckResult {
    paths::program("curl")
        .map(|path| path.display().to_string())
        .ok_or_else(|| UnmetRequirement::packages("curl is missing", &["curl"]))
}

/// In MiB. A container's limit counts where it is below what the machine has.
fn memory() -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let machine = of_meminfo(&read("/proc/meminfo"));
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .filter_map(|file| read(file).trim().parse::<u64>().ok())
        .map(|bytes| bytes / (1024 * 1024))
        .fold(machine, u64::min)
}

fn of_meminfo(text: &str) -> u64 {
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = total.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirement::FixedBy;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    /// A machine whose PATH has these programs, each a shell script.
    fn machine(programs: &[(&str, &str)]) -> (Machine, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, script) in programs {
            let file = folder.path().join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("writable");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("ours");
        }
        let machine = Machine { path: folder.path().into(), rustc: None, cargo: None, memory: 16_000 };
        (machine, folder)
    }

    const CARGO: (&str, &str) = ("cargo", "echo cargo 1.95.0");

    #[test]
    fn a_machine_without_rust_is_told_of_rustup() {
        let unmet = machine(&[]).0.rust().expect_err("no Rust");
        assert!(unmet.what.contains("Rust is missing") && unmet.fix.contains("rustup.rs"), "{unmet}");
        assert_eq!(unmet.fixed_by, FixedBy::Hand);
        let (with, _folder) = machine(&[("rustc", "echo rustc 1.95.0"), CARGO]);
        assert_eq!(with.rust(), Ok("1.95.0".to_owned()));
    }

    #[test]
    fn an_old_rust_and_a_rustc_without_cargo_are_refused() {
        let (old, _folder) = machine(&[("rustc", "echo rustc 1.89.1"), CARGO]);
        assert!(old.rust().expect_err("too old").what.contains("1.89.1"));
        let (alone, _folder) = machine(&[("rustc", "echo rustc 1.95.0")]);
        assert!(alone.rust().is_err());
    }

    #[test]
    fn a_missing_target_is_added_by_rustup_where_rustup_is_there() {
        let rustc = ("rustc", "echo \"$(/usr/bin/dirname \"$0\")/lib\"");
        let (without, _folder) = machine(&[rustc]);
        assert_eq!(without.target().expect_err("no target").fixed_by, FixedBy::Hand);
        let (with, _folder) = machine(&[
            rustc,
            (
                "rustup",
                "test \"$*\" = 'target add wasm32-wasip2' && /bin/mkdir \"$(/usr/bin/dirname \"$0\")/lib\"",
            ),
        ]);
        let unmet = with.target().expect_err("no target");
        assert_eq!(
            (unmet.fixed_by, unmet.fix.as_str()),
            (FixedBy::Rustup, "rustup target add wasm32-wasip2")
        );
        with.add_target().expect("rustup adds it");
        assert_eq!(with.target(), Ok(TARGET.to_owned()));
    }

    #[test]
    fn a_rustup_that_fails_or_changes_another_rust_is_told() {
        let rustc = ("rustc", "echo /nonexistent");
        let (fails, _folder) = machine(&[rustc, ("rustup", "echo no network >&2; exit 1")]);
        assert!(fails.add_target().expect_err("it fails").to_string().contains("no network"));
        let (other, _folder) = machine(&[rustc, ("rustup", "exit 0")]);
        assert!(other.add_target().expect_err("another").to_string().contains("first on PATH"));
    }

    #[test]
    fn go_git_and_python_are_named_when_they_are_missing_or_old() {
        let (empty, _folder) = machine(&[]);
        assert!(empty.go().expect_err("no Go").fix.contains("go.dev"));
        assert!(empty.git().expect_err("no git").fix.contains("apt-get"));
        assert!(empty.python().expect_err("no Python").fix.contains("python3-venv"));
        let (old, _folder) = machine(&[
            ("go", "printf 'go1.20\\nlocal\\n'"),
            ("git", "echo git version 2.39.5"),
            ("python3", "echo 3.9.2"),
        ]);
        assert!(old.go().expect_err("old").what.contains("go1.20"));
        assert_eq!(old.git(), Ok("2.39.5".to_owned()));
        assert!(old.python().expect_err("old").what.contains("3.9.2"));
    }

    #[test]
    fn a_python_without_venv_and_cargo_without_clippy_are_missing() {
        let (bare, _folder) = machine(&[("python3", "exit 1"), ("cargo", "exit 101")]);
        assert!(bare.python().is_err());
        assert_eq!(bare.component("clippy", "clippy").expect_err("none").fix, "rustup component add clippy");
    }

    #[test]
    fn a_node_needs_more_memory_than_a_control_plane() {
        let (mut machine, _folder) = machine(&[]);
        machine.memory = 4000;
        assert!(machine.memory_for(&[Purpose::Cluster]).is_ok());
        let unmet = machine.memory_for(&[Purpose::Cluster, Purpose::Node]).expect_err("too little");
        assert!(unmet.what.contains("4000 MiB"), "{unmet}");
        assert_eq!(of_meminfo("MemTotal:       25165824 kB\nMemFree: 1 kB\n"), 24_576);
        assert_eq!(of_meminfo("nothing"), 0);
    }

    #[test]
    fn an_old_go_that_may_not_fetch_a_newer_one_is_refused() {
        assert!(go_lacks("go1.24.1\nlocal\n").is_some());
        assert!(go_lacks("go1.19\nauto\n").is_some());
        assert!(go_lacks("go1.24.1\nauto\n").is_none());
        assert!(go_lacks("go1.26\nlocal\n").is_none());
        assert!(go_lacks("go1.26.8\nlocal\n").is_none());
        assert!(go_lacks("go1.27rc1\nlocal\n").is_none());
    }
}
