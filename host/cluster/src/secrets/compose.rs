//! Composes a Secret from its sources. Values are in memory only: nothing here may log, show or store one.

use crate::api::confidential::CONFIDENTIAL;
use crate::release::applyset::PART_OF;
use crate::secrets::template::fill;
use crate::secrets::value::{Bytes, ComposeError, Copies, text_of, value_of};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use rand::TryRngCore as _;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use thinkube_plan::{
    Binding, Encoding, ObjectRef, Output, Outputs, RandomText, SecretEntry, SecretKey, SecretSource,
    SecretStep, Template, TemplateError, Values,
};
use zeroize::Zeroizing;

/// The type of a Secret that has none.
const OPAQUE: &str = "Opaque";

/// What the entries of a Secret are composed from.
pub(crate) struct Sources<'a> {
    pub(crate) values: &'a Values,
    /// The Secret in the cluster, whose random values are kept.
    pub(crate) live: Option<&'a Value>,
    pub(crate) copies: &'a Copies,
    /// Whether random values are generated where none exists.
    pub(crate) generate: bool,
}

/// The Secret as it is sent to the server.
pub(crate) fn compose(
    step: &SecretStep,
    entries: &[SecretEntry],
    applyset: &str,
    sources: &Sources<'_>,
) -> Result<Value, ComposeError> {
    let mut values: BTreeMap<&str, Bytes> = BTreeMap::new();
    for entry in entries {
        if let Some(value) = direct(entry, sources)? {
            values.insert(&entry.key, value);
        }
    }
    let mut templates = BTreeMap::new();
    for entry in entries {
        if let SecretSource::Template(text) = &entry.source {
            let template: Template = text.parse().map_err(|error: TemplateError| ComposeError::Template {
                key: entry.key.clone(),
                message: error.to_string(),
            })?;
            templates.insert(entry.key.as_str(), template);
        }
    }
    for key in templates.keys() {
        fill(key, &templates, &mut values, &mut Vec::new())?;
    }
    let mut data = Map::new();
    for (key, value) in &values {
        let value = if step.discloses() { text_of(key, value)?.to_owned() } else { STANDARD.encode(value) };
        data.insert((*key).to_owned(), value.into());
    }
    Ok(secret(step, applyset, data.into()))
}

/// A Secret with the keys and the type of another Secret, `live`.
pub(crate) fn mirror(
    step: &SecretStep,
    applyset: &str,
    source: &ObjectRef,
    live: Option<&Value>,
) -> Result<Value, ComposeError> {
    let live = live.ok_or_else(|| ComposeError::Mirror { of: source.clone() })?;
    let found = live["type"].as_str().unwrap_or(OPAQUE);
    if found != step.secret_type {
        return Err(ComposeError::MirrorType { of: source.clone(), found: found.to_owned() });
    }
    let data = live.get("data").filter(|data| data.is_object()).cloned();
    Ok(secret(step, applyset, data.unwrap_or_else(|| json!({}))))
}

fn secret(step: &SecretStep, applyset: &str, data: Value) -> Value {
    let mut labels = json!(step.labels);
    labels[PART_OF] = json!(applyset);
    let mut object = json!({
        "apiVersion": "v1",
        "kind": step.target.kind,
        "metadata": {"name": step.target.name, "namespace": step.target.namespace, "labels": labels},
        "data": data,
    });
    if step.discloses() {
        object["metadata"]["annotations"] = json!({CONFIDENTIAL: "true"});
    } else {
        object["type"] = json!(step.secret_type);
    }
    object
}

/// The keys of other Secrets that entries copy.
pub(crate) fn copies(entries: &[SecretEntry]) -> impl Iterator<Item = &SecretKey> {
    entries.iter().filter_map(|entry| match &entry.source {
        SecretSource::Copy(source) => Some(source),
        _ => None,
    })
}

/// A manifest with the outputs of other steps at the pointers of its bindings.
pub(crate) fn bind(
    mut manifest: Value,
    bindings: &[Binding],
    outputs: &Outputs,
) -> Result<Value, ComposeError> {
    for Binding { pointer, source } in bindings {
        let wrong = |message| ComposeError::Binding { pointer: pointer.clone(), message };
        let text = match outputs.get(source) {
            Some(Output::Open(text)) => text.clone(),
            // A manifest is shown, recorded, and readable in the cluster.
            Some(Output::Secret(_)) => {
                return Err(wrong("the output is secret, and only a Secret may hold it"));
            }
            None => return Err(ComposeError::Output { output: source.clone() }),
        };
        let field = manifest.pointer_mut(pointer).ok_or_else(|| wrong("the manifest has no such field"))?;
        *field = text.into();
    }
    Ok(manifest)
}

fn direct(entry: &SecretEntry, sources: &Sources<'_>) -> Result<Option<Bytes>, ComposeError> {
    let key = || entry.key.clone();
    Ok(Some(match &entry.source {
        SecretSource::Plain(text) => Zeroizing::new(text.clone().into_bytes()),
        SecretSource::Input(name) => {
            let text = sources
                .values
                .inputs
                .get(name)
                .ok_or_else(|| ComposeError::Input { key: key(), input: name.clone() })?;
            Zeroizing::new(text.expose().as_bytes().to_vec())
        }
        SecretSource::Random(random) => {
            let kept =
                sources.live.and_then(|live| value_of(live, &entry.key)).filter(|value| !value.is_empty());
            match kept {
                Some(kept) => kept,
                None if sources.generate => generate(random)?,
                None => return Err(ComposeError::Random),
            }
        }
        SecretSource::Rotated(random) if sources.generate => generate(random)?,
        SecretSource::Rotated(_) => return Err(ComposeError::Random),
        SecretSource::Kept => {
            let kept = sources.live.and_then(|live| value_of(live, &entry.key));
            kept.ok_or_else(|| ComposeError::Kept { key: key() })?
        }
        SecretSource::Copy(source) => {
            let at = (source.namespace.clone(), source.name.clone(), source.key.clone());
            let found = sources.copies.get(&at);
            found.cloned().ok_or_else(|| ComposeError::Copy { key: key(), from: source.clone() })?
        }
        SecretSource::Template(_) => return Ok(None),
        SecretSource::Output(output) => match sources.values.outputs.get(output) {
            Some(Output::Open(text)) => Zeroizing::new(text.clone().into_bytes()),
            Some(Output::Secret(text)) => Zeroizing::new(text.expose().as_bytes().to_vec()),
            None => return Err(ComposeError::Output { output: output.clone() }),
        },
    }))
}

fn generate(random: &RandomText) -> Result<Bytes, ComposeError> {
    let mut bytes = Zeroizing::new(vec![0; random.bytes as usize]);
    // The operating system's generator fails only where the system has none.
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|_| ComposeError::Random)?;
    let text = match random.encoding {
        Encoding::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Encoding::Base64 => STANDARD.encode(bytes.as_slice()),
        Encoding::Base64Url => URL_SAFE.encode(bytes.as_slice()),
    };
    Ok(Zeroizing::new(text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use thinkube_plan::{OnUninstall, OutputRef, SecretContent, SecretInputs};

    fn step(entries: Vec<(&str, SecretSource)>) -> SecretStep {
        let entries =
            entries.into_iter().map(|(key, source)| SecretEntry { key: key.into(), source }).collect();
        SecretStep {
            name: "s".into(),
            target: ObjectRef {
                api_version: "v1".into(),
                kind: "Secret".into(),
                namespace: Some("n".into()),
                name: "s".into(),
            },
            secret_type: "Opaque".into(),
            labels: BTreeMap::new(),
            content: SecretContent::Entries(entries),
            on_uninstall: OnUninstall::Delete,
        }
    }

    fn composed(step: &SecretStep, live: Option<&Value>, generate: bool) -> Result<Value, ComposeError> {
        let inputs: SecretInputs =
            [("admin".to_owned(), thinkube_plan::SecretText::new("hunter2".into()))].into_iter().collect();
        let SecretContent::Entries(entries) = &step.content else { panic!("the step has entries") };
        let mut outputs = Outputs::default();
        let text = thinkube_plan::SecretText::new("output".into());
        outputs.insert("client", "secret", Output::Secret(text));
        outputs.insert("image", "digest", Output::Open("sha256:0".into()));
        let values = Values { inputs, outputs };
        let copies = BTreeMap::from([(
            ("o".to_owned(), "x".to_owned(), "k".to_owned()),
            Zeroizing::new(b"copied".to_vec()),
        )]);
        compose(step, entries, "id", &Sources { values: &values, live, copies: &copies, generate })
    }

    fn text(secret: &Value, key: &str) -> String {
        String::from_utf8(value_of(secret, key).unwrap().to_vec()).unwrap()
    }

    fn template(text: &str) -> SecretSource {
        SecretSource::Template(text.into())
    }

    fn output(step: &str, output: &str) -> SecretSource {
        SecretSource::Output(OutputRef { step: step.into(), output: output.into() })
    }

    fn random(bytes: u32, encoding: Encoding) -> SecretSource {
        SecretSource::Random(RandomText { bytes, encoding })
    }

    #[test]
    fn every_source_is_composed_into_the_secret() {
        let copy = SecretKey { namespace: "o".into(), name: "x".into(), key: "k".into() };
        let step = step(vec![
            ("url", template("http://${user}:${password}@host/$$${more}")),
            ("more", template("[${copy}]")),
            ("user", SecretSource::Plain("root".into())),
            ("password", SecretSource::Input("admin".into())),
            ("copy", SecretSource::Copy(copy)),
            ("client", output("client", "secret")),
            ("image", output("image", "digest")),
            ("hex", random(16, Encoding::Hex)),
            ("b64", random(3, Encoding::Base64Url)),
        ]);
        let secret = composed(&step, None, true).unwrap();
        assert_eq!(text(&secret, "url"), "http://root:hunter2@host/$[copied]");
        assert_eq!((text(&secret, "client"), text(&secret, "image")), ("output".into(), "sha256:0".into()));
        assert_eq!(text(&secret, "hex").len(), 32);
        assert_eq!(text(&secret, "b64").len(), 4);
        assert_eq!(secret["type"], "Opaque");
    }

    #[test]
    fn a_manifest_takes_open_outputs_and_no_secret_ones() {
        let mut outputs = Outputs::default();
        outputs.insert("image", "reference", Output::Open("r@sha256:0".into()));
        outputs.insert("client", "secret", Output::Secret(thinkube_plan::SecretText::new("s".into())));
        let binding = |pointer: &str, step: &str, output: &str| Binding {
            pointer: pointer.into(),
            source: OutputRef { step: step.into(), output: output.into() },
        };
        let manifest = json!({"spec": {"image": "", "other": 1}});
        let bound =
            bind(manifest.clone(), &[binding("/spec/image", "image", "reference")], &outputs).unwrap();
        assert_eq!(bound, json!({"spec": {"image": "r@sha256:0", "other": 1}}));
        for (binding, expected) in [
            (binding("/spec/none", "image", "reference"), "no such field"),
            (binding("/spec/image", "client", "secret"), "secret"),
            (binding("/spec/image", "image", "digest"), "digest"),
        ] {
            let error = format!("{:?}", bind(manifest.clone(), &[binding], &outputs).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_mirror_has_the_keys_and_the_type_of_its_source() {
        let source = step(vec![]).target;
        let mut step = step(vec![]);
        step.secret_type = "kubernetes.io/tls".into();
        let live = json!({"metadata": {"name": "x", "labels": {"theirs": "x"}}, "type": "kubernetes.io/tls",
            "data": {"tls.crt": "YQ==", "tls.key": "Yg=="}});
        let secret = mirror(&step, "id", &source, Some(&live)).unwrap();
        assert_eq!((&secret["type"], &secret["data"]), (&live["type"], &live["data"]));
        assert_eq!(secret["metadata"]["labels"], json!({PART_OF: "id"}));
        assert_eq!(
            mirror(&step, "id", &source, None).unwrap_err(),
            ComposeError::Mirror { of: source.clone() }
        );
        step.secret_type = OPAQUE.into();
        let found = "kubernetes.io/tls".to_owned();
        assert_eq!(
            mirror(&step, "id", &source, Some(&live)).unwrap_err(),
            ComposeError::MirrorType { of: source, found }
        );
    }

    #[test]
    fn random_text_is_generated_once_and_kept() {
        let step = step(vec![("cookie", random(32, Encoding::Base64))]);
        assert_eq!(composed(&step, None, false).unwrap_err(), ComposeError::Random);
        let first = composed(&step, None, true).unwrap();
        let again = composed(&step, Some(&first), true).unwrap();
        assert_eq!(first, again);
        assert_ne!(first, composed(&step, None, true).unwrap());
    }

    #[test]
    fn a_confidential_config_map_holds_text_and_its_annotation() {
        let mut step = step(vec![
            ("password", SecretSource::Input("admin".into())),
            ("service.yaml", template("service: {password: ${password:json}}")),
        ]);
        step.target.kind = "ConfigMap".into();
        step.secret_type = String::new();
        step.labels = [("managed".to_owned(), "true".to_owned())].into();
        let expected = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "s", "namespace": "n", "annotations": {CONFIDENTIAL: "true"},
                "labels": {PART_OF: "id", "managed": "true"}},
            "data": {"password": "hunter2", "service.yaml": "service: {password: \"hunter2\"}"}});
        let composed = composed(&step, None, true).unwrap();
        assert_eq!(composed, expected);
        assert_eq!(*value_of(&composed, "password").unwrap(), b"hunter2");
    }

    #[test]
    fn a_value_stays_within_the_json_quotes_of_a_template() {
        let hostile = "\"\nadmin: true\t\\ ä";
        let quoted = step(vec![
            ("json", template("[${plain:json}, ${other:json}]")),
            ("other", template("$$${plain}")),
            ("plain", SecretSource::Plain(hostile.into())),
        ]);
        let secret = composed(&quoted, None, true).unwrap();
        let read: Value = serde_json::from_str(&text(&secret, "json")).unwrap();
        assert_eq!(read, json!([hostile, format!("${hostile}")]));
    }

    #[test]
    fn an_error_names_the_input_and_no_value() {
        let missing = step(vec![("p", SecretSource::Input("root".into()))]);
        let error = composed(&missing, None, true).unwrap_err();
        assert_eq!(error, ComposeError::Input { key: "p".into(), input: "root".into() });
        let cycle = step(vec![
            ("a", template("${b}")),
            ("b", template("${a}")),
            ("v", SecretSource::Input("admin".into())),
        ]);
        let ComposeError::Template { message, .. } = composed(&cycle, None, true).unwrap_err() else {
            panic!()
        };
        assert!(message.contains("refers to itself") && !message.contains("hunter2"), "{message}");
        for wrong in ["${nope}", "${open", "$x"] {
            assert!(matches!(
                composed(&step(vec![("a", template(wrong))]), None, true),
                Err(ComposeError::Template { .. })
            ));
        }
    }
}
