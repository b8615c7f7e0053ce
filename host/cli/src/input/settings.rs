//! Settings and grants: of an inventory, of files, of single arguments.

use crate::args::plan::{OfflineArgs, PlanArgs};
use crate::error::CliError;
use crate::input::document::{is_stdin, read_as, read_document, read_text};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use thinkube_engine::model::{CarriedGrants, Fact, GrantPolicy, Grants};
use thinkube_engine::{Error, INVENTORY_BYTES, Inventory, InventorySettings, LoadedPlugin, SettingsSchema};

/// The time limit for reading an inventory: the plugin's schema judges the settings, and a schema can take for ever.
const INVENTORY_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings and grants that the user gives.
pub(crate) struct GivenSettings {
    pub(crate) settings: Value,
    /// The part that comes from an inventory, if one was given.
    pub(crate) inventory: Option<InventorySettings>,
    /// The grants file. It is read once, because it may be a pipe.
    grants: Option<Grants>,
    grant_requested: bool,
}

impl GivenSettings {
    /// Who decides on permissions: the grants file, else the grants of the installed release, else the plugin.
    pub(crate) fn grant_policy(&self, carried: Option<CarriedGrants>) -> GrantPolicy {
        if let Some(grants) = &self.grants {
            return GrantPolicy::File(grants.clone());
        }
        carried.filter(|_| !self.grant_requested).map_or(GrantPolicy::Requested, GrantPolicy::Carried)
    }

    /// Adds to a JSON result what the inventory gave, if there is one.
    pub(crate) fn with_inventory(&self, mut value: Value) -> Value {
        if let Some(taken) = &self.inventory {
            value["inventory"] = json!(taken);
        }
        value
    }
}

/// Single settings win over files, and files over the inventory. Of several files the later wins.
pub(crate) async fn read(args: &PlanArgs, loaded: &LoadedPlugin) -> Result<GivenSettings, CliError> {
    let files = args.inventory.iter().chain(&args.settings).chain(&args.grants);
    if files.filter(|path| is_stdin(path)).count() > 1 {
        return Err(CliError::usage("only one file can come from stdin"));
    }
    let grants = args.grants.as_deref().map(read_grants).transpose()?;
    let mut settings = own_settings(args, &loaded.schema)?;
    let inventory = add_inventory(args, loaded, &mut settings).await?;
    let settings = Value::Object(settings);
    Ok(GivenSettings { settings, inventory, grants, grant_requested: args.grant_requested })
}

/// The facts that a plan without a cluster may use.
pub(crate) fn read_facts(args: &OfflineArgs) -> Result<Vec<Fact>, CliError> {
    args.facts.as_deref().map_or_else(|| Ok(Vec::new()), read_as)
}

fn read_grants(path: &Path) -> Result<Grants, CliError> {
    Grants::from_value(read_document(path)?).map_err(|error| CliError::file(path, error))
}

/// The settings of files and single arguments.
fn own_settings(args: &PlanArgs, schema: &SettingsSchema) -> Result<Map<String, Value>, CliError> {
    let mut settings = Map::new();
    for path in &args.settings {
        match read_document(path)? {
            Value::Object(given) => settings.extend(given),
            Value::Null => {}
            _ => return Err(CliError::file(path, "expected a mapping of settings to values")),
        }
    }
    for (name, text) in &args.set {
        settings.insert(name.clone(), schema.read_argument(name, text));
    }
    Ok(settings)
}

/// Adds to `settings` those of the inventory that are not given otherwise.
async fn add_inventory(
    args: &PlanArgs,
    loaded: &LoadedPlugin,
    settings: &mut Map<String, Value>,
) -> Result<Option<InventorySettings>, CliError> {
    if args.inventory.is_empty() {
        return Ok(None);
    }
    let mut inventory = Inventory::default();
    for path in &args.inventory {
        let name = if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() };
        let text = read_text(path, INVENTORY_BYTES)?;
        inventory.add(&name, &text).map_err(|fault| CliError::inventory(&[fault]))?;
    }
    let (plugin, schema, given) =
        (loaded.descriptor.name.clone(), Arc::clone(&loaded.schema), settings.clone());
    let taking = tokio::task::spawn_blocking(move || inventory.settings_for(&plugin, &schema, &given));
    let Ok(Ok(taken)) = tokio::time::timeout(INVENTORY_TIMEOUT, taking).await else {
        let limit = INVENTORY_TIMEOUT.as_secs();
        return Err(
            Error::Descriptor(format!("its schema did not validate the settings within {limit} s")).into()
        );
    };
    let mut taken = taken.map_err(|faults| CliError::inventory(&faults))?;
    settings.append(&mut taken.settings);
    Ok(Some(taken))
}
