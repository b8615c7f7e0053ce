//! Loads a plugin: compiles its component, asks for its descriptor and operations, and validates both.

mod source;

pub use source::read as read_plugin;

use crate::error::Error;
use std::sync::Arc;
use std::time::Duration;
use thinkube_plan::{Descriptor, Operation, is_dns_label};
use thinkube_sandbox::{Capability, LogLine, Plugin, Sandbox};
use thinkube_validate::SettingsSchema;

/// A compiled plugin with its descriptor.
pub struct LoadedPlugin {
    /// The compiled component.
    pub plugin: Plugin,
    /// The plugin's description of itself.
    pub descriptor: Descriptor,
    /// The schema of its settings, compiled.
    pub schema: Arc<SettingsSchema>,
    /// The operations that it offers.
    pub operations: Vec<LoadedOperation>,
    /// What the plugin logged while it was loaded.
    pub log: Vec<LogLine>,
}

/// An operation that a plugin offers.
pub struct LoadedOperation {
    /// The plugin's description of the operation.
    pub operation: Operation,
    /// The schema of its arguments, compiled.
    pub schema: Arc<SettingsSchema>,
}

/// Compiles the component in `bytes` (or takes it from the cache) and asks the plugin to describe itself.
///
/// # Errors
/// [`Error::Plugin`] if `bytes` is not a valid plugin or the plugin fails, [`Error::Schema`] and [`Error::Descriptor`] if the
/// descriptor breaks the contract.
pub async fn load(sandbox: &Sandbox, bytes: &[u8]) -> Result<LoadedPlugin, Error> {
    let plugin = sandbox.load(bytes).await?;
    let called = plugin.describe().await?;
    let descriptor = called.value;
    let schema = descriptor.settings_schema.clone();
    let schema = Arc::new(with_deadline("the settings schema", move || SettingsSchema::new(schema)).await??);
    if !is_dns_label(&descriptor.name) {
        return Err(Error::Descriptor(format!(
            "its name `{}` is not a valid DNS label (RFC 1123)",
            descriptor.name
        )));
    }
    if let Some(setting) = &descriptor.namespace_setting
        && !schema.has(setting)
    {
        return Err(Error::Descriptor(format!("its namespace setting `{setting}` is not in its schema")));
    }
    if let Some(fault) = descriptor.secret_input_fault() {
        return Err(Error::Descriptor(fault));
    }
    for permission in &descriptor.permissions {
        let fault = match permission.settings() {
            Ok(names) => names
                .into_iter()
                .find(|name| !schema.has(name))
                .map(|name| format!("it names `{name}`, which is not a setting")),
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault {
            return Err(Error::Descriptor(format!("its permission to {permission}: {fault}")));
        }
    }
    let mut log = called.log;
    let mut operations = Vec::new();
    if plugin.capabilities().contains(&Capability::Operations) {
        let called = plugin.operations().await?;
        log.extend(called.log);
        for operation in called.value {
            operations.push(offered(&descriptor, &operations, operation).await?);
        }
    }
    Ok(LoadedPlugin { plugin, descriptor, schema, operations, log })
}

async fn offered(
    descriptor: &Descriptor,
    others: &[LoadedOperation],
    operation: Operation,
) -> Result<LoadedOperation, Error> {
    let name = &operation.name;
    let wrong = |message: String| Err(Error::Descriptor(format!("operation `{name}`: {message}")));
    if !is_dns_label(name) {
        return wrong("its name is not a valid DNS label (RFC 1123)".to_owned());
    }
    if others.iter().any(|other| other.operation.name == *name) {
        return wrong("another operation has this name".to_owned());
    }
    let stated = |input: &&String| descriptor.secret_inputs.iter().all(|stated| stated.name != **input);
    if let Some(input) = operation.secret_inputs.iter().find(stated) {
        return wrong(format!("its secret input `{input}` is not among the plugin's secret inputs"));
    }
    let schema = operation.arguments_schema.clone();
    let schema = Arc::new(with_deadline("an arguments schema", move || SettingsSchema::new(schema)).await??);
    Ok(LoadedOperation { operation, schema })
}

/// The time that validating settings by a schema may take. The plugin chooses both; most take a millisecond.
const SCHEMA: Duration = Duration::from_secs(5);

/// Runs `work` on a thread of its own, because references in a plugin's schema can multiply without end and Ctrl-C must
/// still work.
pub(crate) async fn with_deadline<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    match tokio::time::timeout(SCHEMA, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(_)) | Err(_) => {
            Err(Error::Descriptor(format!("{what} could not be judged within {} s", SCHEMA.as_secs())))
        }
    }
}
