//! One function a command: read, call the engine, show.

use crate::args::{
    ApplyArgs, Arguments, CheckArgs, ClusterArgs, Command, Completion, Inspect, Output, PlanArgs, PluginArgs,
    Render, StatusArgs, UninstallArgs,
};
use crate::failure::Failure;
use crate::show::{self, Progress};
use crate::{args, exit, inputs, operation, out, workstation};
use clap::CommandFactory;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use thinkube_engine::model::{Installed, Permission, widened};
use thinkube_engine::{
    ApplyRequest, Cluster, Connect, Error, FactSource, Interrupted, Loaded, LogLine, Patience, PlanRequest,
    Planned, Release, SecretInputs, UninstallOptions, UninstallRequest, Unused, unless_interrupted,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How results and progress are shown.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) output: Output,
    quiet: bool,
}

impl Style {
    pub(crate) fn progress(self) -> Progress {
        Progress::new(!self.quiet)
    }

    /// Says what the plugin logged, and settings that had no effect.
    pub(crate) fn said(self, log: &[LogLine], unused: &[Unused]) {
        if self.quiet {
            return;
        }
        for line in log {
            out::to_stderr(&show::log_line(line));
        }
        for unused in unused {
            out::warn(&format!("the setting {} has no effect: {}", unused.name, unused.reason));
        }
    }

    /// Says where what a release was granted leads now, and what its plugin asks for beside.
    pub(crate) fn held(
        self,
        release: &str,
        before: &[Permission],
        granted: &[Permission],
        requested: &[Permission],
    ) {
        for (permissions, what) in [
            (widened(before, granted), "follows its settings: it may now"),
            (widened(granted, before), "follows its settings: it may no longer"),
            (
                widened(granted, requested),
                "was granted less than the plugin asks for now; --grant-requested grants it:",
            ),
        ] {
            if !permissions.is_empty() && !self.quiet {
                let list: String = permissions.iter().map(|permission| format!("\n  {permission}")).collect();
                out::warn(&format!("release {release} {what}{list}"));
            }
        }
    }
}

pub(crate) async fn run(name: &'static str, arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { command, output, quiet, color: _ } = arguments;
    let style = Style { output, quiet };
    let interrupted = listen()?;
    match command {
        // Ends by itself, so that the record says how far it came.
        Command::Apply(args) => apply(style, args, &interrupted).await,
        Command::Run(args) => operation::run(style, args, &interrupted).await,
        Command::Inspect(args) => unless_interrupted(&interrupted, inspect(style, args)).await,
        Command::Render(args) => unless_interrupted(&interrupted, render(style, args)).await,
        Command::Plan(args) => unless_interrupted(&interrupted, plan(style, args)).await,
        Command::Uninstall(args) => unless_interrupted(&interrupted, uninstall(style, args)).await,
        Command::Check(args) => unless_interrupted(&interrupted, check(style, args)).await,
        Command::Status(args) => unless_interrupted(&interrupted, status(style, args)).await,
        Command::Workstation(command) => workstation::run(style, command, &interrupted).await,
        Command::Completion(args) => Ok(completion(name, &args)),
    }
}

/// True after the first Ctrl-C or SIGTERM. A second one ends the process at once.
fn listen() -> Result<Interrupted, Failure> {
    let mut pressed = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let (interrupt, interrupted) = watch::channel(false);
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = pressed.recv() => {}
                _ = terminated.recv() => {}
            }
            if interrupt.send_replace(true) {
                std::process::exit(130);
            }
        }
    });
    Ok(interrupted)
}

async fn inspect(style: Style, args: Inspect) -> Result<ExitCode, Failure> {
    let Inspect { plugin } = args;
    let loaded = inputs::load(&plugin).await?;
    match style.output {
        Output::Text => out::to_stdout(&show::descriptor(&loaded)),
        Output::Json => out::json(&show::descriptor_json(&loaded)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn render(style: Style, args: Render) -> Result<ExitCode, Failure> {
    let Render { inputs, offline } = args;
    let facts = inputs::facts(&offline)?;
    let source = FactSource::Recorded(&facts);
    let (_, planned) = make_plan(style, &inputs, source, offline.kubernetes_version).await?;
    match style.output {
        Output::Text => out::to_stdout(&show::manifests(&planned.plan)),
        Output::Json => out::json(&show::manifest_list(&planned.plan)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn plan(style: Style, args: PlanArgs) -> Result<ExitCode, Failure> {
    let PlanArgs { inputs, offline, cluster, connection, secrets, http, record_facts, exit_code } = args;
    let sources = secrets.sources()?;
    if !cluster {
        if !sources.is_empty() {
            return Err(Failure::command_line("--secret needs --cluster: a plan alone holds no values"));
        }
        let facts = inputs::facts(&offline)?;
        let source = FactSource::Recorded(&facts);
        let (loaded, planned) = make_plan(style, &inputs, source, offline.kubernetes_version).await?;
        match style.output {
            Output::Text => out::to_stdout(&show::plan(&loaded, &planned)),
            Output::Json => out::json(&show::plan_json(&planned, None)),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let cluster = connect(&connection).await?;
    let (loaded, planned, release) = plan_on(style, &inputs, &cluster).await?;
    if let Some(path) = record_facts {
        let text = serde_json::to_string_pretty(&planned.facts).map_err(std::io::Error::other)?;
        std::fs::write(&path, text + "\n").map_err(|error| Failure::file(&path, error))?;
    }
    let secrets = inputs::secrets(&loaded, &planned, release.as_ref(), &sources, &cluster, false).await?;
    let preview =
        thinkube_engine::preview(&cluster, &planned.plan, &secrets, release.as_ref(), &http.options())
            .await?;
    match style.output {
        Output::Text => {
            out::to_stdout(&show::plan(&loaded, &planned));
            out::to_stdout(&show::changes(&preview, release.as_ref()));
        }
        Output::Json => out::json(&show::plan_json(&planned, Some(&preview))),
    }
    Ok(if preview.changes() && exit_code { ExitCode::from(exit::CHANGES) } else { ExitCode::SUCCESS })
}

async fn apply(style: Style, args: ApplyArgs, interrupted: &Interrupted) -> Result<ExitCode, Failure> {
    let ApplyArgs {
        inputs,
        connection,
        secrets,
        http,
        yes,
        timeout,
        no_wait,
        adopt,
        ignore_preflight_errors: ignore_preflight,
    } = args;
    let sources = secrets.sources()?;
    let http = http.options();
    let progress = style.progress();
    let (loaded, cluster, planned, secrets, shown) = unless_interrupted(interrupted, async {
        let cluster = connect(&connection).await?;
        let (loaded, planned, release) = plan_on(style, &inputs, &cluster).await?;
        let secrets = inputs::secrets(&loaded, &planned, release.as_ref(), &sources, &cluster, true).await?;
        let mut shown = Vec::new();
        if !yes {
            let preview =
                thinkube_engine::preview(&cluster, &planned.plan, &secrets, release.as_ref(), &http).await?;
            out::to_stderr(&show::plan(&loaded, &planned));
            out::to_stderr(&show::changes(&preview, release.as_ref()));
            if preview.changes() {
                confirm(&format!("Apply this to {}?", cluster.server())).await?;
            }
            shown = preview.images;
        }
        Ok::<_, Failure>((loaded, cluster, planned, secrets, shown))
    })
    .await?;
    let request = ApplyRequest { timeout, adopt, ignore_preflight, http, wait: !no_wait, shown };
    let events = |event| progress.show(&event);
    let applied =
        thinkube_engine::apply(&loaded, &cluster, &planned, &secrets, &request, interrupted, &events).await?;
    match style.output {
        Output::Text => out::to_stdout(&show::applied(&applied)),
        Output::Json => out::json(&show::applied_json(&applied)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(style: Style, args: CheckArgs) -> Result<ExitCode, Failure> {
    let CheckArgs { release, connection, http, tests, wait, plugin } = args;
    let cluster = connect(&connection).await?;
    let release = known_release(&cluster, &release).await?;
    let loaded = match plugin {
        Some(plugin) => Some(inputs::load(&PluginArgs { plugin, no_cache: false }).await?),
        None => None,
    };
    let plugin = loaded.as_ref().map(|loaded| &loaded.plugin);
    let patience = if wait { Patience::UntilTimeout } else { Patience::Once };
    let outcomes =
        thinkube_engine::check(&cluster, &release, plugin, tests, patience, &http.options(), &|_| ()).await?;
    match style.output {
        Output::Text => out::to_stdout(&show::checks(&outcomes)),
        Output::Json => out::json(&outcomes),
    }
    let failed = thinkube_engine::failed(&outcomes);
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { exit::code(thinkube_engine::Class::Check) })
}

async fn status(style: Style, args: StatusArgs) -> Result<ExitCode, Failure> {
    let StatusArgs { release, connection } = args;
    let cluster = connect(&connection).await?;
    if let Some(name) = release {
        let release = known_release(&cluster, &name).await?;
        let objects = thinkube_engine::status(&cluster, &release).await;
        match style.output {
            Output::Text => out::to_stdout(&show::release(&release, &objects)),
            Output::Json => out::json(&show::release_json(&release, &objects)),
        }
    } else {
        let releases = cluster.releases().await.map_err(Error::from)?;
        match style.output {
            Output::Text => out::to_stdout(&show::releases(&releases)),
            Output::Json => out::json(&releases.iter().map(show::release_summary).collect::<Vec<_>>()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn uninstall(style: Style, args: UninstallArgs) -> Result<ExitCode, Failure> {
    let UninstallArgs {
        release: name,
        connection,
        secrets,
        http,
        yes,
        delete_data,
        delete_images,
        leave,
        timeout,
    } = args;
    let request = UninstallRequest {
        objects: UninstallOptions { delete_data, leave, timeout },
        http: http.options(),
        delete_images,
    };
    let sources = secrets.sources()?;
    let progress = style.progress();
    let cluster = connect(&connection).await?;
    let release = cluster.release(&name).await.map_err(Error::from)?;
    if !yes {
        let release = known_release(&cluster, &name).await?;
        let at_home = workstation::of_uninstalled(style, &release, false)?;
        out::to_stderr(&show::uninstalling(&release, &request, at_home.as_ref()));
        confirm(&format!("Uninstall it from {}?", cluster.server())).await?;
    }
    let secrets = match &release {
        Some(release) => inputs::secrets_of(release, &sources, &cluster).await?,
        None => SecretInputs::default(),
    };
    let events = |event| progress.show(&event);
    let taken =
        thinkube_engine::uninstall(&cluster, &name, release.as_ref(), &secrets, &request, &events).await?;
    let at_home = match &release {
        Some(release) => workstation::of_uninstalled(style, release, true)?,
        None => None,
    };
    match style.output {
        Output::Text => {
            out::to_stdout(&show::uninstalled(&name, &connection.home_namespace, &taken, at_home.as_ref()));
        }
        Output::Json => {
            let mut value = json!(taken);
            value["home"] = json!(at_home);
            out::json(&value);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn completion(name: &str, args: &Completion) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::Arguments::command(), name, &mut script);
    out::to_stdout(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

pub(crate) async fn connect(args: &ClusterArgs) -> Result<Cluster, Failure> {
    let ClusterArgs { kubeconfig, context, home_namespace } = args;
    let options =
        Connect { kubeconfig: kubeconfig.clone(), context: context.clone(), home: home_namespace.clone() };
    Ok(Cluster::connect(&options).await.map_err(Error::from)?)
}

/// The release that must be there.
pub(crate) async fn known_release(cluster: &Cluster, name: &str) -> Result<Release, Failure> {
    Ok(thinkube_engine::release(cluster, name).await?)
}

async fn make_plan(
    style: Style,
    inputs: &args::PlanInputs,
    facts: FactSource<'_>,
    kubernetes_version: String,
) -> Result<(Loaded, Planned), Failure> {
    let loaded = inputs::load(&inputs.plugin).await?;
    let planned = plan_with(style, &loaded, inputs, facts, kubernetes_version, None).await?;
    Ok((loaded, planned))
}

async fn plan_on(
    style: Style,
    inputs: &args::PlanInputs,
    cluster: &Cluster,
) -> Result<(Loaded, Planned, Option<Release>), Failure> {
    let loaded = inputs::load(&inputs.plugin).await?;
    let name = inputs.release.as_deref().unwrap_or(&loaded.descriptor.name);
    let release = cluster.release(name).await.map_err(Error::from)?;
    let (facts, version) = (FactSource::Cluster(cluster), cluster.version().to_owned());
    let planned = plan_with(style, &loaded, inputs, facts, version, release.as_ref()).await?;
    Ok((loaded, planned, release))
}

async fn plan_with(
    style: Style,
    loaded: &Loaded,
    inputs: &args::PlanInputs,
    facts: FactSource<'_>,
    kubernetes_version: String,
    release: Option<&Release>,
) -> Result<Planned, Failure> {
    // What was not granted then is not granted now because nobody says anything.
    let granting = inputs::granting(inputs, release.map(|release| release.plan.held()))?;
    let before = granting.held().map(<[_]>::to_vec);
    let request = PlanRequest {
        release: inputs.release.clone().unwrap_or_else(|| loaded.descriptor.name.clone()),
        settings: inputs::settings(inputs, &loaded.schema)?,
        granting,
        namespace: release.map(|release| release.plan.namespace.clone()),
        facts,
        kubernetes_version,
        installed: release.map(|release| Installed {
            version: release.plan.plugin.version.clone(),
            settings: release.plan.settings.clone(),
            revision: release.revision,
        }),
    };
    let planned = thinkube_engine::plan(loaded, request).await?;
    style.said(&planned.log, &planned.unused);
    if let Some(before) = before {
        style.held(&planned.plan.release, &before, &planned.plan.granted, &planned.plan.requested);
    }
    Ok(planned)
}

/// Asks on the terminal. Where there is none, only `--yes` can say yes.
pub(crate) async fn confirm(question: &str) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::input("there is no terminal to ask on; say --yes to go on without a question"));
    }
    out::to_stderr(&format!("{question} [y/N] "));
    std::io::stderr().flush()?;
    // On a thread of its own: who is asked may answer with Ctrl-C.
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        stdin.read_line(&mut answer).map(|_| answer)
    });
    let answer = answer.await.map_err(std::io::Error::other)??;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::input("not confirmed; nothing was changed"))
    }
}
