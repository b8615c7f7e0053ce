//! Reads the modules of a crate and what each imports from the others. Test modules are left out.
//!
//! A name that a file re-exports counts as an import of the file that defines it, so a facade hides no circle.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use syn::visit::Visit;
use syn::{Item, UseTree, Visibility};

use super::order::Edges;
use crate::source::Source;

/// The modules of one crate.
#[derive(Debug, Default)]
pub(crate) struct Crate {
    /// By module path: `[]` is `lib.rs` or `main.rs`, `["diff", "target"]` is `diff/target.rs`.
    pub(crate) files: BTreeMap<Vec<String>, File>,
    /// From a file to the files that it imports from.
    pub(crate) edges: Edges<Vec<String>>,
}

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    /// The first sentence of the file's `//!`.
    pub(crate) purpose: String,
    /// Paths that the file names: `crate::a::B` as `["crate", "a", "B"]`.
    paths: BTreeSet<Vec<String>>,
    /// Names that the file re-exports, and `*`, with the paths that they stand for.
    reexports: Vec<(String, Vec<String>)>,
}

impl File {
    fn new(path: String, purpose: String) -> Self {
        Self { path, purpose, paths: BTreeSet::new(), reexports: Vec::new() }
    }
}

/// Reads the files below `folder`, the `src` of a crate with a `/` at its end.
///
/// # Errors
///
/// A file is not valid Rust.
pub(crate) fn read(folder: &str, sources: &[Source]) -> anyhow::Result<Crate> {
    let mut found = Crate::default();
    for source in sources.iter().filter(|source| source.is_rust() && !source.is_test()) {
        let Some(relative) = source.path.strip_prefix(folder) else { continue };
        if source.text.contains("\n#![cfg(test)]") || relative.starts_with("bin/") {
            continue;
        }
        let syntax = syn::parse_file(&source.text).with_context(|| source.path.clone())?;
        let mut file = File::new(source.path.clone(), purpose(&source.text));
        let mut reader = Reader { file: &mut file, children: children(&syntax.items) };
        reader.visit_file(&syntax);
        found.files.insert(module(relative), file);
    }
    found.connect();
    Ok(found)
}

impl Crate {
    /// The imports among files, but for the root file.
    pub(super) fn without_root(&self) -> Edges<Vec<String>> {
        let mut edges = self.edges.clone();
        edges.remove(&Vec::new());
        for targets in edges.values_mut() {
            targets.remove(&Vec::new());
        }
        edges
    }

    /// The imports among rooms, by the rooms' names.
    pub(super) fn rooms(&self) -> Edges<String> {
        let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, targets) in &self.without_root() {
            let room = rooms.entry(module[0].clone()).or_default();
            room.extend(targets.iter().map(|target| target[0].clone()).filter(|target| *target != module[0]));
        }
        rooms
    }

    fn connect(&mut self) {
        let mut edges = BTreeMap::new();
        for (module, file) in &self.files {
            let targets = file.paths.iter().filter_map(|path| self.resolve(module, path, 8));
            let targets: BTreeSet<_> = targets.filter(|target| target != module).collect();
            edges.insert(module.clone(), targets);
        }
        self.edges = edges;
    }

    /// Names that the file imports from the root file, which defines or re-exports them.
    pub(super) fn names_of_root(&self, module: &[String]) -> Vec<&str> {
        let Some(file) = self.files.get(module) else { return Vec::new() };
        let of_root = |path: &&Vec<String>| self.is_of_root(module, path);
        file.paths.iter().filter(of_root).filter_map(|path| path.last().map(String::as_str)).collect()
    }

    fn is_of_root(&self, module: &[String], path: &[String]) -> bool {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let first = match path.first().map(String::as_str) {
            Some("crate") => path.get(1),
            Some("super") if supers == module.len() => path.get(supers),
            _ => return false,
        };
        first.is_some_and(|first| !self.files.contains_key(std::slice::from_ref(first)))
    }

    /// The file that defines what `path` means in `module`; `depth` bounds chains of re-exports.
    fn resolve(&self, module: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
        let mut position = module.to_vec();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                position.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            _ => {}
        }
        while rest.first().is_some_and(|part| part == "super") {
            position.pop()?;
            rest = &rest[1..];
        }
        while let Some(part) = rest.first() {
            position.push(part.clone());
            if !self.files.contains_key(&position) {
                position.pop();
                break;
            }
            rest = &rest[1..];
        }
        let Some(name) = rest.first().filter(|_| depth > 0) else { return Some(position) };
        let file = self.files.get(&position)?;
        let named = file.reexports.iter().find(|(known, _)| known == name);
        let globs = file.reexports.iter().filter(|(known, _)| known == "*");
        match named.or_else(|| globs.clone().next()) {
            Some((_, target)) => self.resolve(&position, target, depth - 1),
            None => Some(position),
        }
    }
}

/// `diff/mod.rs` and `diff.rs` are `["diff"]`.
fn module(relative: &str) -> Vec<String> {
    let mut parts: Vec<String> = relative.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    let is_root = parts.len() == 1 && matches!(parts[0].as_str(), "lib" | "main");
    if is_root || parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

fn purpose(text: &str) -> String {
    let head = text.lines().take_while(|line| line.starts_with("//!"));
    let head: Vec<&str> = head.map(|line| line[3..].trim()).take_while(|line| !line.is_empty()).collect();
    let head = head.join(" ");
    let end = head.find(". ").unwrap_or(head.len());
    head[..end].trim_end_matches('.').to_owned()
}

fn children(items: &[Item]) -> BTreeSet<String> {
    let modules = items.iter().filter_map(|item| match item {
        Item::Mod(module) if module.content.is_none() => Some(module.ident.to_string()),
        _ => None,
    });
    modules.collect()
}

struct Reader<'a> {
    file: &'a mut File,
    /// The modules that the file declares: a path may begin with one.
    children: BTreeSet<String>,
}

impl Reader<'_> {
    fn is_local(&self, path: &[String]) -> bool {
        path.first().is_some_and(|first| {
            matches!(first.as_str(), "crate" | "self" | "super") || self.children.contains(first)
        })
    }

    fn add_use(&mut self, tree: &UseTree, prefix: &[String], is_reexport: bool) {
        let with = |part: String| [prefix, &[part]].concat();
        match tree {
            UseTree::Path(path) => self.add_use(&path.tree, &with(path.ident.to_string()), is_reexport),
            UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.add_use(item, prefix, is_reexport));
            }
            UseTree::Name(name) if name.ident == "self" => {
                let own = prefix.last().cloned().unwrap_or_default();
                self.add(own, prefix.to_vec(), is_reexport);
            }
            UseTree::Name(name) => {
                self.add(name.ident.to_string(), with(name.ident.to_string()), is_reexport);
            }
            UseTree::Rename(name) => {
                self.add(name.rename.to_string(), with(name.ident.to_string()), is_reexport);
            }
            UseTree::Glob(_) => self.add("*".to_owned(), prefix.to_vec(), is_reexport),
        }
    }

    fn add(&mut self, name: String, path: Vec<String>, is_reexport: bool) {
        if !self.is_local(&path) {
        } else if is_reexport {
            self.file.reexports.push((name, path));
        } else {
            self.file.paths.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        self.add_use(&item.tree, &[], is_reexport);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // The paths of an inline module begin one level further down.
        let Some((_, items)) = &item.content else { return };
        if is_for_tests(&item.attrs) {
            return;
        }
        let mut inner = File::new(String::new(), String::new());
        let mut reader = Reader { file: &mut inner, children: BTreeSet::new() };
        items.iter().for_each(|item| reader.visit_item(item));
        self.file.paths.extend(inner.paths.into_iter().filter_map(one_level_up));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if parts.len() > 1 && self.is_local(&parts) {
            self.file.paths.insert(parts);
        }
        syn::visit::visit_path(self, path);
    }

    // `pub(in crate::diff)` imports nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

fn one_level_up(path: Vec<String>) -> Option<Vec<String>> {
    match path.first()?.as_str() {
        "crate" => Some(path),
        "super" if path.get(1).is_some_and(|part| part == "super") => Some(path[1..].to_vec()),
        "super" => Some([&["self".to_owned()], &path[1..]].concat()),
        _ => None,
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("test"))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A crate of the given files.
    pub(in crate::graph) fn crate_of(files: &[(&str, &str)]) -> Crate {
        let source =
            |(path, text): &(&str, &str)| Source { path: format!("a/src/{path}"), text: (*text).into() };
        let sources: Vec<Source> = files.iter().map(source).collect();
        read("a/src/", &sources).expect("valid Rust")
    }

    fn imports(found: &Crate, from: &str) -> Vec<String> {
        found.edges[&module(from)].iter().map(|path| path.join("/")).collect()
    }

    #[test]
    fn imports_of_every_form_are_found() {
        let found = crate_of(&[
            ("lib.rs", "//! A. More.\nmod a;\nmod b;\nmod c;\npub use a::{A, deep::D};"),
            ("a/mod.rs", "pub(crate) mod deep;\npub(crate) use deep::D as E; use super::b;"),
            ("a/deep.rs", "use super::super::c::{self, C}; fn f() { crate::b::g() }"),
            ("b.rs", "use crate::a::E; use std::fmt; #[cfg(test)] mod tests { use crate::c::C; }"),
            ("c.rs", "use crate::A; use crate::D;"),
        ]);
        assert_eq!(imports(&found, "lib.rs"), [""; 0]);
        assert_eq!(imports(&found, "a/mod.rs"), ["b"]);
        assert_eq!(imports(&found, "a/deep.rs"), ["b", "c"]);
        assert_eq!(imports(&found, "b.rs"), ["a/deep"]);
        assert_eq!(imports(&found, "c.rs"), ["a", "a/deep"]);
        assert_eq!(found.files[&module("lib.rs")].purpose, "A");
    }

    #[test]
    fn an_inline_module_imports_for_its_file() {
        let found = crate_of(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "mod inner { use super::super::b::B; use super::own; } fn own() {}"),
            ("b.rs", ""),
        ]);
        assert_eq!(imports(&found, "a.rs"), ["b"]);
    }
}
