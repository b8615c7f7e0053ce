//! Installed releases, as `status` shows them.

use crate::output::image;
use crate::output::terminal::{BAD, CARE, GOOD, STRONG};
use crate::output::text::{Text, indented, line, styled, table, untrusted};
use serde_json::{Value, json};
use thinkube_engine::{ObjectStatus, Phase, Release};

/// One row for each release.
pub(crate) fn releases(releases: &[Release]) -> Text {
    if releases.is_empty() {
        return "no releases are installed\n".into();
    }
    let mut rows =
        vec![["release", "namespace", "plugin", "revision", "phase", "updated"].map(Text::from).to_vec()];
    rows.extend(releases.iter().map(|release| {
        let plugin = &release.plan.plugin;
        vec![
            untrusted(&release.name),
            untrusted(&release.namespace),
            untrusted(format!("{} {}", plugin.name, plugin.version)),
            untrusted(release.revision),
            phase(release.phase),
            untrusted(&release.updated),
        ]
    }));
    table(&rows)
}

/// A release without its objects.
pub(crate) fn summary_json(release: &Release) -> Value {
    let external = release.external.iter().map(|step| json!({"name": step.name, "baseUrl": step.base_url}));
    json!({
        "name": release.name,
        "namespace": release.namespace,
        "revision": release.revision,
        "phase": release.phase,
        "message": release.message,
        "plugin": release.plan.plugin,
        "digest": release.digest,
        "objects": release.inventory.len(),
        "external": external.collect::<Vec<_>>(),
        "images": release.images,
        "podFiles": release.pod_files,
        "applysetId": release.applyset_id,
        "updated": release.updated,
    })
}

/// One release with each of its objects.
pub(crate) fn release(release: &Release, objects: &[ObjectStatus]) -> Text {
    let mut text = Text::default();
    let name = styled(STRONG, untrusted(&release.name));
    line!(text, "{} in namespace {}: {}", name, untrusted(&release.namespace), phase(release.phase));
    if let Some(message) = &release.message {
        text.push(&indented(message));
    }
    let plugin = &release.plan.plugin;
    let row = |name: &'static str, value: String| vec![name.into(), untrusted(value)];
    let select = format!("kubectl get KIND -A -l applyset.kubernetes.io/part-of={}", release.applyset_id);
    text.push(&table(&[
        row("revision", format!("{}, updated {}", release.revision, release.updated)),
        row("plugin", format!("{} {} ({})", plugin.name, plugin.version, plugin.digest)),
        row("plan", release.digest.to_string()),
        row("objects", select),
    ]));
    text.push(&image::recorded(&release.images));
    let mut stage = "";
    for object in objects {
        if object.entry.stage != stage {
            stage = &object.entry.stage;
            line!(text, "\nstage {}", styled(STRONG, untrusted(stage)));
        }
        let (style, sign) = if object.ready { (GOOD, '✓') } else { (BAD, '✗') };
        let name = styled(style, untrusted(format!("{sign} {}", object.entry.object)));
        line!(text, "  {}  {}", name, untrusted(&object.message));
    }
    text
}

pub(crate) fn release_json(release: &Release, objects: &[ObjectStatus]) -> Value {
    let mut value = summary_json(release);
    value["inventory"] = json!(objects);
    value["settings"] = release.plan.settings.clone();
    value["granted"] = json!(release.plan.granted);
    value
}

fn phase(phase: Phase) -> Text {
    let style = match phase {
        Phase::Deployed => GOOD,
        Phase::Failed | Phase::Interrupted => BAD,
        Phase::Applying | Phase::Operating | Phase::Uninstalling => CARE,
    };
    styled(style, untrusted(phase))
}
