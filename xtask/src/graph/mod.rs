//! `cargo xtask graph`: the pictures of docs/architecture.md, and the rules that they show.
//!
//! A room is a folder or file directly below `src`. Arrows go down: no circle of rooms or files, and no import of what
//! `lib.rs` defines or re-exports.

mod draw;
mod imports;
mod order;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::command::{root, say};
use crate::source::{Offence, Source, sources};
use imports::Crate;

/// The page with the pictures.
const PAGE: &str = "docs/architecture.md";

/// The crates whose rooms are drawn and judged.
pub(crate) const CRATES: [&str; 10] = [
    "host/plan",
    "host/sandbox",
    "host/validate",
    "host/cluster",
    "host/effects",
    "host/engine",
    "host/cli",
    "sdk",
    "tests/cluster",
    "xtask",
];

/// Arguments of `cargo xtask graph`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when the pictures are not those of the present code
    #[arg(long)]
    check: bool,
}

pub(crate) fn graph(args: &Args) -> anyhow::Result<ExitCode> {
    if args.check {
        check()?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| PAGE.to_owned())?;
    fs::write(&path, drawn(&page)?)?;
    say(&format!("{PAGE} has the pictures of the present code"));
    Ok(ExitCode::SUCCESS)
}

/// Fails when the page has other pictures than the code.
///
/// # Errors
///
/// The page cannot be read, or is not current.
pub(crate) fn check() -> anyhow::Result<()> {
    let page = fs::read_to_string(root().join(PAGE)).with_context(|| PAGE.to_owned())?;
    if drawn(&page)? != page {
        bail!(
            "the pictures of {PAGE} are not those of the present code; `cargo xtask graph` draws them again"
        );
    }
    Ok(())
}

/// The page with every picture drawn again, between `<!-- graph: NAME -->` and `<!-- end -->`.
fn drawn(page: &str) -> anyhow::Result<String> {
    const END: &str = "<!-- end -->";
    let sources = sources(&root())?;
    let mut result = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- graph: ") {
        let (name, after) = after.split_once(" -->").context("a marker without an end")?;
        let (_, after) = after.split_once(END).with_context(|| format!("{name} has no `{END}`"))?;
        let picture = match name {
            "crates" => draw::crates(&root())?,
            _ => draw::rooms(&imports::read(&format!("{name}/src/"), &sources)?),
        };
        result += &format!("{before}<!-- graph: {name} -->\n{picture}{END}");
        rest = after;
    }
    Ok(result + rest)
}

/// Reports imports that the rules forbid.
///
/// # Errors
///
/// A file is not valid Rust.
pub(crate) fn judge(sources: &[Source], found: &mut Vec<Offence>) -> anyhow::Result<()> {
    for folder in CRATES {
        judge_crate(&imports::read(&format!("{folder}/src/"), sources)?, found);
    }
    Ok(())
}

fn judge_crate(crate_: &Crate, found: &mut Vec<Offence>) {
    let path = |module: &Vec<String>| crate_.files[module].path.clone();
    let name = |module: &Vec<String>| module.join("/");
    for module in crate_.files.keys().filter(|module| !module.is_empty()) {
        for name in crate_.names_of_root(module) {
            let what = format!("imports `{name}` from the crate's root file, not from its room");
            found.push(Offence { rule: "import-up", path: path(module), line: 0, what });
        }
    }
    let below_root = crate_.without_root();
    for circle in order::circles(&below_root) {
        let members: Vec<String> = circle.iter().map(name).collect();
        for module in &circle {
            let what = format!("in a circle of files: {}", members.join(", "));
            found.push(Offence { rule: "file-circle", path: path(module), line: 0, what });
        }
    }
    for circle in order::circles(&crate_.rooms()) {
        let what = format!("a circle of rooms: {}", circle.iter().cloned().collect::<Vec<_>>().join(", "));
        let first = circle.iter().next().cloned().unwrap_or_default();
        let at = crate_.files.iter().find(|(module, _)| module.first() == Some(&first));
        let path = at.map_or_else(String::new, |(_, file)| file.path.clone());
        found.push(Offence { rule: "room-circle", path, line: 0, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pictures_are_those_of_the_present_code() {
        check().unwrap_or_else(|error| panic!("{error:#}"));
    }

    #[test]
    fn circles_and_imports_of_the_root_are_found() {
        let crate_ = imports::tests::crate_of(&[
            ("lib.rs", "mod a; mod b; pub struct Root; pub use a::one::O;"),
            ("a/mod.rs", "mod one; mod two;"),
            ("a/one.rs", "use crate::b::B; use super::two::T;"),
            ("a/two.rs", "use super::one::O;"),
            ("b.rs", "use crate::a::one::O; use crate::Root; fn f() { super::O::new() }"),
        ]);
        let mut found = Vec::new();
        judge_crate(&crate_, &mut found);
        let found: Vec<String> =
            found.iter().map(|offence| format!("{} {}", offence.rule, offence.path)).collect();
        assert_eq!(
            found,
            [
                "import-up a/src/b.rs",
                "import-up a/src/b.rs",
                "file-circle a/src/a/one.rs",
                "file-circle a/src/a/two.rs",
                "file-circle a/src/b.rs",
                "room-circle a/src/a/mod.rs"
            ]
        );
    }
}
