//! The secret inputs that a plan or an uninstall uses, each read once: stdin gives its value a single time.

use crate::error::CliError;
use crate::input::secret_source::SecretSources;
use std::collections::BTreeMap;
use thinkube_engine::model::{Permission, SecretContent, SecretInput, SecretSource, Step};
use thinkube_engine::{Cluster, Error, LoadedPlugin, Planned, Release, SecretInputs, SecretText};

/// The secret inputs that a plan uses, and those that remove external resources which the plan no longer has.
/// `require`: a required input without a value is an error.
pub(crate) async fn for_plan(
    loaded: &LoadedPlugin,
    planned: &Planned,
    release: Option<&Release>,
    sources: &SecretSources,
    cluster: &Cluster,
    require: bool,
) -> Result<SecretInputs, CliError> {
    let inputs = &loaded.descriptor.secret_inputs;
    sources.require_known(&inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>())?;
    let mut reader = SecretReader::new(&planned.plan.granted, sources, cluster);
    let mut secrets = SecretInputs::default();
    for input in inputs {
        let steps = planned.plan.plugin_plan.stages.iter().flat_map(|stage| &stage.steps);
        if !steps.into_iter().any(|step| uses(step, &input.name)) {
            continue;
        }
        match reader.value(&input.name).await? {
            Some(value) => secrets.insert(input.name.clone(), value),
            None if input.required && require => return Err(missing(input, inputs)),
            None => {}
        }
    }
    // External resources that the plan no longer has were created under the release's own grants.
    if let Some(release) = release {
        reader.granted = &release.plan.granted;
        add_external(release, &mut secrets, &mut reader).await?;
    }
    Ok(secrets)
}

/// The secret inputs that remove the external resources of a release. One without a value is left out.
pub(crate) async fn for_uninstall(
    release: &Release,
    sources: &SecretSources,
    cluster: &Cluster,
) -> Result<SecretInputs, CliError> {
    let mut reader = SecretReader::new(&release.plan.granted, sources, cluster);
    sources.require_known(&reader.inputs().map(|input| input.name).collect::<Vec<_>>())?;
    let mut secrets = SecretInputs::default();
    add_external(release, &mut secrets, &mut reader).await?;
    Ok(secrets)
}

/// An input can be supplied through its own variable, and through that of the input that falls back to it.
fn missing(input: &SecretInput, inputs: &[SecretInput]) -> CliError {
    let other = inputs.iter().find(|other| input.falls_back_to.as_ref() == Some(&other.name));
    let or = other.map(|other| format!(" or {}", other.env)).unwrap_or_default();
    let env = format!("{}{or}", input.env);
    Error::SecretMissing { name: input.name.clone(), env, summary: input.summary.clone() }.into()
}

async fn add_external<'a>(
    release: &'a Release,
    secrets: &mut SecretInputs,
    reader: &mut SecretReader<'a>,
) -> Result<(), CliError> {
    for name in release.external.iter().filter_map(|step| step.auth.password_input()) {
        if secrets.get(name).is_none()
            && let Some(value) = reader.value(name).await?
        {
            secrets.insert(name, value);
        }
    }
    Ok(())
}

/// Whether a step uses the secret input.
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

/// Reads granted secret inputs and remembers their values.
struct SecretReader<'a> {
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

impl<'a> SecretReader<'a> {
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

    /// The value of an input, or of the input that it falls back to. None: neither is granted and supplied.
    async fn value(&mut self, name: &str) -> Result<Option<SecretText>, CliError> {
        let Some(input) = self.inputs().find(|input| input.name == name) else { return Ok(None) };
        let value = self.own_value(&input).await?;
        let other = input.falls_back_to.filter(|_| value.is_none());
        match other.and_then(|other| self.inputs().find(|input| input.name == other)) {
            Some(other) => self.own_value(&other).await,
            None => Ok(value),
        }
    }

    async fn own_value(&mut self, input: &GrantedInput<'_>) -> Result<Option<SecretText>, CliError> {
        if let Some(value) = self.read.get(input.name) {
            return Ok(value.clone());
        }
        let value = self.sources.read(input.name, input.env, self.cluster).await?;
        self.read.insert(input.name.to_owned(), value.clone());
        Ok(value)
    }
}
