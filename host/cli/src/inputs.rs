//! Reads what the person gives: settings, grants, facts, secrets.

use crate::args::{OfflineInputs, PlanInputs, PluginArgs};
use crate::failure::Failure;
use crate::secrets::SecretSources;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use thinkube_engine::model::{
    CarriedGrants, Fact, GrantPolicy, Grants, Permission, SecretContent, SecretSource, Step,
};
use thinkube_engine::{
    Cluster, Error, INVENTORY_BYTES, Inventory, LoadedPlugin, Planned, Release, Sandbox, SandboxConfig,
    SecretInputs, SecretText, SettingsSchema, Taken,
};

/// No settings, grants or facts file is longer; what is, is the wrong file.
const MAX_FILE: u64 = 16 << 20;
/// The time that taking settings out of an inventory may take. The plugin's schema, which judges them, can take for ever.
const TAKING: Duration = Duration::from_secs(5);

/// Opens and asks the plugin what it is.
pub(crate) async fn load(args: &PluginArgs) -> Result<LoadedPlugin, Failure> {
    Ok(read(args).await?.1)
}

/// The same, with the component's bytes.
pub(crate) async fn read(args: &PluginArgs) -> Result<(Vec<u8>, LoadedPlugin), Failure> {
    let mut config = SandboxConfig::default();
    if args.no_cache {
        config.cache = None;
    }
    let limit = config.limits.component_bytes;
    let bytes = thinkube_engine::read_plugin(&args.plugin, limit as u64).await?;
    let sandbox = Sandbox::new(config).map_err(Error::from)?;
    let loaded = thinkube_engine::load(&sandbox, &bytes).await?;
    Ok((bytes, loaded))
}

/// What a person gives to a plugin.
pub(crate) struct Settings {
    pub(crate) settings: Value,
    /// What of it comes from an inventory, where there is one.
    pub(crate) taken: Option<Taken>,
    /// What the plugin is allowed, where a file says so. Read once: a pipe has its content a single time.
    grants: Option<Grants>,
    /// Whether a release is granted what its plugin asks for now.
    grant_requested: bool,
}

impl Settings {
    /// Who decides what the plugin is allowed: the grants file, else what the release was granted before, else the plugin.
    pub(crate) fn grant_policy(&self, held: Option<CarriedGrants>) -> GrantPolicy {
        if let Some(grants) = &self.grants {
            return GrantPolicy::File(grants.clone());
        }
        held.filter(|_| !self.grant_requested).map_or(GrantPolicy::Requested, GrantPolicy::Carried)
    }

    /// A result for programs, with what the inventory gave if there is one.
    pub(crate) fn with_inventory(&self, mut value: Value) -> Value {
        if let Some(taken) = &self.taken {
            value["inventory"] = json!(taken);
        }
        value
    }
}

/// The grants, and the settings: of the plugin's variables in the inventory, those that neither files nor single settings give;
/// then files in order; then single settings.
pub(crate) async fn settings(inputs: &PlanInputs, loaded: &LoadedPlugin) -> Result<Settings, Failure> {
    let files = inputs.inventory.iter().chain(&inputs.settings).chain(&inputs.grants);
    if files.filter(|path| is_stdin(path)).count() > 1 {
        return Err(Failure::command_line("only one file can come from stdin"));
    }
    let grants = inputs.grants.as_deref().map(grants).transpose()?;
    let mut settings = own_settings(inputs, &loaded.schema)?;
    let taken = from_inventory(inputs, loaded, &mut settings).await?;
    let settings = Value::Object(settings);
    Ok(Settings { settings, taken, grants, grant_requested: inputs.grant_requested })
}

/// Adds to `settings` what the inventory gives, if there is one.
async fn from_inventory(
    inputs: &PlanInputs,
    loaded: &LoadedPlugin,
    settings: &mut Map<String, Value>,
) -> Result<Option<Taken>, Failure> {
    if inputs.inventory.is_empty() {
        return Ok(None);
    }
    let mut inventory = Inventory::default();
    for path in &inputs.inventory {
        let name = if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() };
        let text = text(path, INVENTORY_BYTES)?;
        inventory.add(&name, &text).map_err(|fault| Failure::inventory(&[fault]))?;
    }
    let (plugin, schema, given) =
        (loaded.descriptor.name.clone(), Arc::clone(&loaded.schema), settings.clone());
    let taking = tokio::task::spawn_blocking(move || inventory.take(&plugin, &schema, &given));
    let Ok(Ok(taken)) = tokio::time::timeout(TAKING, taking).await else {
        let limit = TAKING.as_secs();
        return Err(Error::Descriptor(format!("the settings could not be judged within {limit} s")).into());
    };
    let mut taken = taken.map_err(|faults| Failure::inventory(&faults))?;
    settings.append(&mut taken.settings);
    Ok(Some(taken))
}

/// What is given to this plugin alone.
fn own_settings(inputs: &PlanInputs, schema: &SettingsSchema) -> Result<Map<String, Value>, Failure> {
    let mut settings = Map::new();
    for path in &inputs.settings {
        match document(path)? {
            Value::Object(given) => settings.extend(given),
            Value::Null => {}
            _ => return Err(Failure::file(path, "settings are a mapping of names to values")),
        }
    }
    for (name, text) in &inputs.set {
        settings.insert(name.clone(), schema.read_argument(name, text));
    }
    Ok(settings)
}

fn grants(path: &Path) -> Result<Grants, Failure> {
    Grants::from_value(document(path)?).map_err(|error| Failure::file(path, error))
}

pub(crate) fn facts(inputs: &OfflineInputs) -> Result<Vec<Fact>, Failure> {
    inputs.facts.as_deref().map_or_else(|| Ok(Vec::new()), parse)
}

/// The values of the secret inputs that the plan uses. `demanded`: one that is required and missing is an error.
pub(crate) async fn secrets(
    loaded: &LoadedPlugin,
    planned: &Planned,
    release: Option<&Release>,
    sources: &SecretSources,
    cluster: &Cluster,
    demanded: bool,
) -> Result<SecretInputs, Failure> {
    let inputs = &loaded.descriptor.secret_inputs;
    sources.are_of(&inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>())?;
    let mut reader = Reader::new(&planned.plan.granted, sources, cluster);
    let mut secrets = SecretInputs::default();
    for input in inputs {
        let steps = planned.plan.plugin_plan.stages.iter().flat_map(|stage| &stage.steps);
        let used = steps.into_iter().any(|step| uses(step, &input.name));
        if !used {
            continue;
        }
        match reader.value(&input.name).await? {
            Some(value) => secrets.insert(input.name.clone(), value),
            None if input.required && demanded => {
                let other = inputs.iter().find(|other| input.falls_back_to.as_ref() == Some(&other.name));
                let or = other.map(|other| format!(" or {}", other.env)).unwrap_or_default();
                return Err(Error::SecretMissing {
                    name: input.name.clone(),
                    env: format!("{}{or}", input.env),
                    summary: input.summary.clone(),
                }
                .into());
            }
            None => {}
        }
    }
    // What the release has outside the cluster and the plan no longer wants is taken away with the inputs of then.
    if let Some(release) = release {
        reader.granted = &release.plan.granted;
        elsewhere(release, &mut secrets, &mut reader).await?;
    }
    Ok(secrets)
}

/// Those that take away what a release has outside the cluster, as far as they are set: the release's own grants say which
/// it may use.
pub(crate) async fn secrets_of(
    release: &Release,
    sources: &SecretSources,
    cluster: &Cluster,
) -> Result<SecretInputs, Failure> {
    let mut reader = Reader::new(&release.plan.granted, sources, cluster);
    sources.are_of(&reader.inputs().map(|input| input.name).collect::<Vec<_>>())?;
    let mut secrets = SecretInputs::default();
    elsewhere(release, &mut secrets, &mut reader).await?;
    Ok(secrets)
}

async fn elsewhere<'a>(
    release: &'a Release,
    secrets: &mut SecretInputs,
    reader: &mut Reader<'a>,
) -> Result<(), Failure> {
    for name in release.external.iter().filter_map(|step| step.auth.password_input()) {
        if secrets.get(name).is_none()
            && let Some(value) = reader.value(name).await?
        {
            secrets.insert(name, value);
        }
    }
    Ok(())
}

/// Reads what was granted, each input once: stdin gives its value a single time.
struct Reader<'a> {
    granted: &'a [Permission],
    sources: &'a SecretSources,
    cluster: &'a Cluster,
    read: BTreeMap<String, Option<SecretText>>,
}

/// A secret input as it was granted.
struct GrantedInput<'a> {
    name: &'a str,
    env: &'a str,
    falls_back_to: Option<&'a str>,
}

impl<'a> Reader<'a> {
    fn new(granted: &'a [Permission], sources: &'a SecretSources, cluster: &'a Cluster) -> Self {
        Self { granted, sources, cluster, read: BTreeMap::new() }
    }

    fn inputs(&self) -> impl Iterator<Item = GrantedInput<'a>> {
        self.granted.iter().filter_map(|permission| match permission {
            Permission::SecretInput { name, env, falls_back_to } => {
                Some(GrantedInput { name, env, falls_back_to: falls_back_to.as_deref() })
            }
            _ => None,
        })
    }

    /// The value of an input, or of the one that it falls back to. None: neither was granted and supplied.
    async fn value(&mut self, name: &str) -> Result<Option<SecretText>, Failure> {
        let Some(input) = self.inputs().find(|input| input.name == name) else { return Ok(None) };
        let value = self.own_value(&input).await?;
        let other = input.falls_back_to.filter(|_| value.is_none());
        match other.and_then(|other| self.inputs().find(|input| input.name == other)) {
            Some(other) => self.own_value(&other).await,
            None => Ok(value),
        }
    }

    async fn own_value(&mut self, input: &GrantedInput<'_>) -> Result<Option<SecretText>, Failure> {
        if let Some(value) = self.read.get(input.name) {
            return Ok(value.clone());
        }
        let value = self.sources.read(input.name, input.env, self.cluster).await?;
        self.read.insert(input.name.to_owned(), value.clone());
        Ok(value)
    }
}

fn uses(step: &Step, input: &str) -> bool {
    match step {
        Step::Secret(secret) => match &secret.content {
            SecretContent::Entries(entries) => {
                entries.iter().any(|entry| entry.source == SecretSource::Input(input.to_owned()))
            }
            SecretContent::Mirror(_) => false,
        },
        Step::External(external) => external.auth.password_input().is_some_and(|name| name == input),
        Step::Object(_) | Step::Image(_) | Step::PodFiles(_) | Step::Restart(_) => false,
    }
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    serde_json::from_value(document(path)?).map_err(|error| Failure::file(path, error))
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// All of a file that has at most `limit` bytes.
fn text(path: &Path, limit: u64) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if is_stdin(path) {
        std::io::stdin().lock().take(limit + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_string(&mut text))
    };
    if read.map_err(|error| Failure::file(path, error))? as u64 > limit {
        return Err(Failure::file(path, format!("it is longer than {} MiB", limit >> 20)));
    }
    Ok(text)
}

/// One YAML document; JSON is YAML.
fn document(path: &Path) -> Result<Value, Failure> {
    let text = text(path, MAX_FILE)?;
    // By way of YAML's own values, which refuse a key that is there twice.
    let value: serde_norway::Value =
        serde_norway::from_str(&text).map_err(|error| Failure::file(path, error))?;
    serde_json::to_value(value).map_err(|error| Failure::file(path, error))
}
