//! `cargo xtask bench`: the figures of `bench/`.

use crate::command::{cargo, run, say};
use std::process::ExitCode;

pub(crate) fn bench() -> anyhow::Result<ExitCode> {
    say("building the host and the plugin as they are shipped");
    run(&mut cargo(["build", "--release", "--package", "thinkube-host"]))?;
    run(&mut cargo(["bench", "--package", "thinkube-bench"]))?;
    Ok(ExitCode::SUCCESS)
}
