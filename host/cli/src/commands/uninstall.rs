//! `uninstall`: deletes a release, and its workstation files in the home directory of the user who runs it.

use crate::args::change::ChangeArgs;
use crate::commands::workstation::part::of_release;
use crate::error::CliError;
use crate::input::confirm::confirm;
use crate::input::secret_source::SecretSources;
use crate::input::{cluster, secrets};
use crate::output::printer::Printer;
use crate::output::progress::Progress;
use crate::output::terminal;
use crate::output::uninstall::{preview, uninstalled, uninstalled_json};
use clap::Args;
use std::process::ExitCode;
use thinkube_engine::{Error, Orphan, SecretInputs, Session, UninstallOptions, UninstallRequest};

#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    /// Name of the release
    release: String,
    #[command(flatten)]
    change: ChangeArgs,
    /// Also delete what the plan retains: volumes and their data
    #[arg(long)]
    delete_data: bool,
    /// Also delete the images that were built for the release from their registries
    #[arg(long)]
    delete_images: bool,
    /// Leave behind what cannot be deleted: External/STEP for an external resource, PodFiles/STEP for files in pods, `all`
    /// for everything of both
    #[arg(long, value_name = "KIND/STEP")]
    orphan: Vec<Orphan>,
}

pub(crate) async fn run(printer: Printer, args: UninstallArgs) -> Result<ExitCode, CliError> {
    let UninstallArgs { release: name, change, delete_data, delete_images, orphan } = args;
    let sources = SecretSources::parse(&change.secrets)?;
    let request = UninstallRequest {
        objects: UninstallOptions { delete_data, orphan, timeout: change.timeout },
        delete_images,
    };
    let http = change.http.options();
    let progress = Progress::new(printer);
    let cluster = cluster::connect(&change.cluster).await?;
    let release = cluster.release(&name).await.map_err(Error::from)?;
    if !change.yes {
        let release = cluster::installed_release(&cluster, &name).await?;
        let files = of_release(printer, &release, false)?;
        terminal::to_stderr(&preview(&release, &request, files.as_ref()));
        confirm(&format!("Uninstall it from {}?", cluster.server())).await?;
    }
    let secrets = match &release {
        Some(release) => secrets::for_uninstall(release, &sources, &cluster).await?,
        None => SecretInputs::default(),
    };
    let events = |event| progress.show(&event);
    let session = Session { events: &events, ..Session::new(&cluster, &http, &secrets) };
    let report = thinkube_engine::uninstall(&session, &name, release.as_ref(), &request).await?;
    let files = match &release {
        Some(release) => of_release(printer, release, true)?,
        None => None,
    };
    let state_namespace = &change.cluster.state_namespace;
    printer.result(
        || uninstalled(&name, state_namespace, &report, files.as_ref()),
        || uninstalled_json(&report, files.as_ref()),
    );
    Ok(ExitCode::SUCCESS)
}
