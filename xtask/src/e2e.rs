//! `cargo xtask e2e`: runs the end-to-end tests on a cluster with every addon.

use crate::test::{Common, Run, Selection, tests};
use std::process::ExitCode;

/// Arguments of `cargo xtask e2e`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Only the tests with one of these texts in their names
    #[arg(value_name = "TEXT")]
    names: Vec<String>,
    /// Names of tests and --test NAME once more, where cargo takes them
    #[arg(last = true, value_name = "SELECTION")]
    more: Vec<String>,
}

pub(crate) fn e2e(args: Args) -> anyhow::Result<ExitCode> {
    let package = vec!["thinkube-e2e".to_owned()];
    let selection = Selection { package, names: args.names, ..Selection::default() };
    tests(&selection.and(&args.more)?, &args.common, &Run::usual()?)
}
