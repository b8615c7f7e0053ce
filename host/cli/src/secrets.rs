//! Where the values of secret inputs come from. Never from the command line: every process of the machine can read it,
//! and shells keep it.

use crate::failure::Failure;
use crate::out;
use clap::Args;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use thinkube_engine::model::SecretKey;
use thinkube_engine::{Cluster, Error, SecretText};

/// No password, token or key is longer; what is, is the wrong file.
const MAX_BYTES: usize = 64 << 10;

#[derive(Args)]
pub(crate) struct SecretArgs {
    /// Where a secret input comes from, instead of its environment variable: file:PATH, env:VARIABLE,
    /// secret:NAMESPACE/NAME/KEY, or - for stdin
    #[arg(long = "secret", value_name = "NAME=SOURCE")]
    sources: Vec<String>,
}

/// What was given may be a value that should not have been.
impl fmt::Debug for SecretArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretArgs").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Env(String),
    Secret(SecretKey),
    Stdin,
}

/// By the name of the input.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SecretSources(BTreeMap<String, Source>);

impl SecretArgs {
    /// Reads the arguments, and none of the values. To be called before anything else is done.
    ///
    /// # Errors
    /// What is no source, without repeating it: it may be the value itself.
    pub(crate) fn sources(&self) -> Result<SecretSources, Failure> {
        let mut sources = BTreeMap::new();
        for text in &self.sources {
            let Some((name, source)) = text.split_once('=') else {
                return Err(Failure::command_line(
                    "--secret takes NAME=SOURCE, for example admin-password=file:PATH",
                ));
            };
            let source = Source::parse(source).ok_or_else(|| {
                Failure::command_line(format!(
                    "--secret {name}=… takes no value, because others can read a command line, but where the value is: \
                     file:PATH, env:VARIABLE, secret:NAMESPACE/NAME/KEY, or - for stdin"
                ))
            })?;
            if source == Source::Stdin && sources.values().any(|source| *source == Source::Stdin) {
                return Err(Failure::command_line("only one secret input can come from stdin"));
            }
            if sources.insert(name.to_owned(), source).is_some() {
                return Err(Failure::command_line(format!("--secret {name}=… is there twice")));
            }
        }
        Ok(SecretSources(sources))
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

impl SecretSources {
    /// Whether none was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every one is of an input that there is.
    pub(crate) fn are_of(&self, inputs: &[&str]) -> Result<(), Failure> {
        match self.0.keys().find(|name| !inputs.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) if inputs.is_empty() => {
                Err(Failure::input(format!("there is no secret input `{name}`, and no other")))
            }
            Some(name) => Err(Failure::input(format!(
                "there is no secret input `{name}`; there is {}",
                inputs.join(", ")
            ))),
        }
    }

    /// The value of an input: from where the operator says, else from the environment variable `env`. None: the variable
    /// is not set. An empty one is a mistake in a script more often than an empty password.
    pub(crate) async fn read(
        &self,
        name: &str,
        env: &str,
        cluster: &Cluster,
    ) -> Result<Option<SecretText>, Failure> {
        let wrong = |message: String| Failure::input(format!("the secret input `{name}`: {message}"));
        let Some(source) = self.0.get(name) else { return variable(env).map_err(wrong) };
        let text = match source {
            Source::Env(env) => variable(env)
                .map_err(wrong)?
                .ok_or_else(|| wrong(format!("the environment variable {env} is not set or empty")))?,
            Source::File(path) => file(path).map_err(wrong)?,
            Source::Stdin => {
                bounded(std::io::stdin().lock()).map_err(|problem| wrong(format!("stdin: {problem}")))?
            }
            Source::Secret(at) => {
                let found = cluster.secret_text(at).await.map_err(Error::from)?;
                found.filter(|text| !text.expose().is_empty()).ok_or_else(|| {
                    let SecretKey { namespace, name, key } = at;
                    wrong(format!("there is no text in the key `{key}` of Secret {namespace}/{name}"))
                })?
            }
        };
        Ok(Some(text))
    }
}

fn variable(name: &str) -> Result<Option<SecretText>, String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty()).map(SecretText::new);
    value.map(|value| one_line(name, value)).transpose()
}

/// A password with a line break in it can be typed at no login, and most often it is a command's output that was not cut.
fn one_line(name: &str, value: SecretText) -> Result<SecretText, String> {
    if !value.expose().contains(['\n', '\r']) {
        return Ok(value);
    }
    Err(format!(
        "the environment variable {name} has a line break in it, and no login takes a password with one; set it without, \
         or give a secret of several lines by --secret NAME=file:PATH"
    ))
}

fn file(path: &Path) -> Result<SecretText, String> {
    let said = |problem: String| format!("{}: {problem}", path.display());
    let file = std::fs::File::open(path).map_err(|error| said(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| said(error.to_string()))?;
    if metadata.is_file() && metadata.permissions().mode() & 0o044 != 0 {
        out::warn(&said("others may read this file; chmod 600 keeps it yours".to_owned()));
    }
    bounded(file).map_err(said)
}

/// What is there, without the end of the line that editors and `echo` write.
fn bounded(from: impl Read) -> Result<SecretText, String> {
    // With room for all of it from the start, no part is left behind where it was before it grew.
    let mut text = String::with_capacity(MAX_BYTES + 2);
    let read = from.take(MAX_BYTES as u64 + 1).read_to_string(&mut text);
    let value = SecretText::new(std::mem::take(&mut text));
    if read.map_err(|error| error.to_string())? > MAX_BYTES {
        return Err(format!("it is longer than {} KiB", MAX_BYTES >> 10));
    }
    let cut = value.expose().strip_suffix('\n').unwrap_or(value.expose());
    let cut = cut.strip_suffix('\r').unwrap_or(cut);
    if cut.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(if cut.len() == value.expose().len() { value } else { SecretText::new(cut.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(texts: &[&str]) -> Result<SecretSources, Failure> {
        SecretArgs { sources: texts.iter().map(ToString::to_string).collect() }.sources()
    }

    #[test]
    fn a_value_on_the_command_line_is_refused_and_not_repeated() {
        for wrong in ["p=hunter2", "hunter2", "p=pass:hunter2", "p=secret:a/hunter2", "p=file:", "p="] {
            let failure = format!("{:?}", sources(&[wrong]).expect_err("it is no source"));
            assert!(!failure.contains("hunter2"), "{failure}");
        }
        assert!(!format!("{:?}", SecretArgs { sources: vec!["p=hunter2".into()] }).contains("hunter2"));
    }

    #[test]
    fn each_source_is_read_as_it_is_written() {
        let key = SecretKey { namespace: "n".into(), name: "s".into(), key: "k".into() };
        let expected = [
            ("a", Source::File("/x:y=z".into())),
            ("b", Source::Env("PASSWORD".into())),
            ("c", Source::Secret(key)),
            ("d", Source::Stdin),
        ];
        let expected = expected.into_iter().map(|(name, source)| (name.to_owned(), source)).collect();
        let read = sources(&["a=file:/x:y=z", "b=env:PASSWORD", "c=secret:n/s/k", "d=-"]);
        assert_eq!(read.expect("they are sources"), SecretSources(expected));
        assert!(sources(&["a=-", "b=-"]).is_err(), "stdin is there once");
        assert!(sources(&["a=env:A", "a=env:B"]).is_err(), "an input has one value");
    }

    #[test]
    fn a_line_break_in_a_variable_is_refused_and_the_value_is_not_repeated() {
        for wrong in ["hunter\n2", "hunter2\n", "hunter\r2"] {
            let refused =
                one_line("PASSWORD", SecretText::new(wrong.into())).err().expect("it has a line break");
            assert!(
                refused.contains("PASSWORD has a line break") && !refused.contains("hunter"),
                "{refused}"
            );
        }
        let kept = one_line("PASSWORD", SecretText::new(" \"$`\\' \t é".into())).expect("it is one line");
        assert_eq!(kept.expose(), " \"$`\\' \t é");
    }

    #[test]
    fn one_end_of_a_line_is_cut_and_what_is_too_long_or_empty_or_no_text_is_refused() {
        let read = |bytes: &[u8]| bounded(bytes).map(|text| text.expose().to_owned());
        for (given, value) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")] {
            assert_eq!(read(given.as_bytes()), Ok(value.to_owned()), "{given:?}");
        }
        assert_eq!(read(&vec![b'x'; MAX_BYTES]).map(|text| text.len()), Ok(MAX_BYTES));
        for wrong in [&vec![b'x'; MAX_BYTES + 1][..], b"", b"\n", b"\xff"] {
            assert!(read(wrong).is_err());
        }
    }

    #[test]
    fn a_password_of_any_characters_on_one_line_passes_unchanged() {
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
            let variable = one_line("PASSWORD", SecretText::new(password.into())).expect("it is one line");
            assert_eq!(variable.expose(), password);
            for end in ["", "\n", "\r\n"] {
                let read = bounded(format!("{password}{end}").as_bytes()).expect("it is text");
                assert_eq!(read.expose(), password);
            }
        }
    }
}
