//! What a plan is made from.

use crate::args::value::{parse_setting, parse_version};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    /// A .wasm component, or the folder of a plugin's crate, which is then built
    pub plugin: PathBuf,
    /// Compile the component again instead of using the cache
    #[arg(long)]
    pub no_cache: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub plugin: PluginArgs,
    /// Inventory of the platform: variables of many components, flat or in Ansible's groups. Later files win; -f and --set
    /// win over all of them. -v lists the variables
    #[arg(long, value_name = "FILE")]
    pub inventory: Vec<PathBuf>,
    /// Settings of this plugin only, YAML or JSON; `-` reads stdin. Later files win
    #[arg(short = 'f', long = "settings", value_name = "FILE")]
    pub settings: Vec<PathBuf>,
    /// One setting; wins over files
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, String)>,
    /// Name of the release [default: the plugin's name]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub release: Option<String>,
    /// Permissions to grant, YAML or JSON [default: those of the installed release; on a first install those that the
    /// plugin requests]
    #[arg(long, value_name = "FILE")]
    pub grants: Option<PathBuf>,
    /// Grant an installed release all that its plugin requests now
    #[arg(long, conflicts_with = "grants")]
    pub grant_requested: bool,
}

/// What a plan without a cluster depends on.
#[derive(Debug, Args)]
pub(crate) struct OfflineArgs {
    /// Facts about a cluster, as --record-facts writes them
    #[arg(long, value_name = "FILE")]
    pub facts: Option<PathBuf>,
    /// Version of Kubernetes to plan for
    #[arg(long, value_name = "MAJOR.MINOR", default_value = "1.34", value_parser = parse_version)]
    pub kubernetes_version: String,
}
