//! The test binaries of the workspace, and how each runs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Parser;
use serde_json::Value;

/// What to run: everything, unless packages, test targets or names are given.
#[derive(Debug, Clone, Default, Parser, PartialEq)]
pub(crate) struct Selection {
    /// Only the tests of this package; may be repeated
    #[arg(short, long, value_name = "NAME")]
    pub(crate) package: Vec<String>,
    /// Only the integration tests of this name; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) test: Vec<String>,
    /// Only the tests with one of these texts in their names
    #[arg(value_name = "TEXT")]
    pub(crate) names: Vec<String>,
}

impl Selection {
    /// Adds the selection after `--`, where cargo expects it.
    pub(crate) fn and(mut self, more: &[String]) -> anyhow::Result<Self> {
        let more = Self::try_parse_from(["--"].into_iter().chain(more.iter().map(String::as_str))).map_err(
            |error| anyhow::anyhow!("after `--` stand names of tests, -p PACKAGE and --test NAME: {error}"),
        )?;
        self.package.extend(more.package);
        self.test.extend(more.test);
        self.names.extend(more.names);
        Ok(self)
    }

    /// Cargo's arguments for the packages.
    pub(crate) fn packages(&self) -> Vec<String> {
        if self.package.is_empty() {
            return vec!["--workspace".to_owned()];
        }
        self.package.iter().flat_map(|package| ["--package".to_owned(), package.clone()]).collect()
    }

    /// Whether the selection includes doctests.
    pub(crate) fn has_doctests(&self) -> bool {
        self.test.is_empty()
    }

    fn has(&self, suite: &Suite) -> bool {
        (self.package.is_empty() || self.package.contains(&suite.package))
            && (self.test.is_empty() || (suite.is_integration && self.test.contains(&suite.target)))
    }
}

/// A test binary.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Suite {
    pub(crate) package: String,
    pub(crate) target: String,
    pub(crate) version: String,
    /// Below the folder `tests` of its package.
    pub(crate) is_integration: bool,
    pub(crate) executable: PathBuf,
    /// The folder of its package, in which it runs, as cargo does it.
    pub(crate) folder: PathBuf,
}

impl Suite {
    /// `PACKAGE` for a library, `PACKAGE::TARGET` for everything else.
    pub(crate) fn name(&self) -> String {
        if self.target == self.package.replace('-', "_") {
            self.package.clone()
        } else {
            format!("{}::{}", self.package, self.target)
        }
    }

    pub(crate) fn way(&self) -> Way {
        let name = self.name();
        WAYS.iter().find(|(suite, _, _)| *suite == name).map_or(Way::Computes, |(_, way, _)| *way)
    }
}

/// How a test binary runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// As many of its tests at a time as there are processors, beside other binaries.
    Computes,
    /// This many of its tests at a time, beside other binaries: they mostly wait for a cluster.
    Waits(usize),
    /// While no other binary runs.
    Alone,
}

/// The binaries that do not run as [`Way::Computes`], the longest first, and why. Tests of binaries that run beside others
/// share the cluster `default`: each has names of its own in it, and reads nothing of the audit log but its own.
const WAYS: [(&str, Way, &str); 12] = [
    ("thinkube-e2e::devpi", Way::Waits(3), "pods start and images are built"),
    ("thinkube-e2e::operations", Way::Waits(3), "pods start"),
    ("thinkube-e2e::images", Way::Waits(3), "pods start and images are built"),
    ("thinkube-cluster::integration", Way::Waits(4), "Leases of hosts that were cut off expire"),
    ("thinkube-e2e::platform", Way::Waits(3), "pods start"),
    ("thinkube-e2e::cluster", Way::Waits(3), "Leases of killed hosts expire"),
    ("thinkube-effects::local", Way::Waits(3), "images are built and packages installed"),
    ("thinkube-e2e::external", Way::Waits(2), "Keycloak answers"),
    ("thinkube-e2e::pod_files", Way::Waits(3), "pods start"),
    ("xtask::given_cluster", Way::Waits(2), "a pod starts"),
    ("thinkube-effects::keycloak", Way::Waits(2), "Keycloak answers"),
    (
        "thinkube-test-cluster::harness",
        Way::Alone,
        "it starts clusters with time limits, and compares the machine's mounts, links and rules before and after",
    ),
];

/// The order in which binaries are started: short ones first, so that their failures are seen soon, then those that wait,
/// the longest first, so that none is left for the end, and last those that run alone.
pub(crate) fn in_order(mut suites: Vec<Suite>) -> Vec<Suite> {
    let place = |suite: &Suite| {
        let name = suite.name();
        WAYS.iter().position(|(listed, _, _)| *listed == name).map_or(0, |at| at + 1)
    };
    suites.sort_by_key(|suite| (place(suite), suite.name()));
    suites
}

/// The test binaries of a build, from cargo's messages in JSON.
pub(crate) fn of_messages(text: &str, selection: &Selection) -> anyhow::Result<Vec<Suite>> {
    let mut suites = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let message: Value = serde_json::from_str(line).with_context(|| format!("cargo printed {line}"))?;
        if let Some(suite) = of_message(&message).filter(|suite| selection.has(suite)) {
            suites.push(suite);
        }
    }
    if suites.is_empty() {
        bail!("no package has such a test binary: {}", selection.packages().join(" "));
    }
    Ok(suites)
}

fn of_message(message: &Value) -> Option<Suite> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let manifest = Path::new(message["manifest_path"].as_str()?);
    // A package's identity ends in its name, or in its folder, which then has the same name.
    let id = message["package_id"].as_str()?;
    let fragment = id.rsplit_once('#').map_or(id, |(_, fragment)| fragment);
    let folder = manifest.parent()?;
    let (package, version) = match fragment.split_once('@') {
        Some(both) => both,
        None => (folder.file_name()?.to_str()?, fragment),
    };
    let kinds = message["target"]["kind"].as_array()?;
    Some(Suite {
        package: package.to_owned(),
        version: version.to_owned(),
        target: message["target"]["name"].as_str()?.to_owned(),
        is_integration: kinds.iter().any(|kind| kind == "test"),
        executable: PathBuf::from(message["executable"].as_str()?),
        folder: folder.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = r#"{"reason":"compiler-artifact","package_id":"registry+https://x#serde@1.0.0","manifest_path":"/r/serde/Cargo.toml","target":{"kind":["lib"],"name":"serde"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","package_id":"path+file:///w/host/plan#thinkube-plan@0.1.0","manifest_path":"/w/host/plan/Cargo.toml","target":{"kind":["lib"],"name":"thinkube_plan"},"profile":{"test":true},"executable":"/w/target/debug/deps/thinkube_plan-1"}
{"reason":"compiler-artifact","package_id":"path+file:///w/tests/e2e#thinkube-e2e@0.1.0","manifest_path":"/w/tests/e2e/Cargo.toml","target":{"kind":["test"],"name":"devpi"},"profile":{"test":true},"executable":"/w/target/debug/deps/devpi-1"}
{"reason":"compiler-artifact","package_id":"path+file:///w/xtask#0.1.0","manifest_path":"/w/xtask/Cargo.toml","target":{"kind":["bin"],"name":"xtask"},"profile":{"test":true},"executable":"/w/target/debug/deps/xtask-1"}
{"reason":"build-finished","success":true}"#;

    fn names(selection: &Selection) -> Vec<String> {
        of_messages(MESSAGES, selection).expect("there are some").iter().map(Suite::name).collect()
    }

    #[test]
    fn the_test_binaries_of_a_build_are_found_with_their_folders() {
        let suites = of_messages(MESSAGES, &Selection::default()).expect("there are some");
        assert_eq!(names(&Selection::default()), ["thinkube-plan", "thinkube-e2e::devpi", "xtask"]);
        assert!(suites.iter().all(|suite| suite.version == "0.1.0"));
        assert_eq!(suites[1].folder, Path::new("/w/tests/e2e"));
        assert_eq!(suites[1].executable, Path::new("/w/target/debug/deps/devpi-1"));
    }

    #[test]
    fn packages_and_test_targets_select_binaries() {
        let package = Selection { package: vec!["thinkube-plan".to_owned()], ..Selection::default() };
        assert_eq!(names(&package), ["thinkube-plan"]);
        let test = Selection { test: vec!["devpi".to_owned()], ..Selection::default() };
        assert_eq!(names(&test), ["thinkube-e2e::devpi"]);
        // A library of that name is not an integration test.
        let library = Selection { test: vec!["xtask".to_owned()], ..Selection::default() };
        assert!(of_messages(MESSAGES, &library).is_err());
    }

    #[test]
    fn what_stands_after_two_dashes_selects_as_what_stands_before() {
        let text = |text: &[&str]| text.iter().map(ToString::to_string).collect::<Vec<_>>();
        let before = Selection { names: text(&["a"]), ..Selection::default() };
        let both =
            before.and(&text(&["-p", "thinkube-plan", "b", "--test", "integration"])).expect("it is right");
        assert_eq!(both.packages(), ["--package", "thinkube-plan"]);
        assert_eq!((both.names, both.test), (text(&["a", "b"]), text(&["integration"])));
        let wrong = Selection::default().and(&text(&["--no-such-option"])).expect_err("it is wrong");
        assert!(wrong.to_string().contains("--no-such-option"), "{wrong}");
    }

    #[test]
    fn binaries_that_run_alone_are_last() {
        let suite = |package: &str, target: &str| Suite {
            package: package.to_owned(),
            target: target.to_owned(),
            version: "0.1.0".to_owned(),
            is_integration: true,
            executable: PathBuf::new(),
            folder: PathBuf::new(),
        };
        let suites = vec![
            suite("thinkube-test-cluster", "harness"),
            suite("thinkube-e2e", "platform"),
            suite("thinkube-plan", "thinkube_plan"),
            suite("thinkube-e2e", "devpi"),
        ];
        let order: Vec<_> = in_order(suites).iter().map(Suite::name).collect();
        assert_eq!(
            order,
            [
                "thinkube-plan",
                "thinkube-e2e::devpi",
                "thinkube-e2e::platform",
                "thinkube-test-cluster::harness"
            ]
        );
    }

    #[test]
    fn every_binary_of_the_table_is_a_test_target_of_the_workspace() {
        for (suite, _, why) in WAYS {
            let (package, target) = suite.split_once("::").expect("an integration test");
            let folder = match package {
                "thinkube-e2e" => "tests/e2e".to_owned(),
                "thinkube-test-cluster" => "tests/cluster".to_owned(),
                other => other.replace("thinkube-", "host/"),
            };
            let tests = crate::command::root().join(folder).join("tests");
            let file = tests.join(format!("{target}.rs"));
            assert!(file.is_file() || tests.join(target).join("main.rs").is_file(), "{suite}");
            assert!(!why.is_empty());
        }
    }
}
