//! `workstation remove`: removes the files of a release.

use crate::args::workstation::HomeArgs;
use crate::commands::workstation::part::{known_release, relative_paths};
use crate::error::CliError;
use crate::input::confirm::confirm;
use crate::output::printer::Printer;
use crate::output::progress::Progress;
use crate::output::terminal;
use crate::output::workstation::{event, removed, removed_json, status};
use clap::Args;
use std::process::ExitCode;
use thinkube_engine::Error;

#[derive(Debug, Args)]
pub(crate) struct WorkstationRemoveArgs {
    /// Name of the release
    release: String,
    #[command(flatten)]
    home: HomeArgs,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Remove this file though you changed it; keeps a copy beside it
    #[arg(long, value_name = "PATH")]
    overwrite: Vec<String>,
}

pub(crate) async fn run(printer: Printer, args: WorkstationRemoveArgs) -> Result<ExitCode, CliError> {
    let WorkstationRemoveArgs { release, home, yes, overwrite } = args;
    let home = thinkube_engine::home(home.home.as_deref())?;
    let name = known_release(&home.releases().map_err(Error::from)?, release, home.path())?;
    let mut release = home.release(&name).map_err(Error::from)?;
    if !yes {
        let entries = release.status().map_err(Error::from)?;
        terminal::to_stderr(&status(home.path(), &[(name.clone(), entries)]));
        confirm(&format!("Remove these from {}?", home.path().display())).await?;
    }
    let progress = Progress::new(printer);
    let left = release
        .remove(&relative_paths(overwrite), &|done| progress.line(&event(&done)))
        .map_err(Error::from)?;
    printer.result(|| removed(&name, home.path(), &left), || removed_json(&name, home.path(), &left));
    Ok(ExitCode::SUCCESS)
}
