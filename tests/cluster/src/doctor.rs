//! What a machine must have, found or missing, each thing with its purpose and the command that cures its lack.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::needs::{self, Need, Purpose, Way};
use crate::packages;
use crate::paths;
use crate::progress::{Report, step};

/// The target that plugins are built for.
const TARGET: &str = "wasm32-wasip2";

/// The Rust release that the workspace asks for (`rust-version` of its manifest).
const RUST: (u32, u32) = (1, 95);

/// The Python release that the tests' scripts and clients ask for.
const PYTHON: (u32, u32) = (3, 10);

const INSTALL_RUST: &str =
    "install rustup (https://rustup.rs); it fetches the release that rust-toolchain.toml names";

/// The version or the place of what is there, or what is missing.
type Found = std::result::Result<String, Need>;

/// A thing that the machine must have for some purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requirement {
    /// The thing.
    pub name: &'static str,
    /// What needs it.
    pub purpose: &'static str,
    /// The version or the place of what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What is wrong, and the cure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Need>,
}

impl Requirement {
    fn new(name: &'static str, purpose: &'static str, state: Found) -> Self {
        let (found, missing) = match state {
            Ok(found) => (Some(found), None),
            Err(need) => (None, Some(need)),
        };
        Self { name, purpose, found, missing }
    }
}

/// Everything that these purposes need of this machine. Nothing is changed.
pub fn examine(purposes: &[Purpose]) -> Result<Vec<Requirement>> {
    Machine::this().requirements(purposes)
}

/// Makes sure of everything that these purposes need: installs the Rust target by rustup, and Debian packages where this
/// is Debian and root asks. Fails at once, with every cure, where something is missing that only a person can give.
pub fn provide(purposes: &[Purpose], report: &mut Report<'_>) -> Result<()> {
    let machine = Machine::this();
    if purposes.contains(&Purpose::Node) {
        needs::load_modules(report);
    }
    let lacking = machine.lacking(purposes)?;
    if lacking.iter().any(|need| need.way == Way::Hand) {
        return Err(Error::NeedsFacts(lacking));
    }
    if lacking.iter().any(|need| need.way == Way::Rustup) {
        step(report, format!("rustup target add {TARGET}"));
        machine.add_target()?;
    }
    let packages: Vec<_> = lacking.iter().flat_map(|need| need.packages.iter().copied()).collect();
    packages::install(&packages, report)?;
    match machine.lacking(purposes)? {
        left if left.is_empty() => Ok(()),
        left => Err(Error::NeedsFacts(left)),
    }
}

/// Go builds the programs.
pub(crate) fn go() -> Result<()> {
    Machine::this().go().map(drop).map_err(|need| Error::NeedsFacts(vec![need]))
}

/// etcd is asked by curl.
pub(crate) fn curl() -> Result<()> {
    curl_found().map(drop).map_err(|need| Error::NeedsFacts(vec![need]))
}

/// Why this machine can have no node; `None` when it can.
pub fn no_node() -> Option<Need> {
    needs::no_node_because()
}

/// What is looked at, so that a test can give another machine than this one.
struct Machine {
    /// The user's PATH: programs that are started by name are found there.
    path: OsString,
    /// The compiler and cargo that the environment names.
    rustc: Option<OsString>,
    cargo: Option<OsString>,
    /// In MiB; the machine's, or what this process may use of it.
    memory: u64,
}

impl Machine {
    fn this() -> Self {
        Self {
            path: env::var_os("PATH").unwrap_or_default(),
            rustc: env::var_os("RUSTC"),
            cargo: env::var_os("CARGO"),
            memory: memory(),
        }
    }

    fn lacking(&self, purposes: &[Purpose]) -> Result<Vec<Need>> {
        let requirements = self.requirements(purposes)?;
        Ok(requirements.into_iter().filter_map(|requirement| requirement.missing).collect())
    }

    fn requirements(&self, purposes: &[Purpose]) -> Result<Vec<Requirement>> {
        let wanted = |purpose| purposes.contains(&purpose);
        let mut all = Vec::new();
        if wanted(Purpose::Rust) {
            all.push(Requirement::new("Rust", "builds everything", self.rust()));
            all.push(Requirement::new("Rust target", "plugins are built for it", self.target()));
        }
        if wanted(Purpose::Lints) {
            for (name, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
                all.push(Requirement::new(name, "`cargo xtask check`", self.component(name, subcommand)));
            }
        }
        if wanted(Purpose::Cluster) {
            all.push(Requirement::new("Go", "builds the cluster's programs", self.go()));
            all.push(Requirement::new("curl", "asks the cluster's servers", curl_found()));
            all.push(Requirement::new("memory", "builds, and all of the cluster", self.memory_for(purposes)));
            all.push(Requirement::new("disk", "programs, images and their sources", needs::disk()?));
        }
        if wanted(Purpose::Node) {
            all.push(Requirement::new("root", "a node that runs pods", needs::root()));
            all.push(Requirement::new("kernel", "a node that runs pods", needs::kernel_found()));
        }
        if wanted(Purpose::Sources) {
            all.push(Requirement::new("git", "images are built from repositories", self.git()));
        }
        if wanted(Purpose::Tests) {
            all.push(Requirement::new("Python", "clients of the tests", self.python()));
        }
        let programs = [
            (Purpose::Node, "programs of a node", "containers, networks and images"),
            (Purpose::Keycloak, "Java and Maven", "Keycloak"),
            (Purpose::Tests, "browser and podman", "tests of what a person sees"),
        ];
        for (of, name, purpose) in programs.into_iter().filter(|(of, _, _)| wanted(*of)) {
            all.push(Requirement::new(name, purpose, debian_programs(of)));
        }
        Ok(all)
    }

    fn rust(&self) -> Found {
        let cargo = self.cargo.clone().unwrap_or_else(|| "cargo".into());
        let (Some(said), Some(_)) = (self.rustc(&["--version"]), self.says(&cargo, &["--version"])) else {
            return Err(Need::new("Rust is missing: there is no rustc or no cargo that works", INSTALL_RUST));
        };
        let version = said.split_whitespace().nth(1).unwrap_or_default().to_owned();
        if release(&version) < RUST {
            let what = format!("Rust is {version}, and {}.{} or newer is needed", RUST.0, RUST.1);
            return Err(Need::new(what, "rustup update stable"));
        }
        Ok(version)
    }

    /// rustup may be told not to install by itself what rust-toolchain.toml names.
    fn target(&self) -> Found {
        let folder = self.rustc(&["--print", "target-libdir", "--target", TARGET]);
        if folder.is_some_and(|folder| Path::new(folder.trim()).is_dir()) {
            return Ok(TARGET.to_owned());
        }
        let what = format!("Rust has no standard library for {TARGET}");
        Err(match self.find("rustup".as_ref()) {
            Some(_) => Need::rustup(what, format!("rustup target add {TARGET}")),
            None => {
                Need::new(what, format!("install it as Rust was installed, or use rustup: {INSTALL_RUST}"))
            }
        })
    }

    fn add_target(&self) -> Result<()> {
        let rustup = self.find("rustup".as_ref()).unwrap_or_else(|| "rustup".into());
        crate::process::run(Command::new(rustup).args(["target", "add", TARGET]).env("PATH", &self.path))?;
        match self.target() {
            Ok(_) => Ok(()),
            Err(Need { what, cure, .. }) => {
                let what = format!(
                    "{what}, though `{cure}` has succeeded: rustc is not the one that rustup manages"
                );
                Err(Error::NeedsFacts(vec![Need::new(
                    what,
                    "put rustup's rustc first on PATH, or unset RUSTC",
                )]))
            }
        }
    }

    fn component(&self, name: &str, subcommand: &str) -> Found {
        let cargo = self.cargo.clone().unwrap_or_else(|| "cargo".into());
        self.says(&cargo, &[subcommand, "--version"])
            .map(|said| said.trim().to_owned())
            .ok_or_else(|| Need::new(format!("{name} is missing"), format!("rustup component add {name}")))
    }

    /// Go is there and new enough, or fetches a newer one by itself.
    fn go(&self) -> Found {
        let cure = "install Go 1.26 or newer (https://go.dev/doc/install; or any Go from 1.21 on that may fetch it by \
                    itself) and put its bin folder on PATH";
        let Some(said) = self.says("go".as_ref(), &["env", "GOVERSION", "GOTOOLCHAIN"]) else {
            let what = "the Go tool chain is missing: the cluster's programs are built from source";
            return Err(Need::new(what, cure));
        };
        match needs::go_lacks(&said) {
            None => Ok(said.lines().next().unwrap_or_default().trim_start_matches("go").to_owned()),
            Some(what) => Err(Need::new(what, cure)),
        }
    }

    fn git(&self) -> Found {
        match self.says("git".as_ref(), &["--version"]) {
            Some(said) => Ok(said.trim().trim_start_matches("git version ").to_owned()),
            None => Err(Need::packages("git is missing", &["git"])),
        }
    }

    fn python(&self) -> Found {
        let script = "import ensurepip, venv, platform; print(platform.python_version())";
        let Some(said) = self.says("python3".as_ref(), &["-c", script]) else {
            let what = "Python 3 is missing, or its modules venv and ensurepip are";
            return Err(Need::packages(what, &["python3", "python3-venv"]));
        };
        let version = said.trim().to_owned();
        if release(&version) < PYTHON {
            let what = format!("Python is {version}, and {}.{} or newer is needed", PYTHON.0, PYTHON.1);
            return Err(Need::new(what, "put a newer python3 first on PATH"));
        }
        Ok(version)
    }

    fn memory_for(&self, purposes: &[Purpose]) -> Found {
        /// In MiB: a cluster with everything 1200, its pods 600, a browser 700, and two compilers or linkers 1500 each. A
        /// machine of 6 GiB reports a little less than that.
        const WITH_A_NODE: u64 = 5400;
        const ALONE: u64 = 2600;
        let wanted = if purposes.contains(&Purpose::Node) { WITH_A_NODE } else { ALONE };
        if self.memory >= wanted {
            return Ok(format!("{} MiB", self.memory));
        }
        let what = format!("there are {} MiB of memory, and about {wanted} MiB are needed", self.memory);
        Err(Need::new(what, "use a larger machine; `cargo xtask test --no-cluster` needs less"))
    }

    fn rustc(&self, arguments: &[&str]) -> Option<String> {
        self.says(self.rustc.as_deref().unwrap_or("rustc".as_ref()), arguments)
    }

    /// What a program prints, if it is there and succeeds.
    fn says(&self, program: &OsStr, arguments: &[&str]) -> Option<String> {
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

fn curl_found() -> Found {
    paths::program("curl")
        .map(|path| path.display().to_string())
        .ok_or_else(|| Need::packages("curl is missing", &["curl"]))
}

fn debian_programs(purpose: Purpose) -> Found {
    let packages = needs::lacking_packages(&[purpose]);
    if packages.is_empty() {
        return Ok("all".to_owned());
    }
    Err(Need::packages(format!("programs of {} are missing", packages.join(", ")), &packages))
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
        let need = machine(&[]).0.rust().expect_err("no Rust");
        assert!(need.what.contains("Rust is missing") && need.cure.contains("rustup.rs"), "{need}");
        assert_eq!(need.way, Way::Hand);
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
        assert_eq!(without.target().expect_err("no target").way, Way::Hand);
        let (with, _folder) = machine(&[
            rustc,
            (
                "rustup",
                "test \"$*\" = 'target add wasm32-wasip2' && /bin/mkdir \"$(/usr/bin/dirname \"$0\")/lib\"",
            ),
        ]);
        let need = with.target().expect_err("no target");
        assert_eq!((need.way, need.cure.as_str()), (Way::Rustup, "rustup target add wasm32-wasip2"));
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
        assert!(empty.go().expect_err("no Go").cure.contains("go.dev"));
        assert!(empty.git().expect_err("no git").cure.contains("apt-get"));
        assert!(empty.python().expect_err("no Python").cure.contains("python3-venv"));
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
        assert_eq!(bare.component("clippy", "clippy").expect_err("none").cure, "rustup component add clippy");
    }

    #[test]
    fn a_node_needs_more_memory_than_a_control_plane() {
        let (mut machine, _folder) = machine(&[]);
        machine.memory = 4000;
        assert!(machine.memory_for(&[Purpose::Cluster]).is_ok());
        let need = machine.memory_for(&[Purpose::Cluster, Purpose::Node]).expect_err("too little");
        assert!(need.what.contains("4000 MiB"), "{need}");
        assert_eq!(of_meminfo("MemTotal:       25165824 kB\nMemFree: 1 kB\n"), 24_576);
        assert_eq!(of_meminfo("nothing"), 0);
    }

    #[test]
    fn only_what_a_purpose_needs_is_asked_for() {
        let (machine, _folder) = machine(&[]);
        let names = |purposes: &[Purpose]| -> Vec<&str> {
            let all = machine.requirements(purposes).expect("a list");
            all.iter().map(|requirement| requirement.name).collect()
        };
        assert_eq!(names(&[Purpose::Rust]), ["Rust", "Rust target"]);
        assert_eq!(names(&[Purpose::Sources]), ["git"]);
        assert_eq!(names(&Purpose::ALL).len(), 15);
    }
}
