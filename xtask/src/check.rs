//! `cargo xtask check`: judges the sources without running the product.

use crate::command::{cargo, root, run, say, target};
use crate::{doctor, graph, house};
use anyhow::Context as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use thinkube_test_cluster::Purpose;

/// The release of cargo-deny, which applies `deny.toml`.
const CARGO_DENY: &str = "0.20.2";

/// Arguments of `cargo xtask check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also ask the RustSec advisory database, which is downloaded
    #[arg(long)]
    advisories: bool,
}

pub(crate) fn check(args: &Args) -> anyhow::Result<ExitCode> {
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
    let mut deny = Command::new(cargo_deny()?);
    deny.current_dir(root()).args(["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]);
    if args.advisories {
        deny.arg("advisories");
    }
    run(&mut deny)?;
    Ok(ExitCode::SUCCESS)
}

/// The path of cargo-deny, which is built once into the target folder.
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
