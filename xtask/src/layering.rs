//! Tests the layering: which crate may name which dependency, and where `unsafe` may stand. Also tests that a released
//! contract does not change.

#![cfg(test)]

use crate::command::root;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// For each crate below `host/`, the restricted dependencies and sibling crates that it may name. A crate without a row
/// fails the test.
const ROWS: [(&str, &[&str]); 7] = [
    ("plan", &[]),
    ("sandbox", &["wasmtime", "tokio", "thinkube-plan"]),
    ("validate", &["thinkube-plan"]),
    ("cluster", &["kube", "tokio", "http", "thinkube-plan"]),
    ("effects", &["http", "tokio", "thinkube-plan", "thinkube-validate"]),
    (
        "engine",
        &[
            "tokio",
            "thinkube-plan",
            "thinkube-sandbox",
            "thinkube-validate",
            "thinkube-cluster",
            "thinkube-effects",
        ],
    ),
    ("cli", &["tokio", "thinkube-engine"]),
];

/// The name in [`ROWS`] that a dependency belongs to; none if the dependency is not restricted.
fn row_name(dependency: &str) -> Option<&str> {
    let families = ["wasmtime", "kube", "tokio", "thinkube-plan", "thinkube-sandbox", "thinkube-validate"];
    let exact = ["thinkube-cluster", "thinkube-effects", "thinkube-engine"];
    match dependency {
        "k8s-openapi" => Some("kube"),
        "cranelift" | "wasmparser" => Some("wasmtime"),
        "reqwest" | "hyper" | "hyper-util" | "http" => Some("http"),
        _ => families
            .into_iter()
            .find(|family| {
                dependency == *family
                    || dependency.strip_prefix(family).is_some_and(|rest| rest.starts_with('-'))
            })
            .or_else(|| exact.into_iter().find(|name| *name == dependency)),
    }
}

fn dependencies(manifest: &str) -> BTreeSet<String> {
    let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
    let names = |table: Option<&toml::Value>| {
        table
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(|table| table.keys().cloned())
            .collect::<Vec<_>>()
    };
    let mut found: BTreeSet<String> = names(manifest.get("dependencies")).into_iter().collect();
    found.extend(names(manifest.get("build-dependencies")));
    for target in
        manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values)
    {
        found.extend(names(target.get("dependencies")));
    }
    found
}

/// The dependencies of a crate that its row does not allow.
fn trespasses(manifest: &str, allowed: &[&str]) -> Vec<String> {
    dependencies(manifest)
        .into_iter()
        .filter(|dependency| row_name(dependency).is_some_and(|name| !allowed.contains(&name)))
        .collect()
}

#[test]
fn every_crate_of_the_host_names_only_what_its_row_allows() {
    let mut crates: Vec<String> = fs::read_dir(root().join("host"))
        .expect("host/ is there")
        .map(|entry| entry.expect("host/ can be read").file_name().to_string_lossy().into_owned())
        .collect();
    crates.sort();
    for name in crates {
        let (_, allowed) =
            ROWS.iter().find(|(row, _)| *row == name).unwrap_or_else(|| panic!("host/{name} has no row"));
        let manifest =
            fs::read_to_string(root().join("host").join(&name).join("Cargo.toml")).expect("it is a crate");
        assert_eq!(trespasses(&manifest, allowed), Vec::<String>::new(), "host/{name} names what it may not");
    }
}

#[test]
fn a_crate_that_names_kube_or_wasmtime_without_a_row_is_found() {
    let manifest = "[dependencies]\nkube-client = \"5\"\nwasmtime-wasi.workspace = true\nserde = \"1\"\n\
                    [target.'cfg(unix)'.dependencies]\ntokio = \"1\"\n";
    assert_eq!(trespasses(manifest, &["kube"]), ["tokio", "wasmtime-wasi"]);
}

/// The crates with lints of their own: one loads machine code, two hold what wit-bindgen generates. The others forbid
/// `unsafe` through the workspace.
const OWN_LINTS: [&str; 3] = ["host/sandbox", "sdk", "tests/hostile-plugin"];
/// The modules in them that may say `allow(unsafe_code)`; the hostile plugin does not need to be safe.
const ALLOW_UNSAFE: [&str; 2] = ["host/sandbox/src/cache.rs", "sdk/src/bindings.rs"];

#[test]
fn unsafe_code_is_only_in_the_cache_and_in_generated_bindings() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    let workspace: toml::Table = workspace.parse().expect("a manifest is TOML");
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let mut own_lints = Vec::new();
    let mut found = Vec::new();
    for member in workspace["workspace"]["members"].as_array().expect("a list") {
        let member = member.as_str().expect("a path");
        let manifest =
            fs::read_to_string(root().join(member).join("Cargo.toml")).expect("a member has a manifest");
        let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
        if manifest["lints"].get("workspace").and_then(toml::Value::as_bool) != Some(true) {
            own_lints.push(member);
        }
        allows_unsafe(&root().join(member), &mut found);
    }
    assert_eq!(own_lints, OWN_LINTS);
    found.sort();
    assert_eq!(found, ALLOW_UNSAFE);
}

fn allows_unsafe(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            allows_unsafe(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("xtask/src/layering.rs")
            && fs::read_to_string(&path).expect("source is text").contains("allow(unsafe_code")
        {
            let relative = path.strip_prefix(root()).expect("below the root");
            found.push(relative.to_string_lossy().into_owned());
        }
    }
}

/// SHA-256 over the names and contents of the files of a released contract, in the order of their names.
fn hash_of(folder: &Path) -> String {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the contract is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(file.file_name().expect("a file").to_string_lossy().as_bytes());
        digest.update([0]);
        digest.update(fs::read(&file).expect("readable"));
        digest.update([0]);
    }
    format!("{:x}", digest.finalize())
}

/// `wit/released` has a line `VERSION SHA256` for each released version.
fn changed_contracts(wit: &Path) -> Vec<String> {
    fs::read_to_string(wit.join("released"))
        .expect("wit/released is there")
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .filter_map(|line| {
            let (version, hash) = line.split_once(' ').unwrap_or((line, ""));
            let found = hash_of(&wit.join(version));
            (found != hash).then(|| format!("{version} was released as {hash} and is now {found}"))
        })
        .collect()
}

#[test]
fn a_released_contract_never_changes() {
    assert_eq!(changed_contracts(&root().join("wit")), Vec::<String>::new());
}

#[test]
fn a_change_of_one_byte_in_a_released_contract_is_found() {
    let wit = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(wit.path().join("9.9.9")).expect("writable");
    let file = wit.path().join("9.9.9/plugin.wit");
    fs::write(&file, "package a:b;").expect("writable");
    let hash = hash_of(&wit.path().join("9.9.9"));
    fs::write(wit.path().join("released"), format!("# comment\n9.9.9 {hash}\n")).expect("writable");
    assert_eq!(changed_contracts(wit.path()), Vec::<String>::new());
    fs::write(&file, "package a:c;").expect("writable");
    assert_eq!(changed_contracts(wit.path()).len(), 1);
}
