//! Links among the pages: every target exists, and every page of `docs/` can be reached from the README.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::root;
use crate::source::{Offence, Source};

const START: &str = "README.md";

pub(super) fn judge(sources: &[Source], found: &mut Vec<Offence>) {
    let pages: BTreeMap<&str, &str> = sources
        .iter()
        .filter(|source| source.path.ends_with(".md"))
        .map(|source| (source.path.as_str(), source.text.as_str()))
        .collect();
    let mut edges: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in &pages {
        for (line, target) in links(text) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { (*path).to_owned() } else { resolve(path, file) };
            if let Some(fault) = fault(&file, heading, &pages) {
                found.push(Offence {
                    rule: "link",
                    path: (*path).into(),
                    line,
                    what: format!("`{target}`: {fault}"),
                });
            }
            edges.entry(path).or_default().insert(file);
        }
    }
    let reached = reached(&edges);
    for path in pages.keys().filter(|path| path.starts_with("docs/") && !reached.contains(**path)) {
        let what = format!("no chain of links leads here from {START}");
        found.push(Offence { rule: "unreachable-page", path: (*path).into(), line: 0, what });
    }
}

fn fault(file: &str, heading: &str, pages: &BTreeMap<&str, &str>) -> Option<String> {
    if !root().join(file).exists() {
        return Some(format!("`{file}` does not exist"));
    }
    let page = pages.get(file)?;
    let has = heading.is_empty() || headings(page).iter().any(|known| known == heading);
    (!has).then(|| format!("`{file}` has no heading `{heading}`"))
}

/// The targets of links to files of this repository, with their lines; text in code is not a link.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for (position, _) in line.match_indices("](") {
            let in_backticks = line[..position].matches('`').count() % 2 == 1;
            let rest = &line[position + 2..];
            let target = &rest[..rest.find(')').unwrap_or(rest.len())];
            if !in_backticks && !target.contains("://") && !target.starts_with("mailto:") {
                found.push((index + 1, target));
            }
        }
    }
    found
}

/// The path that `target` means on the page `from`, without `.` and `..`.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The anchors that a forge makes of the headings of a page.
fn headings(page: &str) -> Vec<String> {
    let mut in_code = false;
    let lines = page.lines().filter(|line| {
        in_code ^= line.starts_with("```");
        !in_code && line.starts_with('#')
    });
    lines
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

fn reached(edges: &BTreeMap<&str, BTreeSet<String>>) -> BTreeSet<String> {
    let mut reached = BTreeSet::from([START.to_owned()]);
    let mut waiting = vec![START.to_owned()];
    while let Some(page) = waiting.pop() {
        for target in edges.get(page.as_str()).into_iter().flatten() {
            if reached.insert(target.clone()) {
                waiting.push(target.clone());
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pages: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> =
            pages.iter().map(|(path, text)| Source { path: (*path).into(), text: (*text).into() }).collect();
        let mut found = Vec::new();
        judge(&sources, &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_dead_link_and_a_page_without_a_way_to_it_are_found() {
        let found = judged(&[
            ("README.md", "[a](Cargo.toml) [b](no-such-file) `[c](x)`\n```\n[d](y)\n```\n"),
            ("docs/a.md", "[self](#no-heading)\n# A heading, `code`\n[good](#a-heading-code)\n"),
        ]);
        assert!(found.iter().any(|text| text.contains("README.md:1: link: `no-such-file`")), "{found:?}");
        assert!(found.iter().any(|text| text.contains("docs/a.md:0: unreachable-page")), "{found:?}");
    }

    #[test]
    fn a_path_is_resolved_from_the_page_that_holds_it() {
        assert_eq!(resolve("docs/operate/apply.md", "../reference/cli.md"), "docs/reference/cli.md");
        assert_eq!(headings("# A heading, `code`\n```\n# no\n```\n"), ["a-heading-code"]);
    }
}
