//! The real clients of a package index, and packages for them.

use crate::release::Devpi;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use thinkube_e2e::{Run, finish, virtual_environment};
use thinkube_test_cluster::Cluster;

/// The programs pip, devpi and twine.
pub(crate) fn clients() -> &'static Path {
    static CLIENTS: OnceLock<PathBuf> = OnceLock::new();
    CLIENTS.get_or_init(|| virtual_environment(&["devpi-client==7.3.0", "twine==6.2.0"]))
}

/// Runs a command at a terminal, as a person does, and types what it asks for. The typed text comes by stdin: every process of
/// the machine can read a command line.
const TERMINAL: &str = "import json, os, pty, sys\n\
    answers = json.load(sys.stdin)\n\
    child, terminal = pty.fork()\n\
    if not child: os.execvp(sys.argv[1], sys.argv[1:])\n\
    unanswered = b''\n\
    while True:\n\
    \x20   try: printed = os.read(terminal, 4096)\n\
    \x20   except OSError: break\n\
    \x20   if not printed: break\n\
    \x20   os.write(1, printed)\n\
    \x20   unanswered += printed\n\
    \x20   if answers and answers[0][0].encode() in unanswered:\n\
    \x20       os.write(terminal, answers.pop(0)[1].encode() + b'\\n')\n\
    \x20       unanswered = b''\n\
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n\
    sys.exit(f'it never asked for {answers[0][0]}' if answers else code)\n";

/// Runs a command of [`terminal`] and types the second text of each pair when the first one is asked for.
pub(crate) fn typed(command: &mut Command, answers: &[(&str, &str)]) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut terminal = command.spawn().expect("Python runs");
    let typed = serde_json::to_vec(&answers).expect("it is text");
    terminal.stdin.take().expect("it is piped").write_all(&typed).expect("it reads");
    let output = terminal.wait_with_output().expect("the process ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8").replace('\r', "");
    Run {
        code: output.status.code().expect("no signal ended it"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A terminal in the cluster's network with its names; the arguments that follow are what runs in it.
pub(crate) fn terminal(cluster: &Cluster) -> Command {
    let mut python = cluster.command("python3");
    python.args(["-c", TERMINAL]);
    python
}

/// Takes away what this machine says to pip, so that nothing but the test's own settings counts.
pub(crate) fn without_settings_of_pip(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PIP_") {
            command.env_remove(name);
        }
    }
    for name in ["XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_CACHE_HOME", "DEVPI_INDEX"] {
        command.env_remove(name);
    }
}

/// A wheel of a package that exists nowhere else.
pub(crate) fn wheel(folder: &Path, package: &str) -> PathBuf {
    wheel_with(folder, package, 0)
}

/// One with so many bytes that cannot be compressed.
pub(crate) fn wheel_with(folder: &Path, package: &str, bytes: usize) -> PathBuf {
    let script = "import os, sys, zipfile\n\
        folder, name, size = sys.argv[1:]\n\
        info = f'{name}-1.0.dist-info'\n\
        files = {f'{name}.py': 'WORD = \"private\"\\n', f'{name}.data/data/filler': os.urandom(int(size)),\n\
            f'{info}/METADATA': f'Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n',\n\
            f'{info}/WHEEL': 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n'}\n\
        files[f'{info}/RECORD'] = ''.join(f'{path},,\\n' for path in files)\n\
        with zipfile.ZipFile(f'{folder}/{name}-1.0-py3-none-any.whl', 'w') as wheel:\n\
        \x20   for path, text in files.items(): wheel.writestr(path, text)\n";
    let mut python = Command::new("python3");
    finish(python.args(["-c", script]).arg(folder).args([package, &bytes.to_string()])).ends_with(0);
    folder.join(format!("{package}-1.0-py3-none-any.whl"))
}

impl Devpi {
    /// devpi of PyPI, logged in as root: it reads the password as a person would type it.
    pub(crate) fn devpi_client(&self, arguments: &[&str]) -> Run {
        self.devpi_client_of("stable", arguments)
    }

    /// The same where the platform's index has another name.
    pub(crate) fn devpi_client_of(&self, index: &str, arguments: &[&str]) -> Run {
        let script = "devpi=$0; folder=$1; url=$2; shift 2; shift; \
            \"$devpi\" use --clientdir \"$folder\" \"$url\" >/dev/null && \
            \"$devpi\" login --clientdir \"$folder\" root >/dev/null && exec \"$devpi\" \"$@\" --clientdir \"$folder\"";
        let mut shell = self.cluster().command("sh");
        shell.args(["-c", script]).arg(clients().join("devpi")).arg(self.path("devpi-client"));
        shell.arg(format!("{}/root/{index}", self.api())).arg("--").args(arguments);
        let password = self.path("typed");
        fs::write(&password, format!("{}\n", self.password)).expect("the folder is writable");
        let run = finish(shell.stdin(fs::File::open(&password).expect("it exists")));
        fs::remove_file(&password).expect("it exists");
        // Its token is as good as the password for ten hours.
        fs::remove_dir_all(self.path("devpi-client")).expect("it exists");
        run
    }

    /// Uploads to the platform's index as root.
    pub(crate) fn upload(&self, file: &Path) {
        self.devpi_client(&["upload", file.to_str().expect("it is text")]).ends_with(0);
    }

    /// pip without a cache or any other setting, into a folder of its own, from an index by its path.
    pub(crate) fn pip_install(&self, index: &str, package: &str, folder: &str) -> Run {
        let mut pip = self.cluster().command(clients().join("pip"));
        without_settings_of_pip(&mut pip);
        pip.args(["install", "--quiet", "--isolated", "--no-cache-dir", "--no-deps", "--index-url"]);
        pip.arg(format!("{}/{index}/+simple/", self.api())).arg("--target").arg(self.path(folder));
        pip.arg(package)
            .env("PIP_CERT", self.cluster().authority().expect("the harness started the cluster"));
        finish(pip.stdin(Stdio::null()))
    }
}
