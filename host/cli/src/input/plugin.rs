//! Loads the plugin that the user names.

use crate::args::plan::PluginArgs;
use crate::error::CliError;
use std::path::PathBuf;
use thinkube_engine::{Error, LoadedPlugin, Sandbox, SandboxConfig};

/// Loads a plugin and asks for its descriptor.
pub(crate) async fn load(args: &PluginArgs) -> Result<LoadedPlugin, CliError> {
    Ok(read(args).await?.1)
}

/// The same for a command that has no `--no-cache`.
pub(crate) async fn load_path(plugin: PathBuf) -> Result<LoadedPlugin, CliError> {
    load(&PluginArgs { plugin, no_cache: false }).await
}

/// The same with the component's bytes.
pub(crate) async fn read(args: &PluginArgs) -> Result<(Vec<u8>, LoadedPlugin), CliError> {
    let mut config = SandboxConfig::default();
    if args.no_cache {
        config.cache = None;
    }
    let limit = config.limits.component_bytes;
    let bytes = thinkube_engine::read_plugin(&args.plugin, limit as u64).await?;
    let sandbox = Sandbox::new(config).map_err(Error::from)?;
    let loaded = thinkube_engine::load(&sandbox, &bytes).await?;
    let (name, version) = (&loaded.descriptor.name, &loaded.descriptor.version);
    tracing::info!(name, version, digest = %loaded.plugin.digest(), "loaded the plugin");
    Ok((bytes, loaded))
}
