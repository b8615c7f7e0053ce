//! Reads what the person gives: settings, grants, facts, secrets.

use crate::args::{OfflineInputs, PlanInputs, PluginArgs};
use crate::failure::Failure;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::Path;
use thinkube_engine::model::{Fact, Grants, Permission, SecretContent, SecretSource, Step};
use thinkube_engine::{
    Error, Loaded, Planned, Release, Sandbox, SandboxConfig, SecretInputs, SecretText, SettingsSchema,
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

pub(crate) fn grants(inputs: &PlanInputs) -> Result<Option<Grants>, Failure> {
    let Some(path) = &inputs.grants else { return Ok(None) };
    Grants::from_value(document(path)?).map(Some).map_err(|error| Failure::file(path, error))
}

pub(crate) fn facts(inputs: &OfflineInputs) -> Result<Vec<Fact>, Failure> {
    inputs.facts.as_deref().map_or_else(|| Ok(Vec::new()), read)
}

/// The values of the secret inputs that the plan uses, from the environment. `demanded`: one that is required and
/// missing is an error.
pub(crate) fn secrets(
    loaded: &Loaded,
    planned: &Planned,
    release: Option<&Release>,
    demanded: bool,
) -> Result<SecretInputs, Failure> {
    let mut secrets = SecretInputs::default();
    for input in &loaded.descriptor.secret_inputs {
        let used = planned
            .plan
            .outline
            .stages
            .iter()
            .flat_map(|stage| &stage.steps)
            .any(|step| uses(step, &input.name));
        let permission = Permission::SecretInput { name: input.name.clone(), env: input.env.clone() };
        if !planned.plan.granted.contains(&permission) {
            continue;
        }
        // An empty variable is a mistake in a script more often than an empty password.
        match std::env::var(&input.env).ok().filter(|value| !value.is_empty()) {
            Some(value) if used => secrets.insert(input.name.clone(), SecretText::new(value)),
            None if used && input.required && demanded => {
                return Err(Error::SecretMissing {
                    name: input.name.clone(),
                    env: input.env.clone(),
                    summary: input.summary.clone(),
                }
                .into());
            }
            _ => {}
        }
    }
    // What the release has outside the cluster and the plan no longer wants is taken away with the inputs of then.
    secrets.extend(release.map(secrets_of).unwrap_or_default());
    Ok(secrets)
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

/// The secrets that take away what a release has outside the cluster, as far as they are set: the release's own grants
/// say where each may be read from.
pub(crate) fn secrets_of(release: &Release) -> SecretInputs {
    let wanted = |input: &str| {
        release.external.iter().any(|step| step.auth.password_input().is_some_and(|name| name == input))
    };
    let granted = release.plan.granted.iter().filter_map(|permission| match permission {
        Permission::SecretInput { name, env } if wanted(name) => Some((name, env)),
        _ => None,
    });
    granted
        .filter_map(|(name, env)| {
            let value = std::env::var(env).ok().filter(|value| !value.is_empty())?;
            Some((name.clone(), SecretText::new(value)))
        })
        .collect()
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
