//! Workstation files, by the host's command line, without a cluster.

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use thinkube_e2e::{Run, command, finish, hostile, run, skip};

const TEXT: &str = ".config/greeting/text";
const SAY: &str = "greeting/say";

/// The plugin's component, built by the host from the folder of its crate.
fn plugin() -> &'static str {
    thinkube_e2e::plugin("tests/files-plugin").to_str().expect("it is text")
}

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&["workstation"]);
        command.args(arguments).arg("--home").arg(self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        finish(&mut self.command(arguments))
    }

    fn plan(&self, more: &[&str]) -> Run {
        self.run(&[&["plan", plugin(), "-o", "json"], more].concat())
    }

    /// What would be done, by path.
    fn actions(&self, more: &[&str]) -> Vec<(String, String)> {
        let plan = self.plan(more).ends_with(0).json();
        let name = |action: &Value| match action {
            Value::Object(action) => action.keys().next().expect("it is named").clone(),
            action => action.as_str().expect("a name").to_owned(),
        };
        let changes = plan["changes"].as_array().expect("it is a list").iter();
        changes
            .map(|change| (change["path"].as_str().expect("it is text").to_owned(), name(&change["action"])))
            .collect()
    }

    fn apply(&self, more: &[&str]) -> Run {
        self.run(&[&["apply", plugin(), "--yes", "-o", "json"], more].concat())
    }

    fn remove(&self, more: &[&str]) -> Value {
        self.run(&[&["remove", "files", "--yes", "-o", "json"], more].concat()).ends_with(0).json()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.at(path)).expect("it exists").permissions().mode() & 0o7777
    }

    /// What is in it, but for the host's own records.
    fn names(&self) -> Vec<String> {
        fn below(folder: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).expect("readable") {
                let path = entry.expect("readable").path();
                let name = path.strip_prefix(root).expect("below").to_str().expect("it is text").to_owned();
                if name == ".local" {
                    continue;
                }
                if path.is_dir() && !path.is_symlink() {
                    below(&path, root, found);
                }
                found.push(name);
            }
        }
        let mut found = Vec::new();
        below(self.0.path(), self.0.path(), &mut found);
        found.sort();
        found
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(path, action)| ((*path).to_owned(), (*action).to_owned())).collect()
}

#[test]
fn inspect_shows_the_workstation_files_and_their_permissions() {
    let shown = run(&["inspect", plugin()]).ends_with(0).stdout;
    for expected in ["workstation files", "write ~/.config/greeting", "install the Python package iniconfig"]
    {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
}

#[test]
fn a_plan_shows_every_file_with_its_lines_and_puts_none_there() {
    let home = Home::new();
    let shown = home.run(&["plan", plugin(), "--set", "greeting=good day"]).ends_with(0).stdout;
    for expected in ["+ ~/greeting/\n", "+ ~/.config/greeting/text\n      + good day\n", "0 unchanged"] {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
    assert_eq!(home.names(), [""; 0]);
    home.plan(&["--exit-code"]).ends_with(7);
}

#[test]
fn a_second_apply_writes_nothing_and_a_removal_leaves_nothing() {
    let home = Home::new();
    assert_eq!(home.apply(&[]).ends_with(0).json()["changed"], true);
    assert_eq!((home.read(TEXT), home.mode(TEXT)), ("hello\n".to_owned(), 0o644));
    assert_eq!(home.mode(SAY), 0o755);
    let record = ".local/state/thinkube-host/workstation/files.json";
    let written = || {
        [TEXT, SAY, record].map(|path| {
            let file = fs::metadata(home.at(path)).expect("it exists");
            (file.ino(), file.mtime(), file.mtime_nsec())
        })
    };
    let before = written();
    let applied = home.apply(&[]).ends_with(0).json();
    assert_eq!((&applied["changed"], &applied["left"]), (&json!(false), &json!([])));
    assert_eq!(written(), before);
    home.plan(&["--exit-code"]).ends_with(0);

    let status = home.run(&["status", "-o", "json"]).ends_with(0).json();
    let entries = status["releases"][0]["entries"].as_array().expect("it is a list").clone();
    assert!(entries.len() == 5 && entries.iter().all(|entry| entry["state"] == "inPlace"), "{status}");

    assert_eq!(home.remove(&[])["left"], json!([]));
    assert_eq!(home.names(), [""; 0]);
    let error = home.run(&["remove", "files", "--yes", "-o", "json"]).ends_with(3).error();
    assert!(
        error["error"]["message"]
            .as_str()
            .expect("it is text")
            .contains("release files has no workstation files"),
        "{error}"
    );
}

#[test]
fn other_settings_change_lines_and_take_away_what_is_no_longer_wanted() {
    let home = Home::new();
    home.apply(&[]).ends_with(0);
    let other = ["--set", "greeting=good day", "--set", "file=greeting/text"];
    assert_eq!(
        home.actions(&other),
        pairs(&[
            ("greeting", "unchanged"),
            (SAY, "update"),
            ("greeting/text", "create"),
            (TEXT, "remove"),
            (".config/greeting", "remove"),
            (".config", "remove"),
        ])
    );
    let shown = home.run(&[&["plan", plugin()][..], &other].concat()).ends_with(0).stdout;
    assert!(shown.contains("      - echo hello\n      + echo good day\n"), "{shown}");
    home.apply(&other).ends_with(0);
    assert_eq!(home.names(), ["greeting", SAY, "greeting/text"]);
}

#[test]
fn a_persons_change_is_kept_and_reported_until_it_is_named() {
    let home = Home::new();
    home.apply(&[]).ends_with(0);
    fs::write(home.at(TEXT), "mine\n").expect("the folder is writable");
    let other = ["--set", "greeting=good day"];
    assert!(home.actions(&other).contains(&(TEXT.into(), "changedByHand".into())));
    let applied = home.apply(&other).ends_with(0).json();
    assert_eq!(applied["left"], json!([{ "path": TEXT, "why": "changedByHand" }]));
    assert_eq!((home.read(TEXT).as_str(), home.read(SAY).contains("good day")), ("mine\n", true));
    let status = home.run(&["status", "files"]).ends_with(0).stdout;
    assert!(status.contains("~/.config/greeting/text was changed by hand"), "{status}");

    let left = home.remove(&[])["left"].clone();
    assert!(
        left.as_array().expect("it is a list").contains(&json!({ "path": TEXT, "why": "changedByHand" })),
        "{left}"
    );
    assert_eq!(home.names(), [".config", ".config/greeting", TEXT]);

    home.apply(&["--overwrite", &format!("~/{TEXT}")]).ends_with(0);
    assert_eq!(
        (home.read(TEXT).as_str(), home.read(".config/greeting/text.orig-1").as_str()),
        ("hello\n", "mine\n")
    );
    let error = home.apply(&["--overwrite", "unknown"]).ends_with(3).error();
    assert_eq!(error["error"]["kind"], "nothing-to-overwrite", "{error}");
}

#[test]
fn nothing_goes_through_a_symbolic_link() {
    let (home, outside) = (Home::new(), Home::new());
    symlink(outside.0.path(), home.at(".config")).expect("a link");
    let applied = home.apply(&[]).ends_with(4).json();
    assert_eq!(
        applied["left"][0]["why"]["inTheWay"],
        json!({ "at": ".config", "what": "link" }),
        "{applied}"
    );
    assert_eq!((outside.names(), home.read(SAY).contains("hello")), (vec![], true));
    let shown = home.run(&["plan", plugin()]).ends_with(0).stdout;
    assert!(shown.contains("~/.config is a symbolic link"), "{shown}");
}

#[test]
fn a_file_of_another_release_stays_that_releases() {
    let home = Home::new();
    home.apply(&[]).ends_with(0);
    let other = ["--release", "other", "--set", "greeting=good day"];
    assert!(home.actions(&other).contains(&(TEXT.into(), "notTheReleases".into())));
    let applied = home.apply(&other).ends_with(4).json();
    assert_eq!(applied["left"].as_array().expect("it is a list").len(), 2, "{applied}");
    assert_eq!((home.read(TEXT).as_str(), home.read(SAY).contains("good day")), ("hello\n", false));
    assert!(home.actions(&[]).iter().all(|(_, action)| action == "unchanged"));
}

#[test]
fn what_was_not_granted_is_refused_and_nothing_is_done() {
    let home = Home::new();
    for (path, code, kind) in [
        (".ssh/authorized_keys", 4, "denied"),
        ("../x", 5, "invalid-workstation-plan"),
        ("/etc/x", 5, "invalid-workstation-plan"),
    ] {
        for run in
            [home.plan(&["--set", &format!("file={path}")]), home.apply(&["--set", &format!("file={path}")])]
        {
            let error = run.ends_with(code).error();
            assert_eq!(error["error"]["kind"], kind, "{error}");
            assert!(error["error"]["message"].as_str().expect("it is text").contains(path), "{error}");
        }
    }
    let grants = home.at("grants.yaml");
    fs::write(&grants, "permissions:\n  - writeHome: .config/greeting\n").expect("the folder is writable");
    let grants = grants.to_str().expect("it is text");
    let error = home.apply(&["--grants", grants]).ends_with(4).error();
    assert!(
        error["error"]["message"].as_str().expect("it is text").contains("write ~/greeting/say"),
        "{error}"
    );
    assert_eq!(home.names(), ["grants.yaml"]);
}

#[test]
fn earlier_grants_count_until_others_are_given() {
    let home = Home::new();
    let grants = home.at("grants.yaml");
    fs::write(&grants, "permissions:\n  - writeHome: .config/greeting\n  - writeHome: greeting\n")
        .expect("the folder is writable");
    home.apply(&["--grants", grants.to_str().expect("it is text")]).ends_with(0);
    let package = ["--set", "package=iniconfig==2.1.0"];
    let refused = home.plan(&package).ends_with(4);
    assert!(refused.stderr.contains("--grant-requested"), "{}", refused.stderr);
    home.plan(&[&package[..], &["--grant-requested"]].concat()).ends_with(0);
}

#[test]
fn grants_follow_a_changed_setting_unless_they_come_from_a_file() {
    let home = Home::new();
    home.apply(&["--set", "folder=notes"]).ends_with(0);
    let moved = home.apply(&["--set", "folder=letters"]).ends_with(0);
    assert!(moved.stderr.contains("follows its settings"), "{}", moved.stderr);
    assert!(moved.stderr.contains("write ~/letters"), "{}", moved.stderr);
    assert_eq!(home.read("letters/greeting"), "hello\n");
    // The file that it no longer has was written under the earlier grants.
    assert!(!home.names().contains(&"notes/greeting".to_owned()));
    let granted = home.plan(&["--set", "folder=letters"]).ends_with(0).json()["granted"].to_string();
    assert!(granted.contains("letters") && !granted.contains("notes"), "{granted}");

    let grants = home.at("grants.yaml");
    let written = ["greeting", ".config/greeting", "letters"].map(|path| format!("  - writeHome: {path}\n"));
    fs::write(&grants, format!("permissions:\n{}", written.concat())).expect("the folder is writable");
    let grants = ["--grants", grants.to_str().expect("it is text"), "--set", "folder=letters"];
    home.apply(&grants).ends_with(0);
    let refused = home.apply(&["--set", "folder=notes"]).ends_with(4).error();
    assert!(refused["error"]["message"].as_str().expect("it is text").contains("write ~/notes"), "{refused}");
    home.apply(&["--set", "folder=notes", "--grant-requested"]).ends_with(0);
    home.apply(&["--set", "folder=letters"]).ends_with(0);
}

#[test]
fn settings_are_judged_as_those_of_a_plan_are() {
    let home = Home::new();
    let printed = |more: &[&str]| {
        home.plan(more).ends_with(3).error()["error"]["message"].as_str().expect("it is text").to_owned()
    };
    assert!(printed(&["--set", "greting=x"]).contains("greeting"));
    assert!(printed(&["--set", "greeting="]).contains("the greeting is empty"));
}

#[test]
fn a_plugin_that_offers_nothing_for_a_home_is_told_so() {
    let home = Home::new();
    let hostile = hostile().to_str().expect("it is text");
    let error = home.run(&["plan", hostile, "-o", "json"]).ends_with(5).error();
    assert_eq!(error["error"]["kind"], "not-offered", "{error}");
}

#[test]
fn without_an_answer_nothing_is_done() {
    let home = Home::new();
    let refused = home.run(&["apply", plugin()]).ends_with(3);
    assert!(
        refused.stderr.contains("+ ~/greeting/say") && refused.stderr.contains("--yes"),
        "{}",
        refused.stderr
    );
    assert_eq!(home.names(), [""; 0]);
}

#[test]
fn no_secret_of_the_environment_can_get_into_a_file() {
    let home = Home::new();
    let mut apply = home.command(&["apply", plugin(), "--yes", "--set", "greeting=$ADMIN_PASSWORD"]);
    let run = finish(apply.env("ADMIN_PASSWORD", "canary-7f3a")).ends_with(0);
    assert!(!format!("{run:?}").contains("canary-7f3a"));
    assert_eq!(home.read(TEXT), "$ADMIN_PASSWORD\n");
}

#[test]
fn ones_own_home_is_where_home_says() {
    let home = Home::new();
    let mut apply = command(&["workstation", "apply", plugin(), "--yes", "--no-cache"]);
    finish(apply.env("HOME", home.0.path()).env_remove("XDG_STATE_HOME")).ends_with(0);
    assert_eq!(home.read(TEXT), "hello\n");
}

#[test]
fn a_python_package_gets_an_environment_of_the_releases_own() {
    if !Path::new("/usr/bin/python3").exists() {
        return skip("there is no Python");
    }
    let home = Home::new();
    let package = ["--set", "package=iniconfig==2.1.0"];
    let applied = home.apply(&package);
    if applied.stderr.contains("No matching distribution") {
        return skip("there is no package registry");
    }
    assert!(applied.ends_with(0).stderr.contains("Successfully installed iniconfig-2.1.0"));
    let python = home.at(".local/share/thinkube/venvs/files/bin/python");
    let script = "import iniconfig; print(iniconfig.__file__)";
    let imported = finish(Command::new(&python).args(["-I", "-c", script])).ends_with(0).stdout;
    assert!(imported.starts_with(home.0.path().to_str().expect("it is text")), "{imported}");
    assert_eq!(home.apply(&package).ends_with(0).json()["changed"], false);
    assert_eq!(home.remove(&[])["left"], json!([]));
    assert!(!home.at(".local/share").exists());
}
