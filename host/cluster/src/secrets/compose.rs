//! Makes a Secret from its sources. Values are in memory only: nothing here is logged, shown or kept.

use crate::diff::normalize::CONFIDENTIAL;
use crate::release::applyset::PART_OF;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use rand::TryRngCore as _;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use thinkube_plan::{
    Binding, Encoding, ObjectRef, Output, OutputRef, Outputs, RandomText, SecretEntry, SecretKey,
    SecretSource, SecretStep, Values,
};
use zeroize::Zeroizing;

pub(crate) type Bytes = Zeroizing<Vec<u8>>;

/// What keeps a Secret from being made. No variant holds a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The operator did not supply it.
    Input { key: String, input: String },
    /// Another Secret, or the key in it, is not there.
    Copy { key: String, source: SecretKey },
    /// The Secret to mirror is not there.
    Mirror { source: ObjectRef },
    /// The Secret to mirror is of another type than the plan takes it for.
    MirrorType { source: ObjectRef, found: String },
    /// It has to be made, and this is only a look.
    Random,
    /// It is to be kept, and is not there.
    Kept { key: String },
    /// The workload that is to have new pods is not there.
    Restart,
    /// The template is wrong.
    Template { key: String, message: String },
    /// It is no text, and goes where only text can.
    NotText { key: String },
    /// A step has not yielded it, or not yet.
    Output { at: OutputRef },
    /// A place in a manifest can't be filled in.
    Binding { pointer: String, message: &'static str },
}

pub(crate) struct Sources<'a> {
    pub(crate) values: &'a Values,
    /// The Secret as it is; random values are kept from it.
    pub(crate) live: Option<&'a Value>,
    pub(crate) copies: &'a BTreeMap<(String, String, String), Bytes>,
    /// Whether random values may be made.
    pub(crate) make: bool,
}

/// The Secret as it is sent to the server.
pub(crate) fn compose(
    step: &SecretStep,
    entries: &[SecretEntry],
    applyset: &str,
    sources: &Sources<'_>,
) -> Result<Value, Lack> {
    let mut values: BTreeMap<&str, Bytes> = BTreeMap::new();
    for entry in entries {
        if let Some(value) = direct(entry, sources)? {
            values.insert(&entry.key, value);
        }
    }
    let templates: BTreeMap<&str, &str> = entries
        .iter()
        .filter_map(|entry| match &entry.source {
            SecretSource::Template(text) => Some((entry.key.as_str(), text.as_str())),
            _ => None,
        })
        .collect();
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

fn text_of<'v>(key: &str, value: &'v [u8]) -> Result<&'v str, Lack> {
    std::str::from_utf8(value).map_err(|_| Lack::NotText { key: key.to_owned() })
}

/// A Secret with every key and the type of another one, which is as the server answers it.
pub(crate) fn mirror(
    step: &SecretStep,
    applyset: &str,
    source: &ObjectRef,
    live: Option<&Value>,
) -> Result<Value, Lack> {
    let live = live.ok_or_else(|| Lack::Mirror { source: source.clone() })?;
    let found = live["type"].as_str().unwrap_or(OPAQUE);
    if found != step.secret_type {
        return Err(Lack::MirrorType { source: source.clone(), found: found.to_owned() });
    }
    let data = live.get("data").filter(|data| data.is_object()).cloned();
    Ok(secret(step, applyset, data.unwrap_or_else(|| json!({}))))
}

/// What the server takes a Secret without a type for.
const OPAQUE: &str = "Opaque";

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

/// A manifest with what other steps have yielded in the places that are kept for it.
pub(crate) fn bind(mut manifest: Value, bindings: &[Binding], outputs: &Outputs) -> Result<Value, Lack> {
    for Binding { pointer, source } in bindings {
        let wrong = |message| Lack::Binding { pointer: pointer.clone(), message };
        let text = match outputs.get(source) {
            Some(Output::Open(text)) => text.clone(),
            // A manifest is shown, recorded and readable in the cluster.
            Some(Output::Secret(_)) => {
                return Err(wrong("the output is secret, and only a Secret may hold it"));
            }
            None => return Err(Lack::Output { at: source.clone() }),
        };
        let place =
            manifest.pointer_mut(pointer).ok_or_else(|| wrong("there is no such place in the manifest"))?;
        *place = text.into();
    }
    Ok(manifest)
}

/// The value of a key in a Secret, or in a ConfigMap with secrets, as the server answers it.
pub(crate) fn value_of(secret: &Value, key: &str) -> Option<Bytes> {
    let encoded = secret.get("data")?.get(key)?.as_str()?;
    if secret["kind"] == "ConfigMap" {
        return Some(Zeroizing::new(encoded.as_bytes().to_vec()));
    }
    STANDARD.decode(encoded).ok().map(Zeroizing::new)
}

fn direct(entry: &SecretEntry, sources: &Sources<'_>) -> Result<Option<Bytes>, Lack> {
    let key = || entry.key.clone();
    Ok(Some(match &entry.source {
        SecretSource::Plain(text) => Zeroizing::new(text.clone().into_bytes()),
        SecretSource::Input(name) => {
            let text = sources
                .values
                .inputs
                .get(name)
                .ok_or_else(|| Lack::Input { key: key(), input: name.clone() })?;
            Zeroizing::new(text.expose().as_bytes().to_vec())
        }
        SecretSource::Random(random) => {
            let kept =
                sources.live.and_then(|live| value_of(live, &entry.key)).filter(|value| !value.is_empty());
            match kept {
                Some(kept) => kept,
                None if sources.make => make(random)?,
                None => return Err(Lack::Random),
            }
        }
        SecretSource::Rotated(random) if sources.make => make(random)?,
        SecretSource::Rotated(_) => return Err(Lack::Random),
        SecretSource::Kept => {
            let kept = sources.live.and_then(|live| value_of(live, &entry.key));
            kept.ok_or_else(|| Lack::Kept { key: key() })?
        }
        SecretSource::Copy(source) => {
            let at = (source.namespace.clone(), source.name.clone(), source.key.clone());
            let found = sources.copies.get(&at);
            found.cloned().ok_or_else(|| Lack::Copy { key: key(), source: source.clone() })?
        }
        SecretSource::Template(_) => return Ok(None),
        SecretSource::Output(at) => match sources.values.outputs.get(at) {
            Some(Output::Open(text)) => Zeroizing::new(text.clone().into_bytes()),
            Some(Output::Secret(text)) => Zeroizing::new(text.expose().as_bytes().to_vec()),
            None => return Err(Lack::Output { at: at.clone() }),
        },
    }))
}

fn make(random: &RandomText) -> Result<Bytes, Lack> {
    let mut bytes = Zeroizing::new(vec![0; random.bytes as usize]);
    // The operating system's generator; it fails only where there is none.
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|_| Lack::Random)?;
    let text = match random.encoding {
        Encoding::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Encoding::Base64 => STANDARD.encode(bytes.as_slice()),
        Encoding::Base64Url => URL_SAFE.encode(bytes.as_slice()),
    };
    Ok(Zeroizing::new(text.into_bytes()))
}

fn fill<'a>(
    key: &'a str,
    templates: &BTreeMap<&'a str, &'a str>,
    values: &mut BTreeMap<&'a str, Bytes>,
    above: &mut Vec<&'a str>,
) -> Result<(), Lack> {
    if values.contains_key(key) {
        return Ok(());
    }
    let wrong = |message: String| Lack::Template { key: key.to_owned(), message };
    if above.contains(&key) {
        return Err(wrong(format!("it refers to itself: {} → {key}", above.join(" → "))));
    }
    above.push(key);
    let mut text: Bytes = Zeroizing::new(Vec::new());
    let mut rest = templates.get(key).copied().unwrap_or_default();
    while let Some(at) = rest.find('$') {
        text.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            text.push(b'$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| wrong("a `${` has no `}`".into()))?;
            // No key has a colon.
            let (name, quoted) = name.strip_suffix(":json").map_or((name, false), |name| (name, true));
            if templates.contains_key(name) {
                fill(name, templates, values, above)?;
            }
            let known: Vec<&str> = values.keys().copied().collect();
            let value = values.get(name).ok_or_else(|| {
                wrong(format!("`${{{name}}}` is no key of this Secret; it has {}", known.join(", ")))
            })?;
            if quoted {
                let quoted = serde_json::to_vec(text_of(name, value)?).map(Zeroizing::new);
                text.extend_from_slice(&quoted.map_err(|error| wrong(error.to_string()))?);
            } else {
                text.extend_from_slice(value);
            }
            rest = after;
        } else {
            return Err(wrong("a `$` must be followed by `{` or another `$`".into()));
        }
    }
    text.extend_from_slice(rest.as_bytes());
    above.pop();
    values.insert(key, text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use thinkube_plan::{OnUninstall, SecretContent, SecretInputs};

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

    fn composed(step: &SecretStep, live: Option<&Value>, make: bool) -> Result<Value, Lack> {
        let inputs: SecretInputs =
            [("admin".to_owned(), thinkube_plan::SecretText::new("hunter2".into()))].into_iter().collect();
        let SecretContent::Entries(entries) = &step.content else { panic!("it has entries") };
        let mut outputs = Outputs::default();
        let text = thinkube_plan::SecretText::new("yielded".into());
        outputs.insert("client", "secret", Output::Secret(text));
        outputs.insert("image", "digest", Output::Open("sha256:0".into()));
        let values = Values { inputs, outputs };
        let copies = BTreeMap::from([(
            ("o".to_owned(), "x".to_owned(), "k".to_owned()),
            Zeroizing::new(b"copied".to_vec()),
        )]);
        compose(step, entries, "id", &Sources { values: &values, live, copies: &copies, make })
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
    fn every_source_ends_in_the_secret() {
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
        assert_eq!((text(&secret, "client"), text(&secret, "image")), ("yielded".into(), "sha256:0".into()));
        assert_eq!(text(&secret, "hex").len(), 32);
        assert_eq!(text(&secret, "b64").len(), 4);
        assert_eq!(secret["type"], "Opaque");
    }

    #[test]
    fn an_open_output_fills_a_place_of_a_manifest_and_a_secret_one_never_does() {
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
        for (wrong, lack) in [
            (binding("/spec/none", "image", "reference"), "no such place"),
            (binding("/spec/image", "client", "secret"), "secret"),
            (binding("/spec/image", "image", "digest"), "digest"),
        ] {
            let error = format!("{:?}", bind(manifest.clone(), &[wrong], &outputs).unwrap_err());
            assert!(error.contains(lack), "{error}");
        }
    }

    #[test]
    fn a_mirror_has_every_key_and_the_type_of_its_source_and_nothing_else_of_it() {
        let source = step(vec![]).target;
        let mut step = step(vec![]);
        step.secret_type = "kubernetes.io/tls".into();
        let live = json!({"metadata": {"name": "x", "labels": {"theirs": "x"}}, "type": "kubernetes.io/tls",
            "data": {"tls.crt": "YQ==", "tls.key": "Yg=="}});
        let secret = mirror(&step, "id", &source, Some(&live)).unwrap();
        assert_eq!((&secret["type"], &secret["data"]), (&live["type"], &live["data"]));
        assert_eq!(secret["metadata"]["labels"], json!({PART_OF: "id"}));
        assert_eq!(mirror(&step, "id", &source, None).unwrap_err(), Lack::Mirror { source: source.clone() });
        step.secret_type = OPAQUE.into();
        let found = "kubernetes.io/tls".to_owned();
        assert_eq!(
            mirror(&step, "id", &source, Some(&live)).unwrap_err(),
            Lack::MirrorType { source, found }
        );
    }

    #[test]
    fn random_text_is_made_once_and_kept() {
        let step = step(vec![("cookie", random(32, Encoding::Base64))]);
        assert_eq!(composed(&step, None, false).unwrap_err(), Lack::Random);
        let first = composed(&step, None, true).unwrap();
        let again = composed(&step, Some(&first), true).unwrap();
        assert_eq!(first, again);
        assert_ne!(first, composed(&step, None, true).unwrap());
    }

    #[test]
    fn a_config_map_holds_its_values_as_text_under_the_mark_that_hides_them() {
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
    fn a_value_cannot_leave_the_quotes_that_a_template_puts_it_in() {
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
    fn what_is_missing_is_named_and_no_value_is() {
        let missing = step(vec![("p", SecretSource::Input("root".into()))]);
        let lack = composed(&missing, None, true).unwrap_err();
        assert_eq!(lack, Lack::Input { key: "p".into(), input: "root".into() });
        let cycle = step(vec![
            ("a", template("${b}")),
            ("b", template("${a}")),
            ("v", SecretSource::Input("admin".into())),
        ]);
        let Lack::Template { message, .. } = composed(&cycle, None, true).unwrap_err() else { panic!() };
        assert!(message.contains("refers to itself") && !message.contains("hunter2"), "{message}");
        for wrong in ["${nope}", "${open", "$x"] {
            assert!(matches!(
                composed(&step(vec![("a", template(wrong))]), None, true),
                Err(Lack::Template { .. })
            ));
        }
    }
}
