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
