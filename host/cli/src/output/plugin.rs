//! A plugin as `inspect` and `build` show it.

use crate::output::terminal::{FAINT, GOOD, STRONG};
use crate::output::text::{Text, line, styled, table, text, untrusted};
use serde_json::{Value, json};
use std::path::Path;
use thinkube_engine::model::{Dependency, Descriptor, Digest, Operation, SecretInput};
use thinkube_engine::{Capability, LoadedPlugin};

/// What is known of a plugin, apart from its compiled component.
pub(crate) struct PluginFacts<'a> {
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) operations: Vec<&'a Operation>,
    pub(crate) digest: &'a Digest,
    pub(crate) contract: String,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) imports: Vec<String>,
}

impl<'a> PluginFacts<'a> {
    pub(crate) fn of(loaded: &'a LoadedPlugin) -> Self {
        let plugin = &loaded.plugin;
        Self {
            descriptor: &loaded.descriptor,
            operations: loaded.operations.iter().map(|loaded| &loaded.operation).collect(),
            digest: plugin.digest(),
            contract: format!("thinkube:plugin@{}", plugin.contract_version()),
            capabilities: plugin.capabilities(),
            imports: plugin.imports().to_vec(),
        }
    }
}

pub(crate) fn inspect(facts: &PluginFacts<'_>) -> Text {
    let descriptor = facts.descriptor;
    let mut text = Text::default();
    let title = styled(STRONG, untrusted(&descriptor.title));
    line!(text, "{} {}: {}", title, untrusted(&descriptor.version), untrusted(&descriptor.summary));
    text.push(&summary(facts));
    line!(text, "\n{}", styled(STRONG, "Settings"));
    text.push(&settings_table(&descriptor.settings_schema));
    if !descriptor.secret_inputs.is_empty() {
        line!(text, "\n{}", styled(STRONG, "Secret inputs"));
        text.push(&table(&descriptor.secret_inputs.iter().map(secret_input).collect::<Vec<_>>()));
    }
    if !facts.operations.is_empty() {
        line!(text, "\n{}", styled(STRONG, "Operations"));
        for operation in &facts.operations {
            text.push(&operation_lines(operation));
        }
    }
    if !descriptor.dependencies.is_empty() {
        line!(text, "\n{}", styled(STRONG, "Dependencies"));
        text.push(&table(&descriptor.dependencies.iter().map(dependency).collect::<Vec<_>>()));
    }
    line!(text, "\n{}", styled(STRONG, "Requested permissions"));
    for permission in descriptor.requested() {
        line!(text, "  {}", untrusted(permission.describe()));
    }
    line!(text, "\n{}", styled(STRONG, "Imports"));
    text.push(&imports(&facts.imports));
    text
}

pub(crate) fn inspect_json(facts: &PluginFacts<'_>) -> Value {
    json!({
        "digest": facts.digest,
        "contract": facts.contract,
        "offers": facts.capabilities,
        "imports": facts.imports,
        "operations": facts.operations,
        "descriptor": facts.descriptor,
    })
}

pub(crate) fn built(loaded: &LoadedPlugin, file: &Path, bytes: usize) -> Text {
    let (descriptor, digest) = (&loaded.descriptor, loaded.plugin.digest().clone());
    let plugin = untrusted(format!("{} {}", descriptor.name, descriptor.version));
    let kib = bytes.div_ceil(1024);
    text!(
        "{} {} into {}, {} KiB, {}\n",
        styled(GOOD, "built"),
        plugin,
        untrusted(file.display()),
        kib,
        digest
    )
}

pub(crate) fn built_json(loaded: &LoadedPlugin, file: &Path, bytes: usize) -> Value {
    json!({
        "file": file,
        "bytes": bytes,
        "digest": loaded.plugin.digest(),
        "name": loaded.descriptor.name,
        "version": loaded.descriptor.version,
        "contract": loaded.plugin.contract_version(),
    })
}

fn summary(facts: &PluginFacts<'_>) -> Text {
    let descriptor = facts.descriptor;
    let mut provides = vec!["plans"];
    provides.extend(facts.capabilities.iter().map(|capability| match capability {
        Capability::Checks => "checks",
        Capability::Workstation => "workstation files",
        Capability::Operations => "operations",
    }));
    let order = descriptor.deployment_order.map_or("none".to_owned(), |order| order.to_string());
    let row = |name: &'static str, value: &str| vec![name.into(), untrusted(value)];
    table(&[
        row("name", &descriptor.name),
        row("digest", &facts.digest.to_string()),
        row("contract", &facts.contract),
        row("provides", &provides.join(", ")),
        row("deployment order", &order),
        row("license", &descriptor.license),
        row("source", &descriptor.source),
    ])
}

fn secret_input(input: &SecretInput) -> Vec<Text> {
    let fallback = input.falls_back_to.as_ref().map(|other| format!(", else {other}")).unwrap_or_default();
    let required = if input.required { "required" } else { "" };
    vec![
        untrusted(&input.name),
        untrusted(format!("from ${}{fallback}", input.env)),
        required.into(),
        untrusted(&input.summary),
    ]
}

fn operation_lines(operation: &Operation) -> Text {
    let mut text = Text::default();
    line!(text, "  {}: {}", untrusted(&operation.name), untrusted(&operation.title));
    for input in &operation.secret_inputs {
        line!(text, "    secret input {}", untrusted(input));
    }
    for row in settings_table(&operation.arguments_schema).lines() {
        line!(text, "  {}", row);
    }
    text
}

fn dependency(dependency: &Dependency) -> Vec<Text> {
    let order = dependency.deployment_order.map_or(Text::default(), |order| text!("order {}", order));
    let optional = if dependency.optional { "optional" } else { "" };
    vec![untrusted(&dependency.service), order, optional.into()]
}

fn imports(imports: &[String]) -> Text {
    let mut text = Text::default();
    let (wasi, other): (Vec<_>, Vec<_>) = imports.iter().partition(|import| import.starts_with("wasi:"));
    for import in other {
        line!(text, "  {}", untrusted(import));
    }
    line!(
        text,
        "  {} WASI interfaces, all without effect: no files, network, environment or real clock",
        wasi.len()
    );
    text
}

/// A row for each property of a settings schema: its name, type, default and first line of its description.
fn settings_table(schema: &Value) -> Text {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    let rows: Vec<Vec<Text>> = properties
        .into_iter()
        .flatten()
        .map(|(name, property)| {
            let default = match property.get("default").or_else(|| property.get("x-thinkube-default")) {
                Some(Value::String(text)) => untrusted(text),
                Some(Value::Null) | None if required.contains(&name.as_str()) => "required".into(),
                Some(Value::Null) | None => Text::default(),
                Some(other) => untrusted(other),
            };
            let description = property.get("description").and_then(Value::as_str).unwrap_or_default();
            let about = match property.get("x-thinkube-unused").and_then(Value::as_str) {
                Some(reason) => styled(FAINT, untrusted(format!("no effect: {reason}"))),
                None => untrusted(description.lines().next().unwrap_or_default()),
            };
            vec![untrusted(name), untrusted(type_of(property)), default, about]
        })
        .collect();
    table(&rows)
}

fn type_of(property: &Value) -> String {
    match property.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    }
}
