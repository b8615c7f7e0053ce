//! `plan`: shows a plan, and with `--cluster` what an apply would change.

use crate::args::cluster::ClusterArgs;
use crate::args::http::HttpArgs;
use crate::args::plan::{OfflineArgs, PlanArgs};
use crate::args::secrets::SecretArgs;
use crate::args::workstation::WithWorkstationArgs;
use crate::commands::workstation::part::{WorkstationPart, open_home};
use crate::error::CliError;
use crate::exit;
use crate::input::secret_source::SecretSources;
use crate::input::{cluster, secrets, settings};
use crate::output;
use crate::output::printer::Printer;
use crate::output::text::line;
use crate::planning::{ReleasePlan, plan_for_cluster, plan_offline};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use thinkube_engine::{FactSource, Preview, Session, Workstation};

#[derive(Debug, Args)]
pub(crate) struct PlanCommandArgs {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    offline: OfflineArgs,
    /// Compare with a cluster: read facts from it, dry-run on the server, show each field that differs
    #[arg(long, conflicts_with_all = ["facts", "kubernetes_version"])]
    cluster: bool,
    #[command(flatten)]
    connection: ClusterArgs,
    #[command(flatten)]
    secrets: SecretArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    workstation: WithWorkstationArgs,
    /// Write the facts that the plan depends on to a file, for --facts
    #[arg(long, value_name = "FILE", requires = "cluster")]
    record_facts: Option<PathBuf>,
    /// Exit with 7 if an apply would change something
    #[arg(long, requires = "cluster")]
    exit_code: bool,
}

pub(crate) async fn run(printer: Printer, args: PlanCommandArgs) -> Result<ExitCode, CliError> {
    let sources = SecretSources::parse(&args.secrets)?;
    let home = open_home(&args.workstation)?;
    if args.cluster {
        return compare(printer, args, &sources, home.as_ref()).await;
    }
    if !sources.is_empty() {
        return Err(CliError::usage(
            "--secret needs --cluster: a plan without a cluster uses no secret values",
        ));
    }
    let facts = settings::read_facts(&args.offline)?;
    let version = args.offline.kubernetes_version;
    let made = plan_offline(printer, &args.plan, FactSource::Recorded(&facts), version.clone()).await?;
    let part = WorkstationPart::beside(printer, &args.plan, &made, home.as_ref(), version).await?;
    show(printer, &made, None, part.as_ref());
    Ok(ExitCode::SUCCESS)
}

async fn compare(
    printer: Printer,
    args: PlanCommandArgs,
    sources: &SecretSources,
    home: Option<&Workstation>,
) -> Result<ExitCode, CliError> {
    let cluster = cluster::connect(&args.connection).await?;
    let made = plan_for_cluster(printer, &args.plan, &cluster).await?;
    let (planned, release) = (&made.planned, made.release.as_ref());
    if let Some(path) = args.record_facts {
        let text = serde_json::to_string_pretty(&planned.facts).map_err(std::io::Error::other)?;
        std::fs::write(&path, text + "\n").map_err(|error| CliError::file(&path, error))?;
    }
    let secrets = secrets::for_plan(&made.loaded, planned, release, sources, &cluster, false).await?;
    let http = args.http.options();
    let session = Session::new(&cluster, &http, &secrets);
    let preview = thinkube_engine::preview(&session, &planned.plan, release).await?;
    let version = cluster.version().to_owned();
    let part = WorkstationPart::beside(printer, &args.plan, &made, home, version).await?;
    show(printer, &made, Some(&preview), part.as_ref());
    let changes = preview.writes() || part.is_some_and(|part| part.changes());
    Ok(if changes && args.exit_code { ExitCode::from(exit::CHANGES) } else { ExitCode::SUCCESS })
}

fn show(printer: Printer, made: &ReleasePlan, preview: Option<&Preview>, part: Option<&WorkstationPart<'_>>) {
    let text = || {
        let mut text = output::plan::plan(&made.loaded.descriptor.title, &made.planned);
        if let Some(preview) = preview {
            text.push(&output::plan::preview(preview, made.release.as_ref()));
        }
        if let Some(part) = part {
            line!(text, "");
            text.push(&part.plan(&made.loaded));
        }
        text
    };
    let json = || {
        let mut value = made.given.with_inventory(output::plan::plan_json(&made.planned, preview));
        if let Some(part) = part {
            value["home"] = part.plan_json();
        }
        value
    };
    printer.result(text, json);
}
