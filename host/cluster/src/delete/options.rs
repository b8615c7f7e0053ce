//! What an operator decides about an uninstall.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How to uninstall what a release has in the cluster.
#[derive(Debug, Clone)]
pub struct UninstallOptions {
    /// Whether retained objects, definitions and the data of StatefulSets are deleted too.
    pub delete_data: bool,
    /// What is left in place without an attempt to delete it.
    pub orphan: Vec<Orphan>,
    /// The longest time for all deletions together.
    pub timeout: Duration,
}

/// What an uninstall leaves in place because the operator says so, as `kubectl delete --cascade=orphan` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Orphan {
    /// Every external resource and every pod file.
    All,
    /// An external resource, by the name of its step.
    External(String),
    /// The pod files of a step, by its name.
    PodFiles(String),
}

impl UninstallOptions {
    /// Whether the external resource of a step is left in place.
    pub fn orphans_external(&self, step: &str) -> bool {
        self.orphan.iter().any(|orphan| match orphan {
            Orphan::All => true,
            Orphan::External(name) => name == step,
            Orphan::PodFiles(_) => false,
        })
    }

    /// Whether the pod files of a step are left in place.
    pub fn orphans_pod_files(&self, step: &str) -> bool {
        self.orphan.iter().any(|orphan| match orphan {
            Orphan::All => true,
            Orphan::PodFiles(name) => name == step,
            Orphan::External(_) => false,
        })
    }
}

impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::External(step) => write!(f, "External/{step}"),
            Self::PodFiles(step) => write!(f, "PodFiles/{step}"),
        }
    }
}

impl FromStr for Orphan {
    type Err = String;

    /// Reads `External/STEP`, `PodFiles/STEP` or `all`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            None if text == "all" => Ok(Self::All),
            Some(("External", step)) if !step.is_empty() => Ok(Self::External(step.to_owned())),
            Some(("PodFiles", step)) if !step.is_empty() => Ok(Self::PodFiles(step.to_owned())),
            _ => Err("External/STEP, PodFiles/STEP or all is expected".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orphan_is_named_by_its_step_and_by_nothing_else() {
        let options = |texts: &[&str]| UninstallOptions {
            delete_data: false,
            orphan: texts.iter().map(|text| text.parse().expect("an orphan")).collect(),
            timeout: Duration::ZERO,
        };
        for text in ["all", "External/a", "PodFiles/a"] {
            assert_eq!(text.parse::<Orphan>().expect("an orphan").to_string(), text);
        }
        let named = options(&["External/a", "PodFiles/b"]);
        assert!(named.orphans_external("a") && named.orphans_pod_files("b"));
        assert!(!named.orphans_external("b") && !named.orphans_pod_files("a"));
        assert!(options(&["all"]).orphans_external("a") && options(&["all"]).orphans_pod_files("a"));
        assert!(!options(&[]).orphans_external("a"));
        for wrong in ["", "a", "External", "External/", "Secret/n/a", "All"] {
            assert!(wrong.parse::<Orphan>().is_err(), "{wrong}");
        }
    }
}
