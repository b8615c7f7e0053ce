//! The home directory that workstation files are written to.

use clap::Args;
use std::path::PathBuf;

/// For the commands of `workstation`.
#[derive(Debug, Args)]
pub(crate) struct HomeArgs {
    /// Another home directory than $HOME; you must own it
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
}

/// For the commands that work on a cluster, and on workstation files when asked.
#[derive(Debug, Args)]
pub(crate) struct WithWorkstationArgs {
    /// Also the plugin's files in your home directory, as `workstation` does
    #[arg(long)]
    pub workstation: bool,
    /// Another home directory than $HOME; you must own it
    #[arg(long, value_name = "DIR", requires = "workstation")]
    pub home: Option<PathBuf>,
}
