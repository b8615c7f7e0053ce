//! `cargo xtask demo`: from nothing to a DevPI with sign-on, phase by phase.

mod existing;
mod features;
mod fresh;
mod host;
mod kubectl;
mod phases;
mod preview;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::command::say;
use existing::ExistingOptions;
use phases::Phases;

/// Arguments of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install on the cluster of this kubeconfig, without starting one.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    existing: ExistingOptions,
}

pub(crate) fn demo(args: &Args) -> anyhow::Result<ExitCode> {
    let mut phases = Phases::begin();
    let outcome = match &args.kubeconfig {
        Some(kubeconfig) => existing::install(kubeconfig, &args.existing, &mut phases),
        None => fresh::install(&mut phases),
    };
    say(&format!("the phases of this demo:\n\n{}", phases.table()));
    say(&outcome?);
    Ok(ExitCode::SUCCESS)
}
