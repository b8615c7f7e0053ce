//! `apply`: installs or changes a release, and with `--workstation` its files in the user's home directory.

use crate::args::change::ChangeArgs;
use crate::args::plan::PlanArgs;
use crate::args::workstation::WithWorkstationArgs;
use crate::commands::workstation::part::{AppliedPart, WorkstationPart, open_home};
use crate::error::CliError;
use crate::input::confirm::confirm;
use crate::input::secret_source::SecretSources;
use crate::input::{cluster, secrets};
use crate::output;
use crate::output::printer::Printer;
use crate::output::progress::Progress;
use crate::output::terminal;
use crate::output::text::line;
use crate::planning::{ReleasePlan, plan_for_cluster};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use thinkube_engine::{
    Adopt, Applied, ApplyRequest, CancellationToken, Change, Cluster, HttpOptions, SecretInputs, Session,
    Workstation, unless_cancelled,
};

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    workstation: WithWorkstationArgs,
    /// Replace this workstation file though you changed it or the release did not write it; keeps a copy beside it
    #[arg(long, value_name = "PATH", requires = "workstation")]
    overwrite: Vec<String>,
    /// Apply the objects of all stages without waiting: no readiness, no gates, no health checks
    #[arg(long)]
    no_wait: bool,
    /// Continue though these preflight checks fail; `all` is every check
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    ignore_preflight_errors: Vec<String>,
    /// Take over an existing object that no release owns; External/STEP is an external resource
    #[arg(long, value_name = "KIND/[NAMESPACE/]NAME")]
    adopt: Vec<Adopt>,
}

/// All that an apply needs, once the user has agreed to it.
struct Confirmed<'a> {
    cluster: Cluster,
    made: ReleasePlan,
    secrets: SecretInputs,
    part: Option<WorkstationPart<'a>>,
    /// The changes that the user has seen.
    shown: Vec<Change>,
}

pub(crate) async fn run(
    printer: Printer,
    args: ApplyArgs,
    cancel: &CancellationToken,
) -> Result<ExitCode, CliError> {
    let sources = SecretSources::parse(&args.change.secrets)?;
    let home = open_home(&args.workstation)?;
    let http = args.change.http.clone().options();
    let progress = Progress::new(printer);
    let prepared = prepare(printer, &args, &sources, home.as_ref(), &http);
    let Confirmed { cluster, made, secrets, part, shown } = unless_cancelled(cancel, prepared).await?;
    let request = ApplyRequest {
        timeout: args.change.timeout,
        adopt: args.adopt,
        ignore_preflight: args.ignore_preflight_errors,
        wait: !args.no_wait,
        shown,
    };
    let events = |event| progress.show(&event);
    let planned = &made.planned;
    let session = Session {
        plugin: Some(&made.loaded.plugin),
        cancel: cancel.clone(),
        events: &events,
        ..Session::new(&cluster, &http, &secrets)
    };
    let applied = thinkube_engine::apply(&session, planned, &request).await.map_err(|error| match &part {
        Some(part) => CliError::from(error).advise(part.not_begun()),
        None => error.into(),
    })?;
    let done = match part {
        Some(part) => Some(part.apply(printer, args.overwrite, cancel).await.map_err(|error| {
            error.advise(format!(
                "release {} is applied, its workstation files are not. Run the same command again, or \
                 `thinkube-host workstation apply` with the same settings",
                planned.plan.release
            ))
        })?),
        None => None,
    };
    show(printer, &made, &applied, done.as_ref());
    Ok(done.map_or(ExitCode::SUCCESS, |done| done.exit_code()))
}

/// Plans, previews and asks. A fault of the workstation part shows before the cluster is changed.
async fn prepare<'a>(
    printer: Printer,
    args: &ApplyArgs,
    sources: &SecretSources,
    home: Option<&'a Workstation>,
    http: &HttpOptions,
) -> Result<Confirmed<'a>, CliError> {
    let cluster = cluster::connect(&args.change.cluster).await?;
    let made = plan_for_cluster(printer, &args.plan, &cluster).await?;
    let release = made.release.as_ref();
    let secrets = secrets::for_plan(&made.loaded, &made.planned, release, sources, &cluster, true).await?;
    let version = cluster.version().to_owned();
    let part = WorkstationPart::beside(printer, &args.plan, &made, home, version).await?;
    if args.change.yes {
        return Ok(Confirmed { cluster, made, secrets, part, shown: Vec::new() });
    }
    let session = Session::new(&cluster, http, &secrets);
    let preview = thinkube_engine::preview(&session, &made.planned.plan, release).await?;
    let mut text = output::plan::plan(&made.loaded.descriptor.title, &made.planned);
    text.push(&output::plan::preview(&preview, release));
    let mut place = cluster.server().to_string();
    if let Some(part) = &part {
        line!(text, "");
        text.push(&part.plan(&made.loaded));
        place = format!("{place} and to {}", part.path().display());
    }
    terminal::to_stderr(&text);
    if preview.writes() || part.as_ref().is_some_and(|part| part.needs_confirmation(&args.overwrite)) {
        confirm(&format!("Apply this to {place}?")).await?;
    }
    Ok(Confirmed { cluster, made, secrets, part, shown: preview.changes })
}

fn show(printer: Printer, made: &ReleasePlan, applied: &Applied, done: Option<&AppliedPart>) {
    let text = || {
        let mut text = output::apply::applied(applied);
        if let Some(done) = done {
            text.push(&done.text());
        }
        text
    };
    let json = || {
        let mut value = made.given.with_inventory(output::apply::applied_json(applied));
        if let Some(done) = done {
            value["changed"] = json!(applied.changed || done.changed());
            value["home"] = done.json();
        }
        value
    };
    printer.result(text, json);
}
