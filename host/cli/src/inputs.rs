//! Reads what the person gives: settings, grants, facts, secrets.

use crate::args::{OfflineInputs, PlanInputs, PluginArgs};
use crate::failure::Failure;
use crate::secrets::SecretSources;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::Path;
use thinkube_engine::model::{Fact, Granting, Grants, Held, Permission, SecretContent, SecretSource, Step};
use thinkube_engine::{
    Cluster, Error, Loaded, Planned, Release, Sandbox, SandboxConfig, SecretInputs, SettingsSchema,
};

/// No settings, grants or facts file is longer; what is, is the wrong file.
const MAX_FILE: u64 = 16 << 20;

/// Opens and asks the plugin what it is.
pub(crate) async fn load(args: &PluginArgs) -> Result<Loaded, Failure> {
    let mut config = SandboxConfig::default();
    if args.no_cache {
        config.cache = None;
    }
    let limit = config.limits.component_bytes;
    let bytes = thinkube_engine::read_plugin(&args.plugin, limit as u64).await?;
    let sandbox = Sandbox::new(config).map_err(Error::from)?;
    Ok(thinkube_engine::load(&sandbox, &bytes).await?)
}

/// Files in order, then single settings.
pub(crate) fn settings(inputs: &PlanInputs, schema: &SettingsSchema) -> Result<Value, Failure> {
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
    Ok(Value::Object(settings))
}

/// Who says what the plugin is allowed: the person, else what its release was allowed before, else the plugin.
pub(crate) fn granting(inputs: &PlanInputs, held: Option<Held>) -> Result<Granting, Failure> {
    let Some(path) = &inputs.grants else {
        let held = held.filter(|_| !inputs.grant_requested);
        return Ok(held.map_or(Granting::AsRequested, Granting::Held));
    };
    Grants::from_value(document(path)?).map(Granting::Only).map_err(|error| Failure::file(path, error))
}

pub(crate) fn facts(inputs: &OfflineInputs) -> Result<Vec<Fact>, Failure> {
    inputs.facts.as_deref().map_or_else(|| Ok(Vec::new()), read)
}

/// The values of the secret inputs that the plan uses. `demanded`: one that is required and missing is an error.
pub(crate) async fn secrets(
    loaded: &Loaded,
    planned: &Planned,
    release: Option<&Release>,
    sources: &SecretSources,
    cluster: &Cluster,
    demanded: bool,
) -> Result<SecretInputs, Failure> {
    let inputs = &loaded.descriptor.secret_inputs;
    sources.are_of(&inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>())?;
    let mut secrets = SecretInputs::default();
    for input in inputs {
        let steps = planned.plan.outline.stages.iter().flat_map(|stage| &stage.steps);
        let used = steps.into_iter().any(|step| uses(step, &input.name));
        let permission = Permission::SecretInput { name: input.name.clone(), env: input.env.clone() };
        if !used || !planned.plan.granted.contains(&permission) {
            continue;
        }
        match sources.read(&input.name, &input.env, cluster).await? {
            Some(value) => secrets.insert(input.name.clone(), value),
            None if input.required && demanded => {
                return Err(Error::SecretMissing {
                    name: input.name.clone(),
                    env: input.env.clone(),
                    summary: input.summary.clone(),
                }
                .into());
            }
            None => {}
        }
    }
    // What the release has outside the cluster and the plan no longer wants is taken away with the inputs of then.
    match release {
        Some(release) => secrets_of(release, secrets, sources, cluster).await,
        None => Ok(secrets),
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

/// `secrets`, and those that take away what a release has outside the cluster, as far as they are set: the release's own
/// grants say which it may use.
pub(crate) async fn secrets_of(
    release: &Release,
    mut secrets: SecretInputs,
    sources: &SecretSources,
    cluster: &Cluster,
) -> Result<SecretInputs, Failure> {
    let wanted = |input: &str| {
        release.external.iter().any(|step| step.auth.password_input().is_some_and(|name| name == input))
    };
    for (name, env) in granted_inputs(release).filter(|(name, _)| wanted(name)) {
        // Stdin can be read once.
        if secrets.get(name).is_none()
            && let Some(value) = sources.read(name, env, cluster).await?
        {
            secrets.insert(name, value);
        }
    }
    Ok(secrets)
}

/// The secret inputs that a release may use, with the variable of each.
pub(crate) fn granted_inputs(release: &Release) -> impl Iterator<Item = (&str, &str)> {
    release.plan.granted.iter().filter_map(|permission| match permission {
        Permission::SecretInput { name, env } => Some((name.as_str(), env.as_str())),
        _ => None,
    })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    serde_json::from_value(document(path)?).map_err(|error| Failure::file(path, error))
}

/// One YAML document; JSON is YAML.
fn document(path: &Path) -> Result<Value, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_FILE + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
    };
    if read.map_err(|error| Failure::file(path, error))? as u64 > MAX_FILE {
        return Err(Failure::file(path, format!("it is longer than {} MiB", MAX_FILE >> 20)));
    }
    // By way of YAML's own values, which refuse a key that is there twice.
    let value: serde_norway::Value =
        serde_norway::from_str(&text).map_err(|error| Failure::file(path, error))?;
    serde_json::to_value(value).map_err(|error| Failure::file(path, error))
}
