use crate::exit;
use crate::failure::Failure;
use crate::operation::RunArgs;
use crate::secrets::SecretArgs;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use thinkube_engine::{HttpOptions, Workstation};

/// Installs a service on Kubernetes from a plugin: a sandboxed WebAssembly component that only says what should
/// exist. The host judges it, shows it, applies it, watches it and takes it back.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = exit::HELP, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    /// How results are printed
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Output,
    /// Show no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    pub(crate) fn write_global(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what a plugin is, takes, needs and asks to be allowed
    Inspect(Inspect),
    /// Print the objects that a plugin would apply; needs no cluster
    Render(Render),
    /// Show what a plugin would do; needs no cluster unless told to compare with one
    Plan(PlanArgs),
    /// Install or change a release
    Apply(ApplyArgs),
    /// Carry out an operation that a plugin offers on its release
    Run(RunArgs),
    /// Ask whether a release works
    Check(CheckArgs),
    /// Show what is installed
    Status(StatusArgs),
    /// Take a release away; data is kept unless asked
    Uninstall(UninstallArgs),
    /// Files in your home that go with a service; needs no cluster
    #[command(subcommand)]
    Workstation(crate::workstation::Command),
    /// Build the component of a plugin's crate into a file
    Build(crate::build::BuildArgs),
    /// Print a completion script for a shell
    Completion(Completion),
}

/// Which plugin.
#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    /// A .wasm component, or the folder of a plugin's crate, which is then built
    pub plugin: PathBuf,
    /// Compile the component anew instead of using the cache
    #[arg(long)]
    pub no_cache: bool,
}

/// Which cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterArgs {
    /// Kubeconfig file [default: $KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace in which the host keeps its releases
    #[arg(long, value_name = "NAME", default_value = "thinkube-system", env = "THINKUBE_STATE_NAMESPACE", value_parser = parse_namespace)]
    pub state_namespace: String,
}

/// How servers outside the cluster are found and trusted.
#[derive(Debug, Clone, Args)]
pub(crate) struct HttpArgs {
    /// Trust the certificate authorities in this file (PEM) too, for servers outside the cluster
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Find a server outside the cluster at this address instead of asking DNS
    #[arg(long, value_name = "HOST=ADDRESS", value_parser = parse_resolve)]
    pub resolve: Vec<(String, IpAddr)>,
}

impl HttpArgs {
    pub(crate) fn options(self) -> HttpOptions {
        HttpOptions {
            ca_file: self.ca_file,
            resolve: self.resolve.into_iter().collect(),
            ..HttpOptions::default()
        }
    }
}

/// What a plan is made from.
#[derive(Debug, Args)]
pub(crate) struct PlanInputs {
    #[command(flatten)]
    pub plugin: PluginArgs,
    /// The platform's inventory: variables of many components, flat or in Ansible's groups; later files win, and -f and
    /// --set win over all of them
    #[arg(long, value_name = "FILE")]
    pub inventory: Vec<PathBuf>,
    /// List the variables of the inventory: those taken, given elsewhere too, without effect, and of other components
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Settings of this plugin and no others, YAML or JSON; `-` is stdin; later files win
    #[arg(short = 'f', long = "settings", value_name = "FILE")]
    pub settings: Vec<PathBuf>,
    /// One setting; wins over files
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, String)>,
    /// Name of the release [default: the plugin's name]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub release: Option<String>,
    /// What the plugin is allowed, YAML or JSON [default: what the release was granted; what it asks for on a first install]
    #[arg(long, value_name = "FILE")]
    pub grants: Option<PathBuf>,
    /// Grant an installed release what its plugin asks for now; without, it keeps what it was granted before, which goes
    /// where the settings that you give say
    #[arg(long, conflicts_with = "grants")]
    pub grant_requested: bool,
}

/// The part of a release that is in the home of the user who runs the command.
#[derive(Debug, Args)]
pub(crate) struct HomePartArgs {
    /// The files in your home that go with the service too, as `workstation` puts them there
    #[arg(long)]
    pub workstation: bool,
    /// Another home than your own; it must be yours
    #[arg(long, value_name = "DIR", requires = "workstation")]
    pub home: Option<PathBuf>,
}

impl HomePartArgs {
    /// The home, if it was asked for.
    pub(crate) fn open(&self) -> Result<Option<Workstation>, Failure> {
        if !self.workstation {
            return Ok(None);
        }
        Ok(Some(thinkube_engine::home(self.home.as_deref())?))
    }
}

/// What a plan without a cluster depends on.
#[derive(Debug, Args)]
pub(crate) struct OfflineInputs {
    /// Facts that the plugin may ask for, as --record-facts wrote them
    #[arg(long, value_name = "FILE")]
    pub facts: Option<PathBuf>,
    /// Version of Kubernetes to plan for
    #[arg(long, value_name = "MAJOR.MINOR", default_value = "1.34", value_parser = parse_version)]
    pub kubernetes_version: String,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub plugin: PluginArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Render {
    #[command(flatten)]
    pub inputs: PlanInputs,
    #[command(flatten)]
    pub offline: OfflineInputs,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub inputs: PlanInputs,
    #[command(flatten)]
    pub offline: OfflineInputs,
    /// Compare with a cluster: answer the plugin's questions, dry-run on the server, show each field that differs
    #[arg(long, conflicts_with_all = ["facts", "kubernetes_version"])]
    pub cluster: bool,
    #[command(flatten)]
    pub connection: ClusterArgs,
    #[command(flatten)]
    pub secrets: SecretArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub home: HomePartArgs,
    /// Write the facts that the plan depends on to a file, for --facts
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub record_facts: Option<PathBuf>,
    /// Answer with exit code 7 when an apply would change something
    #[arg(long, requires = "cluster")]
    pub exit_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub inputs: PlanInputs,
    #[command(flatten)]
    pub connection: ClusterArgs,
    #[command(flatten)]
    pub secrets: SecretArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub home: HomePartArgs,
    /// Overwrite a file of the home that was changed by hand or is not of this release; a copy of it stays beside it
    #[arg(long, value_name = "PATH", requires = "workstation")]
    pub overwrite: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Longest time for one stage to become ready, for example 90s or 10m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub timeout: Duration,
    /// Apply the objects of all stages and wait for nothing: no readiness, no gates, no health checks
    #[arg(long)]
    pub no_wait: bool,
    /// Go on though this preflight check does not hold; `all` is every one
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub ignore_preflight_errors: Vec<String>,
    /// Take over an object that is there already and belongs to no release; External/STEP is a resource outside the cluster
    #[arg(long, value_name = "KIND/[NAMESPACE/]NAME")]
    pub adopt: Vec<thinkube_engine::Adopt>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Name of the release
    pub release: String,
    #[command(flatten)]
    pub connection: ClusterArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    /// Ask the tests too; they may write to the service
    #[arg(long)]
    pub tests: bool,
    /// Ask again until each check holds or its time is over
    #[arg(long)]
    pub wait: bool,
    /// The plugin that made the release, for checks that it judges itself
    #[arg(long, value_name = "PLUGIN")]
    pub plugin: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Name of the release [default: all]
    pub release: Option<String>,
    #[command(flatten)]
    pub connection: ClusterArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    /// Name of the release
    pub release: String,
    #[command(flatten)]
    pub connection: ClusterArgs,
    #[command(flatten)]
    pub secrets: SecretArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Delete what the plan retains too: volumes and their data
    #[arg(long)]
    pub delete_data: bool,
    /// Delete the images that were built for it from their registries too
    #[arg(long)]
    pub delete_images: bool,
    /// Leave something behind that cannot be taken away any more: External/STEP outside the cluster, PodFiles/STEP in
    /// pods; `all` is every one
    #[arg(long, value_name = "KIND/STEP")]
    pub orphan: Vec<thinkube_engine::Orphan>,
    /// Longest time for the objects to be gone
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell
    pub shell: clap_complete::Shell,
}

pub(crate) fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is expected".to_owned()),
    }
}

fn parse_resolve(text: &str) -> Result<(String, IpAddr), String> {
    let (host, address) = text.split_once('=').ok_or("HOST=ADDRESS is expected")?;
    let address = address.parse().map_err(|_| format!("`{address}` is no IP address"))?;
    if host.is_empty() { Err("HOST=ADDRESS is expected".to_owned()) } else { Ok((host.to_owned(), address)) }
}

pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let expected = || "a number with s, m or h is expected, for example 90s".to_owned();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| expected())?;
    let seconds = match unit {
        "" | "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        _ => None,
    };
    seconds.filter(|seconds| (1..=86_400).contains(seconds)).map(Duration::from_secs).ok_or_else(expected)
}

pub(crate) fn parse_version(text: &str) -> Result<String, String> {
    let number =
        |part: &str| !part.is_empty() && part.len() < 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((major, minor)) if number(major) && number(minor) => Ok(text.to_owned()),
        _ => Err("MAJOR.MINOR is expected, for example 1.34".to_owned()),
    }
}

fn parse_namespace(text: &str) -> Result<String, String> {
    if thinkube_engine::model::is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err("a DNS label (RFC 1123) is expected: a-z, 0-9 and `-`, at most 63 long".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_have_units_and_bounds() {
        assert_eq!(parse_time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "0s", "-1s", "5d", "1000h", "99999999999999999999s"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_for_a_host_is_an_ip_address() {
        assert_eq!(parse_resolve("a.test=10.0.0.1"), Ok(("a.test".into(), IpAddr::from([10, 0, 0, 1]))));
        for wrong in ["", "a.test", "=10.0.0.1", "a.test=", "a.test=b.test"] {
            assert!(parse_resolve(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn versions_and_namespaces_are_checked() {
        assert_eq!(parse_version("1.34"), Ok("1.34".into()));
        assert!(parse_namespace("a-b").is_ok() && parse_namespace("A B").is_err());
        for wrong in ["", "1", "1.", "v1.34", "1.34.4", "banana"] {
            assert!(parse_version(wrong).is_err(), "{wrong}");
        }
    }
}
