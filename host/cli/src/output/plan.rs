//! A plan and its preview, as `plan`, `apply` and `run` show them.

use crate::output::changes;
use crate::output::image;
use crate::output::terminal::{FAINT, STRONG};
use crate::output::text::{Text, line, styled, table, text, untrusted};
use serde_json::{Value, json};
use thinkube_engine::model::{
    Check, HttpTarget, OnUninstall, Plan, Probe, SecretContent, SecretKey, SecretSource, SecretStep, Step,
    widened,
};
use thinkube_engine::{ChangesByKind, Planned, Preview, Release};

/// The plan of a release. `title` is the plugin's.
pub(crate) fn plan(title: &str, planned: &Planned) -> Text {
    with_heading("Plan".into(), title, planned)
}

/// The plan of an operation on a release.
pub(crate) fn operation(name: &str, title: &str, planned: &Planned) -> Text {
    with_heading(text!("Operation {}", styled(STRONG, untrusted(name))), title, planned)
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

/// What an apply of the plan would change.
pub(crate) fn preview(preview: &Preview, release: Option<&Release>) -> Text {
    let mut text = Text::default();
    match release {
        Some(release) => line!(text, "\ncompared with the cluster (revision {})", release.revision),
        None => line!(text, "\ncompared with the cluster (not installed)"),
    }
    text.push(&changes::preview(preview));
    text
}

fn with_heading(what: Text, title: &str, planned: &Planned) -> Text {
    let plan = &planned.plan;
    let mut text = Text::default();
    line!(
        text,
        "{} of release {} in namespace {}, by {} ({})",
        what,
        styled(STRONG, untrusted(&plan.release)),
        styled(STRONG, untrusted(&plan.namespace)),
        untrusted(format!("{title} {}", plan.plugin.version)),
        untrusted(plan.plugin.digest.short()),
    );
    text.push(&stages(plan));
    text.push(&summary(planned));
    text
}

fn stages(plan: &Plan) -> Text {
    let mut text = Text::default();
    for stage in &plan.plugin_plan.stages {
        line!(text, "\nstage {}", styled(STRONG, untrusted(&stage.name)));
        let rows: Vec<Vec<Text>> =
            stage.steps.iter().map(|step| vec![untrusted(step.title()), remarks(step)]).collect();
        text.push(&table(&rows));
        for gate in &stage.gates {
            line!(text, "  then: {}", untrusted(&gate.title));
        }
        for condition in &stage.skip_if {
            line!(text, "  skipped if: {}", untrusted(&condition.title));
        }
    }
    text
}

fn summary(planned: &Planned) -> Text {
    let (plan, plugin_plan) = (&planned.plan, &planned.plan.plugin_plan);
    let mut text = Text::default();
    line!(
        text,
        "\nchecks       {} preflight, {} health, {} test",
        plugin_plan.preflight.len(),
        plugin_plan.health.len(),
        plugin_plan.tests.len(),
    );
    for sent in plugin_plan.checks().filter_map(|(_, check)| secret_sent(check)) {
        line!(text, "             {}", sent);
    }
    let missing = widened(&plan.granted, &plan.requested).len();
    let extra = widened(&plan.requested, &plan.granted).len();
    let compared = match (missing, extra) {
        (0, 0) => "as requested".into(),
        _ => text!("{} not requested; {} requested are not granted", extra, missing),
    };
    line!(text, "permissions  {} granted, {}", plan.granted.len(), compared);
    line!(text, "facts        {}", planned.facts.len());
    line!(text, "digest       {}", planned.digest.clone());
    text
}

/// The Secret key that a check sends, and the Service that gets it.
fn secret_sent(check: &Check) -> Option<Text> {
    let Probe::Http(probe) = &check.probe else { return None };
    let HttpTarget::Service(service) = &probe.target else { return None };
    let SecretKey { namespace, name, key } = &probe.credentials.as_ref()?.password;
    let to = format!("{}/{}", service.namespace, service.name);
    Some(untrusted(format!("{}: sends {key} of Secret {namespace}/{name} to Service {to}", check.name)))
}

fn remarks(step: &Step) -> Text {
    let mut remarks = Vec::new();
    if let Step::Secret(secret) = step {
        remarks
            .extend(secret_sources(secret).into_iter().map(|(key, source)| format!("{key} from {source}")));
        if secret.discloses() {
            remarks.push("readable by anyone who can read this ConfigMap".to_owned());
        }
    }
    if let Step::Image(image) = step {
        remarks.push(image::planned(image));
    }
    if step.on_uninstall() == OnUninstall::Retain {
        remarks.push("kept at uninstall".to_owned());
    }
    if remarks.is_empty() { Text::default() } else { styled(FAINT, untrusted(remarks.join("; "))) }
}

/// Each key of a Secret and the source of its value.
pub(crate) fn secret_sources(secret: &SecretStep) -> Vec<(String, String)> {
    let entries = match &secret.content {
        SecretContent::Mirror(source) => {
            return vec![("all keys".to_owned(), format!("mirror of {source}"))];
        }
        SecretContent::Entries(entries) => entries,
    };
    let source = |source: &SecretSource| match source {
        SecretSource::Input(name) => format!("secret input {name}"),
        SecretSource::Random(random) => format!("{} random bytes, created once", random.bytes),
        SecretSource::Rotated(random) => format!("{} new random bytes", random.bytes),
        SecretSource::Kept => "the existing value".to_owned(),
        SecretSource::Copy(key) => format!("copy of {}/{} key {}", key.namespace, key.name, key.key),
        SecretSource::Output(output) => format!("output {} of {}", output.output, output.step),
        SecretSource::Template(_) => "composed of other keys".to_owned(),
        SecretSource::Plain(text) => format!("{text:?}"),
    };
    entries.iter().map(|entry| (entry.key.clone(), source(&entry.source))).collect()
}
