//! `workstation status`: shows the files that releases wrote.

use crate::args::workstation::HomeArgs;
use crate::commands::workstation::part::known_release;
use crate::error::CliError;
use crate::output::printer::Printer;
use crate::output::workstation::{status, status_json};
use clap::Args;
use std::process::ExitCode;
use thinkube_engine::Error;

#[derive(Debug, Args)]
pub(crate) struct WorkstationStatusArgs {
    /// Name of the release [default: all]
    release: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
}

pub(crate) fn run(printer: Printer, args: WorkstationStatusArgs) -> Result<ExitCode, CliError> {
    let home = thinkube_engine::home(args.home.home.as_deref())?;
    let all = home.releases().map_err(Error::from)?;
    let names = match args.release {
        Some(name) => vec![known_release(&all, name, home.path())?],
        None => all,
    };
    let mut releases = Vec::new();
    for name in names {
        let entries = home.release(&name).and_then(|release| release.status()).map_err(Error::from)?;
        releases.push((name, entries));
    }
    printer.result(|| status(home.path(), &releases), || status_json(home.path(), &releases));
    Ok(ExitCode::SUCCESS)
}
