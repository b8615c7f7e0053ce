//! How things look: text for people, JSON for programs.

mod image;

use crate::out;
use crate::out::{BAD, CARE, FAINT, GOOD, STRONG, clean, clean_line, styled, table};
use crate::workstation::AtHome;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;
use thinkube_engine::model::{
    Check, FieldChange, FieldEdit, HttpTarget, ObjectRef, OnUninstall, Plan, Probe, SecretContent, SecretKey,
    SecretSource, SecretStep, Severity, Status, Step, widened,
};
use thinkube_engine::{
    Action, Applied, Capability, Change, ChangesByKind, CheckOutcome, ClusterEvent, Event, Level,
    LoadedOperation, LoadedPlugin, LogLine, ObjectStatus, Phase, Planned, Preview, Release, Taken,
    UninstallReport, UninstallRequest,
};

/// Values longer than this are cut in text; JSON has them whole.
const MAX_VALUE: usize = 120;

/// Appends a line. Writing to a String cannot fail.
macro_rules! line {
    ($text:expr, $($format:tt)*) => {{ let _: std::fmt::Result = writeln!($text, $($format)*); }};
}

/// Something of a plugin's or a server's, on one line and without effect on the terminal.
fn foreign(text: impl std::fmt::Display) -> String {
    clean_line(&text.to_string())
}

fn heading(text: &mut String, title: &str) {
    line!(text, "\n{}", styled(STRONG, title));
}

fn yaml(value: &Value) -> String {
    serde_norway::to_string(value).unwrap_or_else(|_| value.to_string())
}

pub(crate) fn descriptor(loaded: &LoadedPlugin) -> String {
    let (descriptor, plugin) = (&loaded.descriptor, &loaded.plugin);
    let mut text = String::new();
    line!(
        text,
        "{} {}: {}",
        styled(STRONG, foreign(&descriptor.title)),
        foreign(&descriptor.version),
        foreign(&descriptor.summary)
    );
    let order = descriptor.deployment_order.map_or("none".to_owned(), |order| order.to_string());
    let capabilities: Vec<&str> = plugin.capabilities().into_iter().map(offer).collect();
    let row = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
    text.push_str(&table(&[
        row("name", &descriptor.name),
        row("digest", &plugin.digest().to_string()),
        row("contract", &format!("thinkube:plugin@{}", plugin.contract_version())),
        row(
            "offers",
            if capabilities.is_empty() {
                "plans".to_owned()
            } else {
                format!("plans, {}", capabilities.join(", "))
            }
            .as_str(),
        ),
        row("deployment order", &order),
        row("license", &foreign(&descriptor.license)),
        row("source", &foreign(&descriptor.source)),
    ]));
    heading(&mut text, "Settings");
    text.push_str(&settings_table(&descriptor.settings_schema));
    if !descriptor.secret_inputs.is_empty() {
        heading(&mut text, "Secrets");
        let rows: Vec<Vec<String>> = descriptor
            .secret_inputs
            .iter()
            .map(|input| {
                let required = if input.required { "required" } else { "" };
                let or = input.falls_back_to.as_ref().map(|other| format!(", else {other}"));
                vec![
                    input.name.clone(),
                    format!("from ${}{}", input.env, or.unwrap_or_default()),
                    required.to_owned(),
                    input.summary.clone(),
                ]
            })
            .collect();
        text.push_str(&table(&rows));
    }
    if !loaded.operations.is_empty() {
        heading(&mut text, "Operations");
        for LoadedOperation { operation, .. } in &loaded.operations {
            line!(text, "  {}: {}", operation.name, foreign(&operation.title));
            for input in &operation.secret_inputs {
                line!(text, "    with the secret {}", foreign(input));
            }
            for line in settings_table(&operation.arguments_schema).lines() {
                line!(text, "  {line}");
            }
        }
    }
    if !descriptor.dependencies.is_empty() {
        heading(&mut text, "Needs");
        let rows: Vec<Vec<String>> = descriptor
            .dependencies
            .iter()
            .map(|needed| {
                let order = needed.deployment_order.map_or(String::new(), |order| format!("order {order}"));
                vec![
                    foreign(&needed.service),
                    order,
                    if needed.optional { "optional" } else { "" }.to_owned(),
                ]
            })
            .collect();
        text.push_str(&table(&rows));
    }
    heading(&mut text, "Asks to be allowed to");
    for permission in descriptor.asks() {
        line!(text, "  {}", foreign(permission.stated()));
    }
    heading(&mut text, "Imports");
    let imports = plugin.imports();
    let foreign: Vec<&String> = imports.iter().filter(|import| !import.starts_with("wasi:")).collect();
    for import in &foreign {
        line!(text, "  {import}");
    }
    let wasi = imports.len() - foreign.len();
    line!(
        text,
        "  {wasi} interfaces of WASI, all without effect: no files, network, environment or real clock"
    );
    text
}

pub(crate) fn built(loaded: &LoadedPlugin, file: &Path, bytes: usize) -> String {
    let (descriptor, digest) = (&loaded.descriptor, loaded.plugin.digest());
    format!(
        "{} {} {} is in {}, {} KiB, {digest}\n",
        styled(GOOD, "built:"),
        foreign(&descriptor.name),
        foreign(&descriptor.version),
        foreign(file.display()),
        bytes.div_ceil(1024),
    )
}

fn offer(offer: Capability) -> &'static str {
    match offer {
        Capability::Checks => "checks of its own",
        Capability::Workstation => "workstation files",
        Capability::Operations => "operations",
    }
}

fn settings_table(schema: &Value) -> String {
    let empty = serde_json::Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let rows: Vec<Vec<String>> = properties
        .iter()
        .map(|(name, property)| {
            let default = match property.get("default").or_else(|| property.get("x-thinkube-default")) {
                Some(Value::String(text)) => foreign(text),
                Some(Value::Null) | None if required.contains(&name.as_str()) => "required".to_owned(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            let unused = property.get("x-thinkube-unused").and_then(Value::as_str);
            let described = property.get("description").and_then(Value::as_str).unwrap_or_default();
            let about = match unused {
                Some(reason) => styled(FAINT, foreign(format!("no effect: {reason}"))),
                None => foreign(described.lines().next().unwrap_or_default()),
            };
            vec![foreign(name), foreign(kind_of(property)), default, about]
        })
        .collect();
    table(&rows)
}

fn kind_of(property: &Value) -> String {
    match property.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null")
            .collect::<Vec<_>>()
            .join(" or "),
        _ => String::new(),
    }
}

pub(crate) fn descriptor_json(loaded: &LoadedPlugin) -> Value {
    json!({
        "digest": loaded.plugin.digest(),
        "contract": format!("thinkube:plugin@{}", loaded.plugin.contract_version()),
        "offers": loaded.plugin.capabilities(),
        "imports": loaded.plugin.imports(),
        "operations": loaded.operations.iter().map(|offered| &offered.operation).collect::<Vec<_>>(),
        "descriptor": loaded.descriptor,
    })
}

/// The objects as a YAML stream that `kubectl diff -f -` takes. A composed Secret is there without its values.
pub(crate) fn manifests(plan: &Plan) -> String {
    let mut text = String::new();
    for stage in &plan.plugin_plan.stages {
        for step in &stage.steps {
            line!(text, "---\n# stage: {}", stage.name);
            match step {
                Step::Object(object) => text.push_str(&yaml(&object.manifest)),
                Step::Secret(secret) => {
                    for (key, source) in sources(secret) {
                        line!(text, "# {key}: {source}");
                    }
                    text.push_str(&yaml(&secret_manifest(secret)));
                }
                other => line!(text, "# {}", other.title()),
            }
        }
    }
    text
}

pub(crate) fn manifest_list(plan: &Plan) -> Value {
    let items: Vec<Value> = plan
        .plugin_plan
        .stages
        .iter()
        .flat_map(|stage| &stage.steps)
        .filter_map(|step| match step {
            Step::Object(object) => Some(object.manifest.clone()),
            Step::Secret(secret) => Some(secret_manifest(secret)),
            _ => None,
        })
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn secret_manifest(secret: &SecretStep) -> Value {
    let SecretStep { target, secret_type, labels, .. } = secret;
    let mut manifest = json!({
        "apiVersion": target.api_version, "kind": target.kind,
        "metadata": {"name": target.name, "namespace": target.namespace},
    });
    if !secret_type.is_empty() {
        manifest["type"] = json!(secret_type);
    }
    if !labels.is_empty() {
        manifest["metadata"]["labels"] = json!(labels);
    }
    manifest
}

/// Where each key's value comes from, in words.
fn sources(secret: &SecretStep) -> Vec<(String, String)> {
    match &secret.content {
        SecretContent::Mirror(source) => vec![("all keys".to_owned(), format!("mirror of {source}"))],
        SecretContent::Entries(entries) => entries
            .iter()
            .map(|entry| {
                let source = match &entry.source {
                    SecretSource::Input(name) => format!("secret input {name}"),
                    SecretSource::Random(random) => format!("{} random bytes, made once", random.bytes),
                    SecretSource::Rotated(random) => format!("{} random bytes, made anew", random.bytes),
                    SecretSource::Kept => "the value that is there".to_owned(),
                    SecretSource::Copy(key) => {
                        format!("copy of {}/{} key {}", key.namespace, key.name, key.key)
                    }
                    SecretSource::Output(output) => format!("output {} of {}", output.output, output.step),
                    SecretSource::Template(_) => "composed of other keys".to_owned(),
                    SecretSource::Plain(text) => format!("{text:?}"),
                };
                (entry.key.clone(), source)
            })
            .collect(),
    }
}

pub(crate) fn plan(loaded: &LoadedPlugin, planned: &Planned) -> String {
    whole_plan("Plan", loaded, planned)
}

pub(crate) fn operation(name: &str, loaded: &LoadedPlugin, planned: &Planned) -> String {
    whole_plan(&format!("Operation {}", styled(STRONG, name)), loaded, planned)
}

fn whole_plan(what: &str, loaded: &LoadedPlugin, planned: &Planned) -> String {
    let plan = &planned.plan;
    let mut text = String::new();
    line!(
        text,
        "{what} of release {} in namespace {}, by {} {} ({})",
        styled(STRONG, &plan.release),
        styled(STRONG, &plan.namespace),
        loaded.descriptor.title,
        plan.plugin.version,
        plan.plugin.digest.short(),
    );
    for stage in &plan.plugin_plan.stages {
        line!(text, "\nstage {}", styled(STRONG, &stage.name));
        let rows: Vec<Vec<String>> =
            stage.steps.iter().map(|step| vec![foreign(step.title()), remarks(step)]).collect();
        text.push_str(&table(&rows));
        for gate in &stage.gates {
            line!(text, "  then: {}", foreign(&gate.title));
        }
        for done in &stage.skip_if {
            line!(text, "  skipped when: {}", foreign(&done.title));
        }
    }
    let plugin_plan = &plan.plugin_plan;
    let counted = [
        ("preflight", &plugin_plan.preflight),
        ("health", &plugin_plan.health),
        ("test", &plugin_plan.tests),
    ]
    .map(|(name, checks)| format!("{} {name}", checks.len()))
    .join(", ");
    let permissions = plan.granted.len();
    let less = widened(&plan.granted, &plan.requested).len();
    let more = widened(&plan.requested, &plan.granted).len();
    let asked = match (less, more) {
        (0, 0) => "as the plugin asks".to_owned(),
        _ => format!("{more} that it does not ask for; {less} that it asks for are not"),
    };
    line!(text, "\nchecks       {counted}");
    for sent in plugin_plan.checks().filter_map(|(_, check)| secret_sent(check)) {
        line!(text, "             {sent}");
    }
    line!(text, "permissions  {permissions} granted, {asked}");
    line!(text, "facts        {}", planned.facts.len());
    line!(text, "digest       {}", planned.digest);
    text
}

/// What a check sends of a Secret, and where.
fn secret_sent(check: &Check) -> Option<String> {
    let Probe::Http(probe) = &check.probe else { return None };
    let HttpTarget::Service(service) = &probe.target else { return None };
    let SecretKey { namespace, name, key } = &probe.credentials.as_ref()?.password;
    let to = format!("{}/{}", service.namespace, service.name);
    Some(foreign(format!("{}: sends {key} of Secret {namespace}/{name} to Service {to}", check.name)))
}

fn remarks(step: &Step) -> String {
    let mut remarks = Vec::new();
    if let Step::Secret(secret) = step {
        remarks.extend(sources(secret).into_iter().map(|(key, source)| format!("{key} from {source}")));
    }
    if let Step::Secret(secret) = step
        && secret.discloses()
    {
        remarks.push("in clear, for everybody who may read it".to_owned());
    }
    if let Step::Image(image) = step {
        remarks.push(image::remark(image));
    }
    if step.on_uninstall() == OnUninstall::Retain {
        remarks.push("kept at uninstall".to_owned());
    }
    if remarks.is_empty() { String::new() } else { styled(FAINT, foreign(remarks.join("; "))) }
}

pub(crate) fn plan_json(planned: &Planned, preview: Option<&Preview>) -> Value {
    let mut value = json!({
        "digest": planned.digest,
        "plan": planned.plan,
        "facts": planned.facts,
        "unusedSettings": planned.unused,
    });
    if let Some(preview) = preview {
        let ChangesByKind { objects, external, images, pod_files } = ChangesByKind::of(&preview.changes);
        value["changes"] = json!(objects);
        value["external"] = json!(external);
        value["images"] = json!(images);
        value["podFiles"] = json!(pod_files);
    }
    value
}

/// How many variables of an inventory belong to whom, and with `names` their names. Never a value.
pub(crate) fn taken(taken: &Taken, names: bool) -> String {
    let mut text = String::new();
    line!(
        text,
        "inventory: {} of {} variables belong to other components{}; {} settings come from it",
        taken.foreign.len(),
        taken.variables(),
        if names || taken.foreign.is_empty() { "" } else { " (-v lists them)" },
        taken.taken.len(),
    );
    for (what, listed) in [
        ("taken", &taken.taken),
        ("given elsewhere too", &taken.overridden),
        ("without effect here", &taken.without_effect),
        ("of other components", &taken.foreign),
    ] {
        if names && !listed.is_empty() {
            line!(text, "  {what}: {}", foreign(listed.join(", ")));
        }
    }
    text
}

fn mark(action: Action) -> (anstyle::Style, char) {
    match action {
        Action::Create => (GOOD, '+'),
        Action::Update | Action::Restart => (CARE, '~'),
        Action::Recreate => (CARE, '±'),
        Action::Delete => (BAD, '-'),
        Action::Keep | Action::Unchanged => (FAINT, '='),
    }
}

/// What was done, and what would be done.
fn words(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Create => ("created", "to create"),
        Action::Update => ("changed", "to change"),
        Action::Recreate => ("recreated", "to recreate"),
        Action::Restart => ("restarted", "to restart"),
        Action::Delete => ("deleted", "to delete"),
        Action::Keep => ("left as it is", "left as they are"),
        Action::Unchanged => ("unchanged", "unchanged"),
    }
}

pub(crate) fn changes(preview: &Preview, release: Option<&Release>) -> String {
    let mut text = String::new();
    let now = release.map_or("not installed".to_owned(), |release| format!("revision {}", release.revision));
    line!(text, "\nagainst the cluster ({now})");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let no_pod = |change: &&Change| change.pod_file().is_some_and(|file| file.pod.is_none());
    for Change { subject, action, fields, note, .. } in
        preview.changes.iter().filter(|change| !no_pod(change))
    {
        let (style, sign) = mark(*action);
        *counts.entry(words(*action).1).or_default() += 1;
        if *action == Action::Unchanged {
            continue;
        }
        let note = note.as_ref().map(|note| styled(FAINT, foreign(format!("  {note}")))).unwrap_or_default();
        line!(text, "  {}{note}", styled(style, foreign(format!("{sign} {subject}"))));
        if matches!(action, Action::Update | Action::Recreate) {
            for field in fields {
                line!(text, "      {}", field_change(field));
            }
        }
    }
    for change in preview.changes.iter().filter(no_pod) {
        let step = change.pod_file().map(|file| file.step.as_str()).unwrap_or_default();
        let note = change.note.as_deref().unwrap_or_default();
        line!(text, "  {}", styled(FAINT, foreign(format!("= pod files {step}: {note}"))));
    }
    let counted: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    line!(text, "  {}", if counted.is_empty() { "nothing".to_owned() } else { counted.join(", ") });
    text
}

fn field_change(field: &FieldChange) -> String {
    let path = &field.path;
    match &field.change {
        FieldEdit::Add { after } => styled(GOOD, format!("+ {path}: {}", short(after))),
        FieldEdit::Remove { before } => styled(BAD, format!("- {path}: {}", short(before))),
        FieldEdit::Replace { before, after } => {
            styled(CARE, format!("~ {path}: {} → {}", short(before), short(after)))
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= MAX_VALUE {
        return text;
    }
    let cut: String = text.chars().take(MAX_VALUE).collect();
    format!("{cut}…")
}

/// A line that the plugin logged. It is the plugin's text, so it says whose it is.
pub(crate) fn log_line(line: &LogLine) -> String {
    let style = match line.level {
        Level::Error => BAD,
        Level::Warn => CARE,
        Level::Trace | Level::Debug | Level::Info => FAINT,
    };
    format!("{}\n", styled(style, format!("plugin: {}", line.message)))
}

/// Shows events as they come, each once.
pub(crate) struct Progress {
    shown: bool,
    started: Instant,
    /// What is being waited for, so that the same reasons are not said again.
    waiting: Mutex<Vec<(ObjectRef, String)>>,
}

impl Progress {
    pub(crate) fn new(shown: bool) -> Self {
        Self { shown, started: Instant::now(), waiting: Mutex::default() }
    }

    pub(crate) fn show(&self, event: &Event) {
        let text = match event {
            Event::Checked(outcome) => Some(check_line(outcome)),
            Event::Cluster(event) => self.cluster_event(event),
            Event::Building(event) => image::progress(event),
            Event::Changed(change) => Some(changed(change)),
        };
        if let Some(text) = text {
            self.say(&text);
        }
    }

    /// Shows a line, with the time since the beginning.
    pub(crate) fn say(&self, text: &str) {
        if self.shown {
            let seconds = self.started.elapsed().as_secs();
            out::to_stderr(&format!(
                "{} {text}\n",
                styled(FAINT, format!("{:>3}:{:02}", seconds / 60, seconds % 60))
            ));
        }
    }

    fn cluster_event(&self, event: &ClusterEvent) -> Option<String> {
        Some(match event {
            ClusterEvent::Recorded { release, revision, objects } => {
                format!(
                    "release {release} recorded as revision {revision}, with all of its {objects} objects"
                )
            }
            ClusterEvent::StageStarted { stage, objects, writes } => {
                format!("stage {}: {objects} objects, {writes} to write", styled(STRONG, stage))
            }
            ClusterEvent::StageSkipped { stage } => {
                format!("stage {}: done already, skipped", styled(STRONG, stage))
            }
            ClusterEvent::Applied { object, action } => {
                let (style, sign) = mark(*action);
                format!("  {} {}", styled(style, foreign(format!("{sign} {object}"))), words(*action).0)
            }
            ClusterEvent::Used { object, why } => foreign(format!("  {object} is used as it is: {why}")),
            ClusterEvent::PodFile(file) => {
                let (style, sign) = mark(file.action);
                let note = file.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
                let title = foreign(format!("{sign} {}", file.subject));
                format!("  {} {}{}", styled(style, title), words(file.action).0, foreign(note))
            }
            ClusterEvent::Waiting { objects } => return self.still_waiting(objects),
            ClusterEvent::Ready { object, after } => {
                format!(
                    "  {} ready after {:.1} s",
                    styled(GOOD, foreign(format!("✓ {object}"))),
                    after.as_secs_f64()
                )
            }
            ClusterEvent::Deleting { object } => foreign(format!("  deleting {object}")),
            ClusterEvent::Deleted { object } => {
                format!("  {} gone", styled(GOOD, foreign(format!("✓ {object}"))))
            }
            ClusterEvent::Kept { object, why } => {
                format!("  {} kept: {}", styled(CARE, foreign(object)), foreign(why))
            }
            ClusterEvent::Retrying { what, why, after } => {
                styled(CARE, foreign(format!("  {what}: {why}; again in {:.1} s", after.as_secs_f64())))
            }
            ClusterEvent::Warning(warning) => styled(CARE, foreign(format!("  the server warns: {warning}"))),
            _ => return None,
        })
    }

    fn still_waiting(&self, objects: &[(ObjectRef, String)]) -> Option<String> {
        let mut said = self.waiting.lock().ok()?;
        let news: Vec<String> = objects
            .iter()
            .filter(|waiting| !said.contains(waiting))
            .map(|(object, why)| foreign(format!("  … waiting for {object}: {why}")))
            .collect();
        *said = objects.to_vec();
        if news.is_empty() { None } else { Some(news.join("\n       ")) }
    }
}

/// What was done to an external resource or an image.
fn changed(change: &Change) -> String {
    if let Some(image) = change.image() {
        return image::done(image, change.action);
    }
    let (style, sign) = mark(change.action);
    let title = foreign(format!("{sign} {} {}", change.subject, words(change.action).0));
    format!("  {}", styled(style, title))
}

fn check_line(outcome: &CheckOutcome) -> String {
    let (style, sign) = match (outcome.verdict.status, outcome.severity) {
        (Status::Passed, _) => (GOOD, '✓'),
        (_, Severity::Warning) => (CARE, '!'),
        (Status::Failed, Severity::Error) => (BAD, '✗'),
        (Status::Unknown, Severity::Error) => (BAD, '?'),
    };
    let mut text = format!("  {}", styled(style, foreign(format!("{sign} {}", outcome.title))));
    if !outcome.passed() {
        let _: std::fmt::Result = write!(text, "\n      seen: {}", foreign(&outcome.verdict.message));
    }
    if let Some(remedy) = outcome.remedy() {
        let _: std::fmt::Result = write!(text, "\n      do:   {}", foreign(remedy));
    }
    text
}

pub(crate) fn checks(outcomes: &[CheckOutcome]) -> String {
    let mut text: String = outcomes.iter().map(|outcome| check_line(outcome) + "\n").collect();
    let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
    line!(text, "  {passed} of {} checks hold", outcomes.len());
    text
}

pub(crate) fn applied(applied: &Applied) -> String {
    let Release { name, revision, plan, digest, .. } = &applied.release;
    let mut text = String::new();
    if applied.changed {
        line!(text, "{} {name} is at revision {revision}, plan {digest}", styled(GOOD, "applied:"));
    } else {
        line!(
            text,
            "{} {name} is at revision {revision} already, plan {digest}",
            styled(GOOD, "nothing to do:")
        );
    }
    if !applied.health.is_empty() {
        let passed = applied.health.iter().filter(|outcome| outcome.passed()).count();
        line!(text, "{passed} of {} health checks hold", applied.health.len());
    }
    if let Some(notes) = &plan.plugin_plan.notes {
        line!(text, "\n{}", clean(notes.trim_end()));
    }
    text
}

pub(crate) fn applied_json(applied: &Applied) -> Value {
    json!({
        "changed": applied.changed,
        "release": release_summary(&applied.release),
        "health": applied.health,
        "notes": applied.release.plan.plugin_plan.notes,
    })
}

pub(crate) fn operated(operation: &str, planned: &Planned, done: &Applied) -> String {
    let mut text = String::new();
    let Release { name, revision, .. } = &done.release;
    line!(text, "{} {operation} on {name}, which is at revision {revision}", styled(GOOD, "done:"));
    if !done.health.is_empty() {
        let passed = done.health.iter().filter(|outcome| outcome.passed()).count();
        line!(text, "{passed} of {} health checks hold", done.health.len());
    }
    if let Some(notes) = &planned.plan.plugin_plan.notes {
        line!(text, "\n{}", clean(notes.trim_end()));
    }
    text
}

pub(crate) fn operated_json(operation: &str, planned: &Planned, done: &Applied) -> Value {
    json!({
        "operation": operation,
        "release": release_summary(&done.release),
        "health": done.health,
        "notes": planned.plan.plugin_plan.notes,
    })
}

pub(crate) fn release_summary(release: &Release) -> Value {
    let Release {
        name,
        namespace,
        revision,
        phase,
        message,
        plan,
        digest,
        inventory,
        external,
        images,
        pod_files,
        applyset_id,
        updated,
    } = release;
    let external = external.iter().map(|step| json!({"name": step.name, "baseUrl": step.base_url}));
    json!({
        "name": name,
        "namespace": namespace,
        "revision": revision,
        "phase": phase,
        "message": message,
        "plugin": plan.plugin,
        "digest": digest,
        "objects": inventory.len(),
        "external": external.collect::<Vec<_>>(),
        "images": images,
        "podFiles": pod_files,
        "applysetId": applyset_id,
        "updated": updated,
    })
}

pub(crate) fn releases(releases: &[Release]) -> String {
    if releases.is_empty() {
        return "nothing is installed\n".to_owned();
    }
    let mut rows =
        vec![["release", "namespace", "plugin", "revision", "phase", "updated"].map(str::to_owned).to_vec()];
    rows.extend(releases.iter().map(|release| {
        let plugin = &release.plan.plugin;
        vec![
            release.name.clone(),
            release.namespace.clone(),
            format!("{} {}", plugin.name, plugin.version),
            release.revision.to_string(),
            phase(release.phase),
            release.updated.clone(),
        ]
    }));
    table(&rows)
}

fn phase(phase: Phase) -> String {
    let style = match phase {
        Phase::Deployed => GOOD,
        Phase::Failed | Phase::Interrupted => BAD,
        Phase::Applying | Phase::Operating | Phase::Uninstalling => CARE,
    };
    styled(style, phase)
}

pub(crate) fn release(release: &Release, objects: &[ObjectStatus]) -> String {
    let plugin = &release.plan.plugin;
    let mut text = String::new();
    line!(
        text,
        "{} in namespace {}: {}",
        styled(STRONG, &release.name),
        release.namespace,
        phase(release.phase)
    );
    if let Some(message) = &release.message {
        line!(text, "  {}", clean(message));
    }
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    text.push_str(&table(&[
        row("revision", format!("{} of {}", release.revision, release.updated)),
        row("plugin", format!("{} {} ({})", plugin.name, plugin.version, plugin.digest)),
        row("plan", release.digest.to_string()),
        row(
            "objects",
            format!("kubectl get KIND -A -l applyset.kubernetes.io/part-of={}", release.applyset_id),
        ),
    ]));
    text.push_str(&image::recorded(&release.images));
    let mut stage = "";
    for object in objects {
        if object.entry.stage != stage {
            stage = &object.entry.stage;
            line!(text, "\nstage {}", styled(STRONG, stage));
        }
        let (style, sign) = if object.ready { (GOOD, '✓') } else { (BAD, '✗') };
        line!(
            text,
            "  {}  {}",
            styled(style, foreign(format!("{sign} {}", object.entry.object))),
            foreign(&object.message)
        );
    }
    text
}

pub(crate) fn release_json(release: &Release, objects: &[ObjectStatus]) -> Value {
    let mut value = release_summary(release);
    value["inventory"] = json!(objects);
    value["settings"] = release.plan.settings.clone();
    value["granted"] = json!(release.plan.granted);
    value
}

pub(crate) fn uninstalling(
    release: &Release,
    request: &UninstallRequest,
    at_home: Option<&AtHome>,
) -> String {
    let options = &request.objects;
    let mut text = String::new();
    line!(text, "Release {} in namespace {}:", styled(STRONG, &release.name), release.namespace);
    for entry in release.inventory.iter().rev() {
        if entry.on_uninstall == OnUninstall::Retain && !options.delete_data {
            line!(text, "  {}", styled(FAINT, format!("= {} is kept", entry.object)));
        } else {
            line!(text, "  {}", styled(BAD, format!("- {}", entry.object)));
        }
    }
    for step in release.external.iter().rev() {
        let title = format!("external resource {} at {}", step.name, step.base_url);
        line!(text, "  {}", goes(&title, options.orphans_external(&step.name)));
    }
    for entry in release.pod_files.iter().rev() {
        let files = entry.files.keys().chain(entry.lines.iter().map(|line| &line.path));
        for path in files {
            let labels = &entry.label_selector;
            let title = format!("{path} in pods of {} with {labels}", entry.namespace);
            line!(text, "  {}", goes(&title, options.orphans_pod_files(&entry.step)));
        }
    }
    for built in &release.images {
        line!(text, "  {}", image::going(built, request.delete_images));
    }
    if let Some(at_home) = at_home {
        let title = format!("what it has in {}", at_home.home.display());
        line!(text, "  {}", goes(&title, !at_home.ours));
    }
    text
}

fn goes(title: &str, left: bool) -> String {
    match left {
        true => styled(FAINT, foreign(format!("= {title} is left behind"))),
        false => styled(BAD, foreign(format!("- {title}"))),
    }
}

pub(crate) fn uninstalled(
    name: &str,
    home: &str,
    taken: &UninstallReport,
    at_home: Option<&AtHome>,
) -> String {
    let mut text = String::new();
    line!(text, "{} {name}: {} objects are gone", styled(GOOD, "uninstalled"), taken.objects.deleted.len());
    for external in &taken.external {
        match external.action {
            Action::Keep => {
                let title = foreign(&external.subject);
                let why = external.note.as_deref().unwrap_or("the plan says so");
                line!(text, "  {} stays: {}", styled(CARE, title), foreign(why));
            }
            _ => line!(text, "  {} is gone", foreign(&external.subject)),
        }
    }
    for file in &taken.objects.pod_files {
        let title = foreign(&file.subject);
        match &file.note {
            Some(note) => line!(text, "  {} stays: {}", styled(CARE, title), foreign(note)),
            None => line!(text, "  {title} is gone"),
        }
    }
    for image in &taken.images {
        line!(text, "  {}", image::gone(image));
    }
    for (object, why) in &taken.objects.kept {
        line!(text, "  {} stays: {}", styled(CARE, foreign(object)), foreign(why));
    }
    if let Some(AtHome { home, ours, left }) = at_home {
        let title = foreign(format!("what it had in {}", home.display()));
        match ours {
            true => line!(text, "  {title} is gone"),
            false => line!(
                text,
                "  {} stays: other settings have put it there; `thinkube-host workstation remove {name}` takes it back",
                styled(CARE, title)
            ),
        }
        for left in left {
            line!(text, "    {}", styled(CARE, foreign(left.to_string())));
        }
    }
    line!(text, "  namespace {home} stays: it is the host's own, for all releases");
    text
}
