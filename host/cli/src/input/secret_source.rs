//! Reads the value of one secret input: from a file, an environment variable, a Secret, or stdin.
//!
//! No error repeats a value, or an argument that may be one.

use crate::args::secrets::SecretArgs;
use crate::error::CliError;
use crate::output::terminal;
use crate::output::text::untrusted;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use thinkube_engine::model::SecretKey;
use thinkube_engine::{Cluster, Error, SecretText};

/// The limit of a secret value, in bytes. A longer file is the wrong file.
const MAX_SECRET: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Env(String),
    Secret(SecretKey),
    Stdin,
}

/// The source of each secret input that the user named.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SecretSources(BTreeMap<String, Source>);

impl SecretSources {
    /// Parses the arguments and reads no value. A command calls this before it does anything else.
    ///
    /// # Errors
    /// The first wrong argument, without its text, which may be the value itself.
    pub(crate) fn parse(args: &SecretArgs) -> Result<Self, CliError> {
        let mut sources = BTreeMap::new();
        for text in &args.sources {
            let Some((name, source)) = text.split_once('=') else {
                return Err(CliError::usage(
                    "--secret takes NAME=SOURCE, for example admin-password=file:PATH",
                ));
            };
            let source = Source::parse(source).ok_or_else(|| {
                CliError::usage(format!(
                    "--secret {name}=… takes a source, not a value, because others can read a command line: file:PATH, \
                     env:VARIABLE, secret:NAMESPACE/NAME/KEY, or - for stdin"
                ))
            })?;
            if source == Source::Stdin && sources.values().any(|source| *source == Source::Stdin) {
                return Err(CliError::usage("only one secret input can come from stdin"));
            }
            if sources.insert(name.to_owned(), source).is_some() {
                return Err(CliError::usage(format!("--secret {name}=… is given twice")));
            }
        }
        Ok(Self(sources))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses a source whose secret input is not among `known`.
    pub(crate) fn require_known(&self, known: &[&str]) -> Result<(), CliError> {
        let Some(name) = self.0.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
        let expected = match known {
            [] => "there are none".to_owned(),
            known => format!("expected one of: {}", known.join(", ")),
        };
        Err(CliError::input(format!("unknown secret input `{name}`; {expected}")))
    }

    /// The value of an input: from the source that the user named, else from the environment variable `env`. None: the
    /// variable is not set, or empty.
    pub(crate) async fn read(
        &self,
        name: &str,
        env: &str,
        cluster: &Cluster,
    ) -> Result<Option<SecretText>, CliError> {
        let wrong = |message: String| CliError::input(format!("secret input `{name}`: {message}"));
        let Some(source) = self.0.get(name) else { return read_variable(env).map_err(wrong) };
        let text = match source {
            Source::Env(env) => read_variable(env)
                .map_err(wrong)?
                .ok_or_else(|| wrong(format!("the environment variable {env} is not set or empty")))?,
            Source::File(path) => read_file(path).map_err(wrong)?,
            Source::Stdin => {
                read_bounded(std::io::stdin().lock()).map_err(|problem| wrong(format!("stdin: {problem}")))?
            }
            Source::Secret(key) => {
                let found = cluster.secret_text(key).await.map_err(Error::from)?;
                found.filter(|text| !text.expose().is_empty()).ok_or_else(|| {
                    let SecretKey { namespace, name, key } = key;
                    wrong(format!("Secret {namespace}/{name} has no text in the key `{key}`"))
                })?
            }
        };
        Ok(Some(text))
    }
}

impl Source {
    fn parse(text: &str) -> Option<Self> {
        if text == "-" {
            return Some(Self::Stdin);
        }
        let (kind, rest) = text.split_once(':').filter(|(_, rest)| !rest.is_empty())?;
        match kind {
            "file" => Some(Self::File(rest.into())),
            "env" => Some(Self::Env(rest.to_owned())),
            "secret" => {
                let parts: Vec<&str> = rest.split('/').collect();
                let [namespace, name, key] = parts[..] else { return None };
                let filled = !namespace.is_empty() && !name.is_empty() && !key.is_empty();
                let key = SecretKey { namespace: namespace.into(), name: name.into(), key: key.into() };
                filled.then_some(Self::Secret(key))
            }
            _ => None,
        }
    }
}

/// An empty variable counts as not set: it is a mistake in a script more often than an empty password.
fn read_variable(name: &str) -> Result<Option<SecretText>, String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty()).map(SecretText::new);
    value.map(|value| require_one_line(name, value)).transpose()
}

/// No login takes a password with a line break; most often it comes from a command's output that was not trimmed.
fn require_one_line(name: &str, value: SecretText) -> Result<SecretText, String> {
    if !value.expose().contains(['\n', '\r']) {
        return Ok(value);
    }
    Err(format!(
        "the environment variable {name} has a line break in it, which no login accepts; remove it, or give a secret of \
         several lines with --secret NAME=file:PATH"
    ))
}

fn read_file(path: &Path) -> Result<SecretText, String> {
    let wrong = |problem: String| format!("{}: {problem}", path.display());
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| wrong(error.to_string()))?;
    if metadata.is_file() && metadata.permissions().mode() & 0o044 != 0 {
        terminal::warn(&untrusted(wrong(
            "other users can read this file; `chmod 600` prevents it".to_owned(),
        )));
    }
    read_bounded(file).map_err(wrong)
}

/// All of `from` without the last line break, which editors and `echo` write.
fn read_bounded(from: impl Read) -> Result<SecretText, String> {
    // A buffer that never grows leaves no copy of the value behind.
    let mut text = String::with_capacity(MAX_SECRET + 2);
    let read = from.take(MAX_SECRET as u64 + 1).read_to_string(&mut text);
    let value = SecretText::new(std::mem::take(&mut text));
    if read.map_err(|error| error.to_string())? > MAX_SECRET {
        return Err(format!("the value is longer than {} KiB", MAX_SECRET >> 10));
    }
    let trimmed = value.expose().strip_suffix('\n').unwrap_or(value.expose());
    let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
    if trimmed.is_empty() {
        return Err("the value is empty".to_owned());
    }
    Ok(if trimmed.len() == value.expose().len() { value } else { SecretText::new(trimmed.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(texts: &[&str]) -> Result<SecretSources, CliError> {
        SecretSources::parse(&SecretArgs { sources: texts.iter().map(ToString::to_string).collect() })
    }

    #[test]
    fn a_value_on_the_command_line_is_refused_and_not_repeated() {
        for wrong in ["p=hunter2", "hunter2", "p=pass:hunter2", "p=secret:a/hunter2", "p=file:", "p="] {
            let error = format!("{:?}", sources(&[wrong]).expect_err("the argument is not a source"));
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn each_source_is_parsed() {
        let key = SecretKey { namespace: "n".into(), name: "s".into(), key: "k".into() };
        let expected = [
            ("a", Source::File("/x:y=z".into())),
            ("b", Source::Env("PASSWORD".into())),
            ("c", Source::Secret(key)),
            ("d", Source::Stdin),
        ];
        let expected = expected.into_iter().map(|(name, source)| (name.to_owned(), source)).collect();
        let read = sources(&["a=file:/x:y=z", "b=env:PASSWORD", "c=secret:n/s/k", "d=-"]);
        assert_eq!(read.expect("the arguments are sources"), SecretSources(expected));
        assert!(sources(&["a=-", "b=-"]).is_err(), "stdin is read once");
        assert!(sources(&["a=env:A", "a=env:B"]).is_err(), "an input has one source");
    }

    #[test]
    fn a_line_break_in_a_variable_is_refused_without_the_value() {
        for wrong in ["hunter\n2", "hunter2\n", "hunter\r2"] {
            let value = SecretText::new(wrong.into());
            let error = require_one_line("PASSWORD", value).err().expect("the value has a line break");
            assert!(error.contains("PASSWORD has a line break") && !error.contains("hunter"), "{error}");
        }
        let value = SecretText::new(" \"$`\\' \t é".into());
        let kept = require_one_line("PASSWORD", value).expect("the value is one line");
        assert_eq!(kept.expose(), " \"$`\\' \t é");
    }

    #[test]
    fn one_line_break_is_trimmed_and_wrong_values_are_refused() {
        let read = |bytes: &[u8]| read_bounded(bytes).map(|text| text.expose().to_owned());
        for (given, value) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")] {
            assert_eq!(read(given.as_bytes()), Ok(value.to_owned()), "{given:?}");
        }
        assert_eq!(read(&vec![b'x'; MAX_SECRET]).map(|text| text.len()), Ok(MAX_SECRET));
        for wrong in [&vec![b'x'; MAX_SECRET + 1][..], b"", b"\n", b"\xff"] {
            assert!(read(wrong).is_err());
        }
    }

    #[test]
    fn a_password_of_any_characters_on_one_line_is_unchanged() {
        let long = "p".repeat(200);
        for password in [
            "a'b",
            "a\"b",
            "$HOME ${x}",
            "`id`",
            "a\\b\\n",
            "  spaces  ",
            "\t",
            "pässwörd–漢字🔑",
            "{{ x }}",
            "%s",
            "-",
            "#",
            &long,
        ] {
            let variable = require_one_line("PASSWORD", SecretText::new(password.into()));
            assert_eq!(variable.expect("the password is one line").expose(), password);
            for end in ["", "\n", "\r\n"] {
                let read = read_bounded(format!("{password}{end}").as_bytes()).expect("the bytes are text");
                assert_eq!(read.expose(), password);
            }
        }
    }
}
