//! `cargo xtask cluster`: a Kubernetes cluster on this machine.

use std::ffi::OsString;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use thinkube_test_cluster::{
    Cluster, Health, KUBECONFIG_VARIABLE, Node, Options, Progress, Status, down, status,
};

/// Arguments of `cargo xtask cluster`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The cluster, where there are several.
    #[arg(long, global = true, default_value = "default")]
    name: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the cluster, or finds it running. The first time its programs are built, which takes minutes.
    Up {
        /// Start the control plane alone, on loopback.
        #[arg(long)]
        no_node: bool,
        /// Fail where no node can run, instead of starting the control plane alone.
        #[arg(long, conflicts_with = "no_node")]
        node: bool,
    },
    /// Takes the cluster down and leaves nothing of it but the built programs.
    Down,
    /// Tells how the cluster is. Ends with 3 when it does not run.
    Status {
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Prints the path of the cluster's kubeconfig.
    Kubeconfig,
    /// Runs a command in the cluster's network namespace with KUBECONFIG set and kubectl on PATH.
    Exec {
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let begin = Instant::now();
    let mut report = move |progress: Progress| {
        let _ = writeln!(stderr().lock(), "[{:6.1} s] {progress}", begin.elapsed().as_secs_f32());
    };
    match args.command {
        Command::Up { no_node, node } => {
            let node = match (no_node, node) {
                (true, _) => Node::Never,
                (_, true) => Node::Required,
                _ => Node::Auto,
            };
            let cluster = Cluster::up(&Options { name: args.name, node }, &mut report)?;
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
        Command::Status { output } => {
            let status = status(&args.name)?;
            match output {
                Output::Text => print(&text(&status))?,
                Output::Json => print(&(serde_json::to_string_pretty(&status)? + "\n"))?,
            }
            if !matches!(status.health, Health::Running | Health::External) {
                return Ok(ExitCode::from(3));
            }
        }
        Command::Kubeconfig => {
            let cluster = attach(&args.name)?;
            print(&format!("{}\n", cluster.kubeconfig().display()))?;
        }
        Command::Exec { command } => {
            let cluster = attach(&args.name)?;
            let (program, arguments) = command.split_first().context("no command given")?;
            let status = cluster
                .command(program)
                .args(arguments)
                .status()
                .with_context(|| format!("{} could not be started", program.to_string_lossy()))?;
            return Ok(status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .map_or(ExitCode::FAILURE, ExitCode::from));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn attach(name: &str) -> anyhow::Result<Cluster> {
    Cluster::attach(name)?.ok_or_else(|| thinkube_test_cluster::Error::NotRunning(name.to_owned()).into())
}

/// What to type next; to be evaluated by a shell.
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
            "is broken; `cargo xtask cluster up` starts it anew, `cargo xtask cluster down` removes it"
        }
        Health::External => "is not the harness's: the environment names a kubeconfig",
    };
    let mut lines = vec![format!("cluster `{}` {health}", status.name)];
    let mut field = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("  {name:<12} {value}")));
    };
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    field("server", status.server.clone());
    field("version", status.version.map(str::to_owned));
    field("kubeconfig", path(&status.kubeconfig));
    field("audit log", path(&status.audit_log));
    field("logs", path(&status.logs));
    field("netns", status.netns.clone());
    field("DevPI image", status.devpi_image.clone());
    for (server, pid) in &status.running {
        field("running", Some(format!("{server} (process {pid})")));
    }
    for server in &status.missing {
        field("not running", Some((*server).to_owned()));
    }
    lines.join("\n") + "\n"
}

fn print(text: &str) -> anyhow::Result<()> {
    stdout().lock().write_all(text.as_bytes()).context("standard output")
}
