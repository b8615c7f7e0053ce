//! `cargo xtask cluster`: a Kubernetes cluster on this machine.

use std::ffi::OsString;
use std::io::{Write as _, stdout};
use std::path::PathBuf;
use std::process::{self, ExitCode};

use crate::progress;
use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use thinkube_test_cluster::{
    Addon, Cluster, Health, KUBECONFIG_VARIABLE, Node, Options, Progress, Status, down, log, pause, restart,
    resume, status,
};

/// Arguments of `cargo xtask cluster`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The name of the cluster.
    #[arg(long, global = true, default_value = "default")]
    name: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the cluster, or the servers that a running one lacks. The first start builds its programs, which takes
    /// minutes.
    Up {
        /// Addons to start beside the node: ingress, registry, keycloak.
        #[arg(long, value_delimiter = ',', value_name = "PART", conflicts_with = "no_node")]
        with: Vec<Addon>,
        /// Start the control plane alone, on loopback.
        #[arg(long)]
        no_node: bool,
        /// Fail if no node can run, instead of starting the control plane alone. `--with` implies it.
        #[arg(long, conflicts_with = "no_node")]
        node: bool,
    },
    /// Stops the cluster and removes everything but the built programs.
    Down,
    /// Empties the cluster, as right after `up`, without stopping its servers.
    Reset,
    /// Prints the state of the cluster and of each server. Exits with 3 if the cluster does not run.
    Status {
        /// The output format.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Prints the path of the cluster's kubeconfig.
    Kubeconfig,
    /// Prints the log of a server.
    Logs {
        /// The server, as `status` names it.
        #[arg(value_name = "SERVER")]
        server: String,
        /// Follow the log until Ctrl-C.
        #[arg(short, long)]
        follow: bool,
        /// Print only this many of the last lines.
        #[arg(short = 'n', long)]
        lines: Option<u32>,
    },
    /// Runs a command in the cluster's network namespace, with its names, its certificates trusted, KUBECONFIG set and
    /// kubectl on PATH.
    Exec {
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Imports the images of an archive into the node, and prints each reference, by tag and by digest.
    Load {
        /// An archive as `docker save`, podman, buildah or skopeo writes it.
        #[arg(value_name = "IMAGE.tar")]
        archive: PathBuf,
    },
    /// Pauses a server (SIGSTOP) until `resume`.
    Pause {
        /// The server, as `status` names it.
        #[arg(value_name = "SERVER")]
        server: String,
    },
    /// Resumes a paused server.
    Resume {
        /// The server, as `status` names it.
        #[arg(value_name = "SERVER")]
        server: String,
    },
    /// Restarts a server and waits until it is ready.
    Restart {
        /// The server, as `status` names it.
        #[arg(value_name = "SERVER")]
        server: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// The exit code for a cluster that does not run, as opposed to a failure.
const UNHEALTHY: u8 = 3;

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut report = progress::on_stderr();
    match args.command {
        Command::Up { with, no_node, node } => {
            let node = match (no_node, node || !with.is_empty()) {
                (true, _) => Node::Never,
                (_, true) => Node::Required,
                _ => Node::Auto,
            };
            let options = Options { name: args.name, node, with: with.into_iter().collect() };
            let cluster = Cluster::up(&options, &mut report)?;
            print(&usage(&cluster))?;
        }
        Command::Down => {
            if std::env::var_os(KUBECONFIG_VARIABLE).is_some() {
                report(Progress::Note(format!(
                    "{KUBECONFIG_VARIABLE} is set; the cluster that it names is not touched"
                )));
            }
            if !down(&args.name, &mut report)? {
                report(Progress::Step(format!("there is no cluster `{}`", args.name)));
            }
        }
        Command::Reset => attach(&args.name)?.reset(&mut report)?,
        Command::Status { output } => {
            let status = status(&args.name)?;
            match output {
                Output::Text => print(&text(&status))?,
                Output::Json => print(&(serde_json::to_string_pretty(&status)? + "\n"))?,
            }
            if !matches!(status.health, Health::Running | Health::External) {
                return Ok(ExitCode::from(UNHEALTHY));
            }
        }
        Command::Kubeconfig => {
            let cluster = attach(&args.name)?;
            print(&format!("{}\n", cluster.kubeconfig().display()))?;
        }
        Command::Logs { server, follow, lines } => {
            let log = log(&args.name, &server)?;
            let lines = lines.map_or_else(|| "+1".to_owned(), |lines| lines.to_string());
            let mut tail = process::Command::new("tail");
            tail.arg(format!("--lines={lines}")).args(follow.then_some("--follow=name")).arg(log);
            return ended_as(&mut tail);
        }
        Command::Exec { command } => {
            let (program, arguments) = command.split_first().context("no command given")?;
            return ended_as(attach(&args.name)?.command(program).args(arguments));
        }
        Command::Load { archive } => {
            for (name, digest) in attach(&args.name)?.load(&archive)? {
                print(&format!("{name}\n{digest}\n"))?;
            }
        }
        Command::Pause { server } => pause(&args.name, &server)?,
        Command::Resume { server } => resume(&args.name, &server)?,
        Command::Restart { server } => restart(&args.name, &server)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command and exits with its code.
fn ended_as(command: &mut process::Command) -> anyhow::Result<ExitCode> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("{program} could not be started"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn attach(name: &str) -> anyhow::Result<Cluster> {
    Cluster::attach(name)?.ok_or_else(|| thinkube_test_cluster::Error::NotRunning(name.to_owned()).into())
}

/// The next command to type, for evaluation by a shell.
fn usage(cluster: &Cluster) -> String {
    let mut text = format!("export KUBECONFIG={}\n", quoted(&cluster.kubeconfig().to_string_lossy()));
    if let Some(folder) = cluster.kubectl().parent().filter(|_| cluster.is_own()) {
        text.push_str(&format!("export PATH={}:\"$PATH\"\n", quoted(&folder.to_string_lossy())));
    }
    text
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn text(status: &Status) -> String {
    let health = match status.health {
        Health::Absent => "is not there; start it with `cargo xtask cluster up`",
        Health::Running if status.node => "runs, with a node",
        Health::Running => "runs, the control plane alone",
        Health::Broken => {
            "is broken; `cargo xtask cluster up` mends it, `cargo xtask cluster down` removes it"
        }
        Health::External => "is not the harness's: the environment names a kubeconfig",
    };
    let mut lines = vec![format!("cluster `{}` {health}", status.name)];
    let mut field = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("  {name:<12} {value}")));
    };
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    field("server", status.server.clone());
    field("version", status.version.map(str::to_owned));
    field("kubeconfig", path(&status.kubeconfig));
    field("audit log", path(&status.audit_log));
    field("netns", status.netns.clone());
    field("domain", status.domain.map(|domain| format!("*.{domain}")));
    field("authority", path(&status.authority));
    for image in &status.images {
        field("image", Some(image.name.clone()));
    }
    if !status.servers.is_empty() {
        let mebibytes = |bytes: u64| format!("{} MiB", bytes / (1024 * 1024));
        lines.push(String::new());
        lines.push(format!(
            "  {:<25}{:<9}{:>9}  {:<31}{:<36}LOG",
            "SERVER", "STATE", "MEMORY", "VERSION", "ADDRESS"
        ));
        for server in &status.servers {
            lines.push(format!(
                "  {:<25}{:<9}{:>9}  {:<31}{:<36}{}",
                server.name,
                server.state,
                mebibytes(server.memory),
                server.version,
                server.address.as_deref().unwrap_or("-"),
                server.log.display(),
            ));
        }
        lines.push(format!("  {:<25}{:<9}{:>9}", "pods", "", mebibytes(status.pods_memory)));
        lines.push(format!("  {:<25}{:<9}{:>9}", "all", "", mebibytes(status.memory())));
    }
    lines.join("\n") + "\n"
}

fn print(text: &str) -> anyhow::Result<()> {
    stdout().lock().write_all(text.as_bytes()).context("standard output")
}
