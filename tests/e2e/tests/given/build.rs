//! `build`: a component from the folder of a crate.

use crate::{refused, text};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use thinkube_e2e::{command, devpi, finish, root, run};

#[test]
fn build_writes_the_component_that_the_folder_gives_and_says_what_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("devpi.wasm");
    let built = run(&["build", "plugin-devpi", "-o", text(&file), "--output", "json"]).ends_with(0).json();
    assert_eq!(fs::read(&file).expect("written"), fs::read(devpi()).expect("built"));
    assert_eq!(fs::metadata(&file).expect("written").permissions().mode() & 0o777, 0o644);
    let inspected = run(&["inspect", text(&file), "-o", "json"]).ends_with(0).json();
    assert_eq!(built["digest"], inspected["digest"]);
    assert_eq!(built["name"], "devpi");
    assert_eq!(built["file"], text(&file));
    assert_eq!(built["bytes"], fs::metadata(&file).expect("written").len());

    // Again, over the component of before; and without a name, in the folder where it is called.
    let mut again = command(&["build", text(&root().join("plugin-devpi"))]);
    let printed = finish(again.current_dir(folder.path())).ends_with(0).stdout;
    assert!(printed.contains("devpi.wasm") && printed.contains("sha256:"), "{printed}");
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1, "nothing else is left");
}

#[test]
fn build_overwrites_no_other_file_unless_forced() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("notes.txt");
    fs::write(&file, "my notes").expect("the folder is writable");
    refused(&["build", "plugin-devpi", "-o", text(&file)], 3, "input", &["notes.txt", "--force"]);
    assert_eq!(fs::read_to_string(&file).expect("there"), "my notes");
    refused(
        &["build", "plugin-devpi", "-o", text(folder.path()), "--force"],
        3,
        "input",
        &["found a folder"],
    );
    refused(&["build", "plugin-devpi", "-o", "/nonexistent/a.wasm"], 3, "input", &["/nonexistent"]);
    refused(&["build", "plugin-devpi", "-o", "json"], 3, "input", &["--output json"]);
    run(&["build", "plugin-devpi", "-o", text(&file), "--force"]).ends_with(0);
    assert_eq!(fs::read(&file).expect("there"), fs::read(devpi()).expect("built"));
}

#[test]
fn build_takes_the_folder_of_a_plugin_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("a.wasm");
    refused(&["build", text(devpi()), "-o", text(&file)], 3, "input", &["expected the folder"]);
    refused(&["build", "docs", "-o", text(&file)], 1, "build", &["Cargo.toml"]);
    refused(&["build", "host/plan", "-o", text(&file)], 1, "build", &["cdylib"]);
    // A component of another world is not a plugin: nothing is written.
    assert!(!file.exists());
}
