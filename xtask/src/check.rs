//! `cargo xtask check`: what is judged without running anything.

use crate::command::{cargo, root, run, say, target};
use crate::{doctor, graph, house};
use anyhow::Context as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use thinkube_test_cluster::Purpose;

/// Judges licences, bans and sources by `deny.toml`.
const CARGO_DENY: &str = "0.20.2";

pub(crate) fn check() -> anyhow::Result<ExitCode> {
    doctor::first(&[Purpose::Rust, Purpose::Lints])?;
    say("rustfmt");
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    say("the rules of docs/style.md");
    house::check()?;
    graph::check()?;
    say("clippy, warnings are errors");
    run(&mut cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]))?;
    say("rustdoc, warnings are errors");
    let mut rustdoc = cargo(["doc", "--workspace", "--no-deps", "--quiet"]);
    run(rustdoc.env("RUSTDOCFLAGS", "--deny warnings"))?;
    say("licences, bans and sources of all dependencies");
    // The database of advisories is fetched from outside, so it is CI's daily job, not everybody's every check.
    run(Command::new(cargo_deny()?).current_dir(root()).args([
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]))?;
    Ok(ExitCode::SUCCESS)
}

/// Where cargo-deny is; built once into the target folder when it is missing.
fn cargo_deny() -> anyhow::Result<PathBuf> {
    let tools = target().join("tools").join(format!("cargo-deny-{CARGO_DENY}"));
    let program = tools.join("bin/cargo-deny");
    if !program.exists() {
        say(&format!("building cargo-deny {CARGO_DENY}, once; this takes some minutes"));
        let mut install =
            cargo(["install", "--quiet", "--locked", "--version", CARGO_DENY, "cargo-deny", "--root"]);
        run(install.arg(&tools)).context("cargo-deny cannot be built")?;
    }
    Ok(program)
}
