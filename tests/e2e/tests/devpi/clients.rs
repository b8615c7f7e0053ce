//! The real clients of a package index, and packages for them.

use crate::release::Release;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use thinkube_e2e::{Run, finish, target};

/// pip, devpi and twine of PyPI in a virtual environment, which is kept for the next run.
pub(crate) fn clients() -> &'static Path {
    static CLIENTS: OnceLock<PathBuf> = OnceLock::new();
    CLIENTS.get_or_init(|| {
        let pins = ["devpi-client==7.3.0", "twine==6.2.0"];
        let folder = target().join("clients").join(pins.join("-"));
        if !folder.join("bin/twine").exists() {
            finish(Command::new("python3").args(["-m", "venv"]).arg(&folder)).ends_with(0);
            finish(Command::new(folder.join("bin/pip")).args(["install", "--quiet"]).args(pins)).ends_with(0);
        }
        folder.join("bin")
    })
}

/// A wheel of a package that exists nowhere else.
pub(crate) fn wheel(folder: &Path, package: &str) -> PathBuf {
    let script = "import sys, zipfile\n\
        folder, name = sys.argv[1:]\n\
        info = f'{name}-1.0.dist-info'\n\
        files = {f'{name}.py': 'WORD = \"private\"\\n',\n\
            f'{info}/METADATA': f'Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n',\n\
            f'{info}/WHEEL': 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n'}\n\
        files[f'{info}/RECORD'] = ''.join(f'{path},,\\n' for path in files)\n\
        with zipfile.ZipFile(f'{folder}/{name}-1.0-py3-none-any.whl', 'w') as wheel:\n\
        \x20   for path, text in files.items(): wheel.writestr(path, text)\n";
    finish(Command::new("python3").args(["-c", script]).arg(folder).arg(package)).ends_with(0);
    folder.join(format!("{package}-1.0-py3-none-any.whl"))
}

impl Release {
    /// devpi of PyPI, logged in as root: it reads the password as a person would type it.
    pub(crate) fn devpi_client(&self, arguments: &[&str]) -> Run {
        let script = "devpi=$0; folder=$1; url=$2; shift 2; shift; \
            \"$devpi\" use --clientdir \"$folder\" \"$url\" >/dev/null && \
            \"$devpi\" login --clientdir \"$folder\" root >/dev/null && exec \"$devpi\" \"$@\" --clientdir \"$folder\"";
        let mut shell = self.cluster().command("sh");
        shell.args(["-c", script]).arg(clients().join("devpi")).arg(self.path("devpi-client"));
        shell.arg(format!("{}/root/stable", self.api())).arg("--").args(arguments);
        let password = self.path("typed");
        fs::write(&password, format!("{}\n", self.password)).expect("writable");
        let run = finish(shell.stdin(fs::File::open(&password).expect("it is there")));
        fs::remove_file(&password).expect("it is there");
        // Its token is as good as the password for ten hours.
        fs::remove_dir_all(self.path("devpi-client")).expect("it is there");
        run
    }
}
