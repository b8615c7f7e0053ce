//! The rules of the house: words, lengths, heads, links. `cargo xtask check` judges them, and so does a unit test.
//!
//! A rule reads text and never runs anything. What the rules are for is in `docs/style.md`; which word replaces a retired one
//! is in `docs/glossary.md`. `allowed.txt` counts the offences that each area may still have.

mod links;
pub(crate) mod shape;
mod words;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, bail};

use crate::command::root;
use crate::graph;
use crate::source::{Offence, sources};

/// How many offences an area may have: `RULE AREA COUNT` a line. The counts may only shrink.
const ALLOWED: &str = include_str!("allowed.txt");

/// Fails when an area has more offences of a rule than `allowed.txt` lets it have.
///
/// # Errors
///
/// A file cannot be read, or a rule is broken: the message names each place.
pub(crate) fn check() -> anyhow::Result<()> {
    let offences = offences()?;
    let report = report(&offences, &parse(ALLOWED)?);
    if report.is_empty() {
        return Ok(());
    }
    bail!("the rules of docs/style.md are broken:\n{report}")
}

/// Prints every offence, then the counts in the form of `allowed.txt`.
///
/// # Errors
///
/// A file cannot be read, or standard output is closed.
pub(crate) fn list() -> anyhow::Result<()> {
    use std::io::Write as _;
    let offences = offences()?;
    let mut out = std::io::stdout().lock();
    for offence in &offences {
        writeln!(out, "{offence}")?;
    }
    for ((rule, area), count) in counts(&offences) {
        writeln!(out, "{rule} {area} {count}")?;
    }
    Ok(())
}

fn offences() -> anyhow::Result<Vec<Offence>> {
    let sources = sources(&root())?;
    let mut found = Vec::new();
    for source in &sources {
        words::judge(source, &mut found);
        shape::judge(source, &mut found);
    }
    links::judge(&sources, &mut found);
    graph::judge(&sources, &mut found)?;
    found.sort_by(|a, b| (a.rule, &a.path, a.line).cmp(&(b.rule, &b.path, b.line)));
    Ok(found)
}

type Counts = BTreeMap<(String, String), usize>;

fn counts(offences: &[Offence]) -> Counts {
    let mut counts = Counts::new();
    for offence in offences {
        *counts.entry((offence.rule.to_owned(), offence.area())).or_default() += 1;
    }
    counts
}

fn parse(text: &str) -> anyhow::Result<Counts> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let (Some(rule), Some(area), Some(count), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                bail!("allowed.txt: `{line}` is not RULE AREA COUNT");
            };
            let count = count.parse().with_context(|| format!("allowed.txt: {line}"))?;
            Ok(((rule.to_owned(), area.to_owned()), count))
        })
        .collect()
}

/// The offences of each rule and area that has more than it may have. Empty when there are none.
fn report(offences: &[Offence], allowed: &Counts) -> String {
    let mut report = String::new();
    for ((rule, area), count) in counts(offences) {
        let limit = allowed.get(&(rule.clone(), area.clone())).copied().unwrap_or(0);
        if count <= limit {
            continue;
        }
        let _ = writeln!(report, "{area} breaks `{rule}` {count} times; allowed.txt has {limit}:");
        for offence in offences.iter().filter(|offence| offence.rule == rule && offence.area() == area) {
            let _ = writeln!(report, "  {offence}");
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_area_breaks_more_rules_than_it_may() {
        check().unwrap_or_else(|error| panic!("{error:#}"));
    }

    #[test]
    fn an_offence_beyond_the_count_is_reported_with_its_place() {
        let offence =
            |line| Offence { rule: "length", path: "host/plan/src/a.rs".into(), line, what: "long".into() };
        let offences = [offence(1), offence(2)];
        assert_eq!(report(&offences, &parse("# counts\nlength host/plan 2\n").expect("counts")), "");
        let report = report(&offences, &parse("length host/plan 1").expect("counts"));
        assert!(report.contains("2 times; allowed.txt has 1") && report.contains("src/a.rs:2"), "{report}");
    }

    #[test]
    fn a_line_of_the_list_that_has_no_count_is_refused() {
        assert!(parse("length host/plan").is_err());
        assert!(parse("length host/plan many").is_err());
    }
}
