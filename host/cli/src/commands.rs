//! One function a command: read, call the engine, show.

use crate::args::{
    ApplyArgs, Arguments, CheckArgs, ClusterArgs, Command, Completion, Inspect, Output, PlanArgs, PluginArgs,
    Render, StatusArgs, UninstallArgs,
};
use crate::failure::Failure;
use crate::planning::{Made, make_plan, plan_on};
use crate::show::{self, Progress};
use crate::workstation::{Done, Part, at_home};
use crate::{args, build, exit, inputs, operation, out, workstation};
use clap::CommandFactory;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use thinkube_engine::model::{Permission, widened};
use thinkube_engine::{
    Applied, ApplyRequest, CancellationToken, Cluster, Connect, Error, FactSource, LogLine, Preview, Release,
    RetryPolicy, SecretInputs, Taken, UninstallOptions, UninstallRequest, Unused, unless_cancelled,
};
use tokio::signal::unix::{SignalKind, signal};

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

    /// Reports what an inventory gave, and with `names` each variable of it.
    pub(crate) fn taken(self, taken: Option<&Taken>, names: bool) {
        if let Some(taken) = taken.filter(|_| !self.quiet) {
            out::to_stderr(&show::taken(taken, names));
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
    let cancel = listen()?;
    match command {
        // Ends by itself, so that the record says how far it came.
        Command::Apply(args) => apply(style, args, &cancel).await,
        Command::Run(args) => operation::run(style, args, &cancel).await,
        Command::Inspect(args) => unless_cancelled(&cancel, inspect(style, args)).await,
        Command::Render(args) => unless_cancelled(&cancel, render(style, args)).await,
        Command::Plan(args) => unless_cancelled(&cancel, plan(style, args)).await,
        Command::Uninstall(args) => unless_cancelled(&cancel, uninstall(style, args)).await,
        Command::Check(args) => unless_cancelled(&cancel, check(style, args)).await,
        Command::Status(args) => unless_cancelled(&cancel, status(style, args)).await,
        Command::Workstation(command) => workstation::run(style, command, &cancel).await,
        Command::Build(args) => unless_cancelled(&cancel, build::run(args)).await,
        Command::Completion(args) => Ok(completion(name, &args)),
    }
}

/// True after the first Ctrl-C or SIGTERM. A second one ends the process at once.
fn listen() -> Result<CancellationToken, Failure> {
    let mut pressed = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = pressed.recv() => {}
                _ = terminated.recv() => {}
            }
            if token.is_cancelled() {
                std::process::exit(130);
            }
            token.cancel();
        }
    });
    Ok(cancel)
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
    let Made { planned, .. } = make_plan(style, &inputs, source, offline.kubernetes_version).await?;
    match style.output {
        Output::Text => out::to_stdout(&show::manifests(&planned.plan)),
        Output::Json => out::json(&show::manifest_list(&planned.plan)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn plan(style: Style, args: PlanArgs) -> Result<ExitCode, Failure> {
    let PlanArgs { inputs, offline, cluster, connection, secrets, http, home, record_facts, exit_code } =
        args;
    let sources = secrets.sources()?;
    let home = home.open()?;
    if !cluster {
        if !sources.is_empty() {
            return Err(Failure::command_line("--secret needs --cluster: a plan alone holds no values"));
        }
        let facts = inputs::facts(&offline)?;
        let source = FactSource::Recorded(&facts);
        let made = make_plan(style, &inputs, source, offline.kubernetes_version.clone()).await?;
        let part = at_home(style, &inputs, &made, home.as_ref(), offline.kubernetes_version).await?;
        show_plan(style, &made, None, part.as_ref());
        return Ok(ExitCode::SUCCESS);
    }
    let cluster = connect(&connection).await?;
    let made = plan_on(style, &inputs, &cluster).await?;
    if let Some(path) = record_facts {
        let text = serde_json::to_string_pretty(&made.planned.facts).map_err(std::io::Error::other)?;
        std::fs::write(&path, text + "\n").map_err(|error| Failure::file(&path, error))?;
    }
    let secrets =
        inputs::secrets(&made.loaded, &made.planned, made.release.as_ref(), &sources, &cluster, false)
            .await?;
    let http = http.options();
    let preview =
        thinkube_engine::preview(&cluster, &made.planned.plan, &secrets, made.release.as_ref(), &http)
            .await?;
    let part = at_home(style, &inputs, &made, home.as_ref(), cluster.version().to_owned()).await?;
    show_plan(style, &made, Some(&preview), part.as_ref());
    let changes = preview.writes() || part.is_some_and(|part| part.changes());
    Ok(if changes && exit_code { ExitCode::from(exit::CHANGES) } else { ExitCode::SUCCESS })
}

fn show_plan(style: Style, made: &Made, preview: Option<&Preview>, part: Option<&Part<'_>>) {
    if let Output::Json = style.output {
        let mut value = made.given.with_inventory(show::plan_json(&made.planned, preview));
        if let Some(part) = part {
            value["home"] = part.plan_json();
        }
        return out::json(&value);
    }
    out::to_stdout(&show::plan(&made.loaded, &made.planned));
    if let Some(preview) = preview {
        out::to_stdout(&show::changes(preview, made.release.as_ref()));
    }
    if let Some(part) = part {
        out::to_stdout(&format!("\n{}", part.plan(&made.loaded)));
    }
}

async fn apply(style: Style, args: ApplyArgs, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    let ApplyArgs {
        inputs,
        connection,
        secrets,
        http,
        home,
        overwrite,
        yes,
        timeout,
        no_wait,
        adopt,
        ignore_preflight_errors: ignore_preflight,
    } = args;
    let sources = secrets.sources()?;
    let home = home.open()?;
    let http = http.options();
    let progress = style.progress();
    let (made, cluster, secrets, part, shown) = unless_cancelled(cancel, async {
        let cluster = connect(&connection).await?;
        let made = plan_on(style, &inputs, &cluster).await?;
        let release = made.release.as_ref();
        let secrets = inputs::secrets(&made.loaded, &made.planned, release, &sources, &cluster, true).await?;
        // A fault of one part must be reported before the other part is changed.
        let part = at_home(style, &inputs, &made, home.as_ref(), cluster.version().to_owned()).await?;
        let mut shown = Vec::new();
        if !yes {
            let preview =
                thinkube_engine::preview(&cluster, &made.planned.plan, &secrets, release, &http).await?;
            out::to_stderr(&show::plan(&made.loaded, &made.planned));
            out::to_stderr(&show::changes(&preview, release));
            let mut place = cluster.server().to_string();
            if let Some(part) = &part {
                out::to_stderr(&format!("\n{}", part.plan(&made.loaded)));
                place = format!("{place} and to {}", part.path().display());
            }
            if preview.writes() || part.as_ref().is_some_and(|part| part.asks(&overwrite)) {
                confirm(&format!("Apply this to {place}?")).await?;
            }
            shown = preview.changes;
        }
        Ok::<_, Failure>((made, cluster, secrets, part, shown))
    })
    .await?;
    let request = ApplyRequest { timeout, adopt, ignore_preflight, http, wait: !no_wait, shown };
    let events = |event| progress.show(&event);
    let Made { loaded, planned, .. } = &made;
    let applied =
        thinkube_engine::apply(loaded, &cluster, planned, &secrets, &request, cancel, &events).await;
    let applied = applied.map_err(|error| match &part {
        Some(part) => Failure::from(error).and(&part.not_begun()),
        None => error.into(),
    })?;
    let done = match part {
        Some(part) => Some(part.apply(style, overwrite, cancel).await.map_err(|failure| {
            failure.and(&format!(
                "Release {} is applied, its files in the home are not. Run the same command again: it continues from \
                 here. `thinkube-host workstation apply` with the same settings does too.",
                planned.plan.release
            ))
        })?),
        None => None,
    };
    show_applied(style, &made, &applied, done.as_ref());
    Ok(done.map_or(ExitCode::SUCCESS, |done| done.code()))
}

fn show_applied(style: Style, made: &Made, applied: &Applied, done: Option<&Done>) {
    if let Output::Text = style.output {
        out::to_stdout(&show::applied(applied));
        return done.map_or((), |done| out::to_stdout(&done.text()));
    }
    let mut value = made.given.with_inventory(show::applied_json(applied));
    if let Some(done) = done {
        value["changed"] = json!(applied.changed || done.changed());
        value["home"] = done.json();
    }
    out::json(&value);
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
    let patience = if wait { RetryPolicy::UntilTimeout } else { RetryPolicy::Once };
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
        orphan,
        timeout,
    } = args;
    let request = UninstallRequest {
        objects: UninstallOptions { delete_data, orphan, timeout },
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
            out::to_stdout(&show::uninstalled(&name, &connection.state_namespace, &taken, at_home.as_ref()));
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
    let ClusterArgs { kubeconfig, context, state_namespace } = args;
    let options = Connect {
        kubeconfig: kubeconfig.clone(),
        context: context.clone(),
        state_namespace: state_namespace.clone(),
    };
    Ok(Cluster::connect(&options).await.map_err(Error::from)?)
}

/// The release that must be there.
pub(crate) async fn known_release(cluster: &Cluster, name: &str) -> Result<Release, Failure> {
    Ok(thinkube_engine::release(cluster, name).await?)
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
