//! Clients from PyPI.

use crate::host::finish;
use crate::plugins::target;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A virtual environment in the target folder with these packages of PyPI, kept for the next run. Returns its `bin`.
pub fn virtual_environment(pins: &[&str]) -> PathBuf {
    let folder = target().join("clients").join(pins.join("-"));
    let complete = folder.join("complete");
    if !complete.exists() {
        finish(Command::new("python3").args(["-m", "venv"]).arg(&folder)).ends_with(0);
        finish(Command::new(folder.join("bin/pip")).args(["install", "--quiet"]).args(pins)).ends_with(0);
        fs::write(complete, "").expect("the target folder is writable");
    }
    folder.join("bin")
}
