//! Draws a graph as a Mermaid flowchart: a box a room, the floors from top to bottom.
//!
//! An arrow that a longer way implies is left out, so that a picture of twenty rooms can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::imports::Crate;
use super::order::{Edges, floors, reduced};

/// The crates of the workspace and their dependencies on each other.
///
/// # Errors
///
/// A manifest cannot be read.
pub(super) fn crates(root: &Path) -> anyhow::Result<String> {
    let mut edges: Edges<String> = BTreeMap::new();
    let mut names = BTreeMap::new();
    for folder in members(root)? {
        let manifest = fs::read_to_string(root.join(&folder).join("Cargo.toml")).context(folder.clone())?;
        let package = manifest.lines().find_map(|line| line.strip_prefix("name = ")).unwrap_or_default();
        names.insert(package.trim_matches('"').to_owned(), folder.clone());
        edges.insert(folder, dependencies(&manifest));
    }
    for targets in edges.values_mut() {
        *targets = targets.iter().filter_map(|package| names.get(package).cloned()).collect();
    }
    Ok(flowchart(&edges, &|folder| folder.to_owned()))
}

fn members(root: &Path) -> anyhow::Result<Vec<String>> {
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let list = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.context("the workspace has no members")?;
    let members = list.lines().map(|line| line.trim().trim_end_matches(',').trim_matches('"'));
    Ok(members.filter(|member| !member.is_empty()).map(str::to_owned).collect())
}

/// The packages of the section `[dependencies]`.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split_once("\n[dependencies]\n").map_or("", |(_, rest)| rest);
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split(['.', ' ', '=']).next()).map(str::to_owned).collect()
}

/// The rooms of a crate, each with what it is for.
pub(super) fn rooms(crate_: &Crate) -> String {
    let purpose = |room: &str| {
        let file = crate_.files.get(&vec![room.to_owned()]);
        let purpose = file.map(|file| escaped(&file.purpose)).filter(|purpose| !purpose.is_empty());
        purpose.map_or_else(|| room.to_owned(), |purpose| format!("<b>{room}</b><br/>{purpose}"))
    };
    flowchart(&crate_.rooms(), &purpose)
}

fn escaped(text: &str) -> String {
    text.replace('`', "").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}

fn flowchart(edges: &Edges<String>, label: &dyn Fn(&str) -> String) -> String {
    let id = |node: &str| node.replace(['/', '-'], "_");
    let mut text = String::from("```mermaid\nflowchart TD\n");
    let floors = floors(edges);
    for node in floors.iter().rev().flatten() {
        let _ = writeln!(text, "    {}[\"{}\"]", id(node), label(node));
    }
    let arrows = reduced(edges);
    for node in floors.iter().rev().flatten() {
        for target in &arrows[node] {
            let _ = writeln!(text, "    {} --> {}", id(node), id(target));
        }
    }
    text + "```\n"
}

#[cfg(test)]
mod tests {
    use super::super::imports::tests::crate_of;
    use super::*;

    #[test]
    fn a_room_is_a_box_with_its_purpose_and_arrows_go_down() {
        let crate_ = crate_of(&[
            ("lib.rs", "mod top; mod low;"),
            ("top.rs", "//! Shows `a` \"name\". More.\nuse crate::low::L;"),
            ("low/mod.rs", ""),
        ]);
        assert_eq!(
            rooms(&crate_),
            "```mermaid\nflowchart TD\n    top[\"<b>top</b><br/>Shows a #quot;name#quot;\"]\n    low[\"low\"]\n    top --> low\n```\n"
        );
    }

    #[test]
    fn dependencies_end_at_the_next_section() {
        let manifest = "[package]\nname = \"a\"\n\n[dependencies]\nb.workspace = true\nc = \"1\"\n\n[dev-dependencies]\nd = \"1\"\n";
        assert_eq!(dependencies(manifest), BTreeSet::from(["b".to_owned(), "c".to_owned(), String::new()]));
    }
}
