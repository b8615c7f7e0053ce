//! `explain`: prints the page of an error kind, from docs/reference/errors.md.

use crate::error::CliError;
use crate::exit;
use crate::output::printer::Printer;
use crate::output::terminal::STRONG;
use crate::output::text::{Text, line, styled, table, text, untrusted, untrusted_lines};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;
use thinkube_engine::model::ErrorKind;

const PAGES: &str = include_str!("../../../../docs/reference/errors.md");

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The kind of an error, as `-o json` reports it [default: list all kinds]
    kind: Option<String>,
}

pub(crate) fn run(printer: Printer, args: &ExplainArgs) -> Result<ExitCode, CliError> {
    match &args.kind {
        Some(name) => {
            let kind = ErrorKind::ALL.iter().copied().find(|kind| kind.as_str() == name);
            let kind = kind.ok_or_else(|| {
                CliError::input(format!("unknown error kind `{name}`"))
                    .advise("`thinkube-host explain` lists all kinds")
            })?;
            printer.result(|| page_text(kind), || page_json(kind));
        }
        None => {
            printer.result(list, || ErrorKind::ALL.iter().map(|kind| page_json(*kind)).collect::<Vec<_>>())
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Every kind, its exit code, and the first sentence of its page.
fn list() -> Text {
    let rows = ErrorKind::ALL.iter().map(|kind| {
        let first = page(*kind).split_once(". ").map_or(page(*kind), |(first, _)| first);
        let first = first.split_once(".\n").map_or(first, |(first, _)| first);
        vec![kind.as_str().into(), text!("{}", exit::code(*kind)), untrusted(first.replace('\n', " "))]
    });
    table(&rows.collect::<Vec<_>>())
}

fn page_text(kind: ErrorKind) -> Text {
    let mut text = Text::default();
    line!(text, "{} (exit code {})\n", styled(STRONG, kind), exit::code(kind));
    line!(text, "{}", untrusted_lines(page(kind)));
    text
}

fn page_json(kind: ErrorKind) -> Value {
    json!({"kind": kind.as_str(), "exitCode": exit::code(kind), "text": page(kind)})
}

/// The section of a kind without its heading.
fn page(kind: ErrorKind) -> &'static str {
    sections().find(|(name, _)| *name == kind.as_str()).map_or("", |(_, text)| text)
}

/// The `### kind` sections.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    let sections = PAGES.split("\n### ").skip(1);
    sections.filter_map(|section| section.split_once('\n')).map(|(name, text)| {
        let text = text.split_once("\n## ").map_or(text, |(text, _)| text);
        (name.trim().trim_matches('`'), text.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_kind_has_a_page_and_every_page_a_kind() {
        let kinds: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let pages: Vec<&str> = sections().map(|(name, _)| name).collect();
        let missing: Vec<_> = kinds.iter().filter(|kind| !pages.contains(kind)).collect();
        let unknown: Vec<_> = pages.iter().filter(|page| !kinds.contains(page)).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?}");
        assert_eq!(pages.len(), sections().collect::<BTreeMap<_, _>>().len(), "a kind has two pages");
    }

    #[test]
    fn a_page_stands_under_its_exit_code_and_says_what_to_do() {
        for part in PAGES.split("\n## ").skip(1) {
            let (heading, body) = part.split_once('\n').expect("a heading ends with its line");
            for section in body.split("\n### ").skip(1) {
                let (name, text) = section.split_once('\n').expect("a heading ends with its line");
                let kind = ErrorKind::ALL.iter().find(|kind| kind.as_str() == name).expect("the kind exists");
                assert!(
                    heading.starts_with(&format!("Exit code {}:", exit::code(*kind))),
                    "{name}: {heading}"
                );
                assert!((1..=8).contains(&text.trim().lines().count()), "{name} has one to eight lines");
            }
        }
    }
}
