//! The workstation part of a release: planned, previewed and applied alone, or beside the part in a cluster.

use crate::args::plan::PlanArgs;
use crate::args::workstation::WithWorkstationArgs;
use crate::error::CliError;
use crate::exit;
use crate::input::settings::{self, GivenSettings};
use crate::output::printer::Printer;
use crate::output::progress::Progress;
use crate::output::report::{report_grants, report_inventory, report_log};
use crate::output::text::Text;
use crate::output::uninstall::WorkstationFiles;
use crate::output::workstation::{applied, applied_json, event, plan, plan_json};
use crate::planning::ReleasePlan;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use thinkube_engine::model::Permission;
use thinkube_engine::{
    CancellationToken, Error, LoadedPlugin, PlannedWorkstation, Release, SkipReason, Workstation,
    WorkstationAction, WorkstationChange, WorkstationRelease, WorkstationReport, WorkstationRequest,
};

/// A planned workstation part and its changes.
pub(crate) struct WorkstationPart<'a> {
    home: &'a Workstation,
    release: WorkstationRelease<'a>,
    planned: PlannedWorkstation,
    changes: Vec<WorkstationChange>,
}

/// The home directory for the part, if the user asked for it.
pub(crate) fn open_home(args: &WithWorkstationArgs) -> Result<Option<Workstation>, CliError> {
    if !args.workstation {
        return Ok(None);
    }
    Ok(Some(thinkube_engine::home(args.home.as_deref())?))
}

impl<'a> WorkstationPart<'a> {
    /// Plans the part alone, with the settings that it is made from.
    pub(crate) async fn alone(
        printer: Printer,
        args: &PlanArgs,
        loaded: &LoadedPlugin,
        home: &'a Workstation,
        kubernetes_version: String,
    ) -> Result<(GivenSettings, Self), CliError> {
        let given = settings::read(args, loaded).await?;
        report_inventory(printer, given.inventory.as_ref());
        let part = Self::plan_for(printer, args, loaded, &given, home, kubernetes_version).await?;
        report_log(printer, &loaded.log, &part.planned.unused);
        Ok((given, part))
    }

    /// Plans the part beside the one in a cluster, if `home` is given.
    pub(crate) async fn beside(
        printer: Printer,
        args: &PlanArgs,
        made: &ReleasePlan,
        home: Option<&'a Workstation>,
        kubernetes_version: String,
    ) -> Result<Option<Self>, CliError> {
        let Some(home) = home else { return Ok(None) };
        Self::plan_for(printer, args, &made.loaded, &made.given, home, kubernetes_version).await.map(Some)
    }

    /// Plans with the grants of the last apply, unless the user gives others.
    async fn plan_for(
        printer: Printer,
        args: &PlanArgs,
        loaded: &LoadedPlugin,
        given: &GivenSettings,
        home: &'a Workstation,
        kubernetes_version: String,
    ) -> Result<Self, CliError> {
        let name = args.release.as_deref().unwrap_or(&loaded.descriptor.name);
        let release = home.release(name).map_err(Error::from)?;
        let grant_policy = given.grant_policy(release.carried_grants());
        let before = grant_policy.carried().map(<[_]>::to_vec);
        let settings = given.settings.clone();
        let request =
            WorkstationRequest { release: name.to_owned(), settings, grant_policy, kubernetes_version };
        let planned = thinkube_engine::plan_workstation(loaded, request).await?;
        report_log(printer, planned.log.get(loaded.log.len()..).unwrap_or_default(), &[]);
        if let Some(before) = before {
            let is_workstation = |permission: &&Permission| {
                matches!(permission, Permission::WriteHome(_) | Permission::PythonPackage(_))
            };
            let requested: Vec<Permission> =
                planned.requested.iter().filter(is_workstation).cloned().collect();
            report_grants(printer, name, &before, &planned.carried.granted, &requested);
        }
        let changes = thinkube_engine::preview_workstation(&release, &planned)?;
        Ok(Self { home, release, planned, changes })
    }

    pub(crate) fn path(&self) -> &Path {
        self.home.path()
    }

    /// Whether an apply without `--overwrite` would change something.
    pub(crate) fn changes(&self) -> bool {
        self.changes.iter().any(|change| {
            use WorkstationAction::{Create, Remove, Update};
            matches!(change.action, Create | Update { .. } | Remove)
        })
    }

    pub(crate) fn needs_confirmation(&self, overwrite: &[String]) -> bool {
        !overwrite.is_empty() || self.changes()
    }

    pub(crate) fn plan(&self, loaded: &LoadedPlugin) -> Text {
        plan(loaded, &self.planned, self.path(), &self.changes)
    }

    pub(crate) fn plan_json(&self) -> Value {
        plan_json(&self.planned, self.path(), &self.changes)
    }

    /// The advice when the part in the cluster failed.
    pub(crate) fn not_begun(&self) -> String {
        let home = self.path().display();
        format!("no workstation file was written to {home}; run the same command again to continue")
    }

    pub(crate) async fn apply(
        self,
        printer: Printer,
        overwrite: Vec<String>,
        cancel: &CancellationToken,
    ) -> Result<AppliedPart, CliError> {
        let Self { home, mut release, planned, changes } = self;
        let progress = Progress::new(printer);
        let events = |done| progress.line(&event(&done));
        let overwrite = relative_paths(overwrite);
        let report =
            thinkube_engine::apply_workstation(&mut release, &planned, &changes, &overwrite, cancel, &events)
                .await?;
        Ok(AppliedPart { home: home.path().to_owned(), release: planned.release, changes, report })
    }
}

/// A workstation part that was applied.
pub(crate) struct AppliedPart {
    home: PathBuf,
    release: String,
    changes: Vec<WorkstationChange>,
    report: WorkstationReport,
}

impl AppliedPart {
    pub(crate) fn changed(&self) -> bool {
        self.report.changed
    }

    pub(crate) fn text(&self) -> Text {
        applied(&self.release, &self.home, &self.report)
    }

    pub(crate) fn json(&self) -> Value {
        applied_json(&self.release, &self.home, &self.report)
    }

    /// Refused if a planned file was not written, unless it is the user's own change that was kept.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let kept =
            |reason: &SkipReason| matches!(reason, SkipReason::ChangedByHand | SkipReason::BackedUpAs(_));
        let planned =
            |path: &str| self.changes.iter().any(|change| change.path == path && is_planned(&change.action));
        let missing = self.report.skipped.iter().any(|left| !kept(&left.reason) && planned(&left.path));
        if missing { ExitCode::from(exit::REFUSED) } else { ExitCode::SUCCESS }
    }
}

/// The workstation files of a release that is uninstalled; with `remove` they are removed. None: it has none here.
pub(crate) fn of_release(
    printer: Printer,
    release: &Release,
    remove: bool,
) -> Result<Option<WorkstationFiles>, CliError> {
    // An uninstall must work where there is no home directory, in a pod for example.
    let Ok(home) = thinkube_engine::home(None) else { return Ok(None) };
    if !home.releases().map_err(Error::from)?.contains(&release.name) {
        return Ok(None);
    }
    let mut part = home.release(&release.name).map_err(Error::from)?;
    let Some(carried) = part.carried_grants() else { return Ok(None) };
    let ours = carried.settings == release.plan.settings;
    let mut left = Vec::new();
    if ours && remove {
        let progress = Progress::new(printer);
        left = part.remove(&[], &|done| progress.line(&event(&done))).map_err(Error::from)?;
    }
    Ok(Some(WorkstationFiles { home: home.path().to_owned(), ours, left }))
}

/// `name`, if it is among the releases with files in `home`.
pub(crate) fn known_release(names: &[String], name: String, home: &Path) -> Result<String, CliError> {
    if names.contains(&name) {
        return Ok(name);
    }
    let expected = match names {
        [] => "no release has".to_owned(),
        names => format!("expected one of: {}", names.join(", ")),
    };
    Err(CliError::input(format!("release {name} has no workstation files in {}; {expected}", home.display())))
}

/// Paths relative to the home directory: a shell does not expand `~/` after `=`.
pub(crate) fn relative_paths(paths: Vec<String>) -> Vec<String> {
    paths.into_iter().map(|path| path.strip_prefix("~/").map_or(path.clone(), str::to_owned)).collect()
}

/// Whether the plan has the file.
fn is_planned(action: &WorkstationAction) -> bool {
    !matches!(action, WorkstationAction::Remove | WorkstationAction::ChangedByHand { wanted: false })
}
