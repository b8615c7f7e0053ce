//! `workstation`: what a plugin wants in a home. Needs no cluster.

mod show;

use crate::args::{Output, PlanInputs};
use crate::commands::{Style, confirm};
use crate::failure::Failure;
use crate::inputs::Settings;
use crate::planning::Made;
use crate::{exit, inputs, out};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use thinkube_engine::model::Permission;
use thinkube_engine::{
    CancellationToken, Error, LoadedPlugin, PlannedWorkstation, Release, SkipReason, Skipped, Workstation,
    WorkstationAction, WorkstationChange, WorkstationRelease, WorkstationReport, WorkstationRequest,
    unless_cancelled,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what would be put into the home, file by file and line by line
    Plan(PlanArgs),
    /// Put it there; what a person has changed stays as it is
    Apply(ApplyArgs),
    /// Show what releases have put there, and what a person has changed since
    Status(StatusArgs),
    /// Take back what a release has put there; what a person has changed stays
    Remove(RemoveArgs),
}

/// Which home.
#[derive(Debug, Args)]
pub(crate) struct HomeArgs {
    /// Another home than your own; it must be yours
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

/// What a setup is made from.
#[derive(Debug, Args)]
pub(crate) struct WorkstationInputs {
    #[command(flatten)]
    inputs: PlanInputs,
    /// Version of Kubernetes that the plugin is told
    #[arg(long, value_name = "MAJOR.MINOR", default_value = "1.34", value_parser = crate::args::parse_version)]
    kubernetes_version: String,
    #[command(flatten)]
    home: HomeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    setup: WorkstationInputs,
    /// Answer with exit code 7 when an apply would change something
    #[arg(long)]
    exit_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    setup: WorkstationInputs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Overwrite a file that was changed by hand or is not of this release; a copy of it stays beside it
    #[arg(long, value_name = "PATH")]
    overwrite: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Name of the release [default: all]
    release: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Name of the release
    release: String,
    #[command(flatten)]
    home: HomeArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Remove a file too that was changed by hand; a copy of it stays beside it
    #[arg(long, value_name = "PATH")]
    overwrite: Vec<String>,
}

pub(crate) async fn run(
    style: Style,
    command: Command,
    cancel: &CancellationToken,
) -> Result<ExitCode, Failure> {
    match command {
        Command::Plan(args) => unless_cancelled(cancel, plan(style, args)).await,
        // Ends by itself, so that it can say that the record tells how far it came.
        Command::Apply(args) => apply(style, args, cancel).await,
        Command::Status(args) => unless_cancelled(cancel, async { status(style, args) }).await,
        Command::Remove(args) => unless_cancelled(cancel, remove(style, args)).await,
    }
}

async fn plan(style: Style, args: PlanArgs) -> Result<ExitCode, Failure> {
    let PlanArgs { setup, exit_code } = args;
    let home = thinkube_engine::home(setup.home.home.as_deref())?;
    let loaded = inputs::load(&setup.inputs.plugin).await?;
    let (given, part) = alone(style, setup, &loaded, &home).await?;
    match style.output {
        Output::Text => out::to_stdout(&part.plan(&loaded)),
        Output::Json => out::json(&given.with_inventory(part.plan_json())),
    }
    Ok(if exit_code && part.changes() { ExitCode::from(exit::CHANGES) } else { ExitCode::SUCCESS })
}

async fn apply(style: Style, args: ApplyArgs, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    let ApplyArgs { setup, yes, overwrite } = args;
    let home = thinkube_engine::home(setup.home.home.as_deref())?;
    let loaded = unless_cancelled(cancel, inputs::load(&setup.inputs.plugin)).await?;
    let (given, part) = unless_cancelled(cancel, async {
        let (given, part) = alone(style, setup, &loaded, &home).await?;
        if !yes {
            out::to_stderr(&part.plan(&loaded));
            if part.asks(&overwrite) {
                confirm(&format!("Do this in {}?", home.path().display())).await?;
            }
        }
        Ok::<_, Failure>((given, part))
    })
    .await?;
    let done = part.apply(style, overwrite, cancel).await?;
    match style.output {
        Output::Text => out::to_stdout(&done.text()),
        Output::Json => out::json(&given.with_inventory(done.json())),
    }
    Ok(done.code())
}

/// The part in the home without the one in a cluster.
async fn alone<'a>(
    style: Style,
    setup: WorkstationInputs,
    loaded: &LoadedPlugin,
    home: &'a Workstation,
) -> Result<(Settings, Part<'a>), Failure> {
    let WorkstationInputs { inputs, kubernetes_version, .. } = setup;
    let given = inputs::settings(&inputs, loaded).await?;
    style.taken(given.taken.as_ref(), inputs.verbose);
    let part = Part::plan_for(style, &inputs, loaded, &given, home, kubernetes_version).await?;
    style.said(&loaded.log, &part.planned.unused);
    Ok((given, part))
}

/// The part in the home beside the one in a cluster, if it was asked for: `home` says where.
pub(crate) async fn at_home<'a>(
    style: Style,
    inputs: &PlanInputs,
    made: &Made,
    home: Option<&'a Workstation>,
    kubernetes_version: String,
) -> Result<Option<Part<'a>>, Failure> {
    let Some(home) = home else { return Ok(None) };
    Part::plan_for(style, inputs, &made.loaded, &made.given, home, kubernetes_version).await.map(Some)
}

/// What a plugin wants in a home.
pub(crate) struct Part<'a> {
    home: &'a Workstation,
    release: WorkstationRelease<'a>,
    planned: PlannedWorkstation,
    changes: Vec<WorkstationChange>,
}

impl<'a> Part<'a> {
    /// Asks the plugin, with the grants of the last time unless the operator gives others.
    async fn plan_for(
        style: Style,
        inputs: &PlanInputs,
        loaded: &LoadedPlugin,
        given: &Settings,
        home: &'a Workstation,
        kubernetes_version: String,
    ) -> Result<Self, Failure> {
        let name = inputs.release.as_deref().unwrap_or(&loaded.descriptor.name);
        let release = home.release(name).map_err(Error::from)?;
        let grant_policy = given.grant_policy(release.carried_grants());
        let before = grant_policy.held().map(<[_]>::to_vec);
        let settings = given.settings.clone();
        let request =
            WorkstationRequest { release: name.to_owned(), settings, grant_policy, kubernetes_version };
        let planned = thinkube_engine::plan_workstation(loaded, request).await?;
        style.said(planned.log.get(loaded.log.len()..).unwrap_or_default(), &[]);
        if let Some(before) = before {
            let of_homes = |permission: &&Permission| {
                matches!(permission, Permission::WriteHome(_) | Permission::PythonPackage(_))
            };
            let requested: Vec<Permission> = planned.requested.iter().filter(of_homes).cloned().collect();
            style.held(name, &before, &planned.held.granted, &requested);
        }
        let changes = thinkube_engine::preview_workstation(&release, &planned)?;
        Ok(Self { home, release, planned, changes })
    }

    pub(crate) fn path(&self) -> &Path {
        self.home.path()
    }

    /// Whether an apply would do anything without being told to.
    pub(crate) fn changes(&self) -> bool {
        self.changes.iter().any(is_done)
    }

    /// Whether there is something to agree to.
    pub(crate) fn asks(&self, overwrite: &[String]) -> bool {
        !overwrite.is_empty() || self.changes()
    }

    pub(crate) fn plan(&self, loaded: &LoadedPlugin) -> String {
        show::plan(loaded, &self.planned, self.path(), &self.changes)
    }

    pub(crate) fn plan_json(&self) -> Value {
        show::plan_json(&self.planned, self.path(), &self.changes)
    }

    /// Said when the part in the cluster has failed.
    pub(crate) fn not_begun(&self) -> String {
        format!(
            "Nothing was put into {}. Run the same command again: it continues from here.",
            self.path().display()
        )
    }

    pub(crate) async fn apply(
        self,
        style: Style,
        overwrite: Vec<String>,
        cancel: &CancellationToken,
    ) -> Result<Done, Failure> {
        let Self { home, mut release, planned, changes } = self;
        let progress = style.progress();
        let events = |event| progress.say(&show::event(&event));
        let overwrite = below(overwrite);
        let applied =
            thinkube_engine::apply_workstation(&mut release, &planned, &changes, &overwrite, cancel, &events)
                .await?;
        Ok(Done { home: home.path().to_owned(), release: planned.release, changes, applied })
    }
}

/// What was done in a home.
pub(crate) struct Done {
    home: PathBuf,
    release: String,
    changes: Vec<WorkstationChange>,
    applied: WorkstationReport,
}

impl Done {
    pub(crate) fn changed(&self) -> bool {
        self.applied.changed
    }

    pub(crate) fn text(&self) -> String {
        show::applied(&self.release, &self.home, &self.applied)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "home": self.home, "release": self.release, "changed": self.applied.changed, "left": self.applied.skipped,
        })
    }

    /// What a person has changed is as that person wants it. Whatever else the setup has and was not done is missing.
    pub(crate) fn code(&self) -> ExitCode {
        let persons = |why: &SkipReason| matches!(why, SkipReason::ChangedByHand | SkipReason::BackedUpAs(_));
        let wanted =
            |path: &str| self.changes.iter().any(|change| change.path == path && is_wanted(&change.action));
        let missing = self.applied.skipped.iter().any(|left| !persons(&left.reason) && wanted(&left.path));
        if missing { exit::code(thinkube_engine::Class::Refused) } else { ExitCode::SUCCESS }
    }
}

fn status(style: Style, args: StatusArgs) -> Result<ExitCode, Failure> {
    let StatusArgs { release, home } = args;
    let home = thinkube_engine::home(home.home.as_deref())?;
    let names = match release {
        Some(name) => vec![known(&home.releases().map_err(Error::from)?, name, home.path())?],
        None => home.releases().map_err(Error::from)?,
    };
    let mut releases = Vec::new();
    for name in names {
        let found = home.release(&name).and_then(|release| release.status()).map_err(Error::from)?;
        releases.push((name, found));
    }
    match style.output {
        Output::Text => out::to_stdout(&show::status(home.path(), &releases)),
        Output::Json => out::json(&show::status_json(home.path(), &releases)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove(style: Style, args: RemoveArgs) -> Result<ExitCode, Failure> {
    let RemoveArgs { release: name, home, yes, overwrite } = args;
    let home = thinkube_engine::home(home.home.as_deref())?;
    let name = known(&home.releases().map_err(Error::from)?, name, home.path())?;
    let mut release = home.release(&name).map_err(Error::from)?;
    if !yes {
        let found = release.status().map_err(Error::from)?;
        out::to_stderr(&show::status(home.path(), &[(name.clone(), found)]));
        confirm(&format!("Take this back from {}?", home.path().display())).await?;
    }
    let progress = style.progress();
    let left = release
        .remove(&below(overwrite), &|event| progress.say(&show::event(&event)))
        .map_err(Error::from)?;
    match style.output {
        Output::Text => out::to_stdout(&show::removed(&name, home.path(), &left)),
        Output::Json => out::json(&json!({ "home": home.path(), "release": name, "left": left })),
    }
    Ok(ExitCode::SUCCESS)
}

/// What a release that is uninstalled had in this home.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AtHome {
    pub(crate) home: PathBuf,
    /// Whether the release's own settings have put it there. What others have may be another cluster's, and stays.
    pub(crate) ours: bool,
    /// What a person has changed, and so stays.
    pub(crate) left: Vec<Skipped>,
}

/// What a release has in the home of the user who runs the command. `really` removes it. None: nothing.
pub(crate) fn of_uninstalled(
    style: Style,
    release: &Release,
    really: bool,
) -> Result<Option<AtHome>, Failure> {
    // Where there is no home, there is nothing in it.
    let Ok(home) = thinkube_engine::home(None) else { return Ok(None) };
    if !home.releases().map_err(Error::from)?.contains(&release.name) {
        return Ok(None);
    }
    let mut part = home.release(&release.name).map_err(Error::from)?;
    let Some(held) = part.carried_grants() else { return Ok(None) };
    let ours = held.settings == release.plan.settings;
    let mut left = Vec::new();
    if ours && really {
        let progress = style.progress();
        left = part.remove(&[], &|event| progress.say(&show::event(&event))).map_err(Error::from)?;
    }
    Ok(Some(AtHome { home: home.path().to_owned(), ours, left }))
}

/// People write `~/a` or, with a shell that expands nothing after `=`, just that.
fn below(paths: Vec<String>) -> Vec<String> {
    paths.into_iter().map(|path| path.strip_prefix("~/").map_or(path.clone(), str::to_owned)).collect()
}

/// A release that must have something there.
fn known(names: &[String], name: String, home: &Path) -> Result<String, Failure> {
    if names.contains(&name) {
        return Ok(name);
    }
    let there =
        if names.is_empty() { "no release has".to_owned() } else { format!("{} has", names.join(", ")) };
    Err(Failure::input(format!("release {name} has nothing in {}; {there}", home.display())))
}

/// Whether an apply would do it without being told to.
fn is_done(change: &WorkstationChange) -> bool {
    matches!(
        change.action,
        WorkstationAction::Create | WorkstationAction::Update { .. } | WorkstationAction::Remove
    )
}

/// Whether the setup has it.
fn is_wanted(action: &WorkstationAction) -> bool {
    !matches!(action, WorkstationAction::Remove | WorkstationAction::ChangedByHand { wanted: false })
}
