//! A Python package that is pinned to one version.

use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// A Python package at exactly one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonPackage {
    /// The name, normalized by PEP 503: `Zope.Interface` is `zope-interface`.
    pub name: String,
    /// The version (PEP 440).
    pub version: String,
}

impl FromStr for PythonPackage {
    type Err = Error;

    /// Reads NAME==VERSION and nothing else: pip would act on extras, markers, options and URLs.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::PythonPackage(text.chars().take(100).collect());
        let (name, version) = text.split_once("==").ok_or_else(invalid)?;
        let has_only = |text: &str, more: &[u8]| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        let has_plain_ends = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric())
                && text.ends_with(|last: char| last.is_ascii_alphanumeric())
        };
        let is_valid = name.len() <= 100
            && has_plain_ends(name)
            && has_only(name, b"._-")
            && version.len() <= 64
            && has_plain_ends(version)
            && has_only(version, b"._-+!");
        if !is_valid {
            return Err(invalid());
        }
        Ok(Self { name: normalized_name(name), version: version.to_owned() })
    }
}

impl fmt::Display for PythonPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=={}", self.name, self.version)
    }
}

/// The name of a package as PEP 503 compares it.
pub(crate) fn normalized_name(name: &str) -> String {
    let mut normalized = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '-' | '_' | '.' if normalized.ends_with('-') => {}
            '-' | '_' | '.' => normalized.push('-'),
            other => normalized.push(other.to_ascii_lowercase()),
        }
    }
    normalized
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_package_is_a_name_and_one_version() {
        let package: PythonPackage = "Devpi_Client==7.3.0".parse().expect("a package");
        assert_eq!(package.to_string(), "devpi-client==7.3.0");
        for wrong in [
            "devpi-client",
            "devpi-client>=1",
            "devpi-client==",
            "devpi-client==7.*",
            "devpi-client==7.3.0 --index-url=https://evil.example",
            "devpi-client==7.3.0; python_version>'3'",
            "devpi-client[x]==7.3.0",
            "devpi-client @ https://evil.example/x.whl",
            "--index-url=https://evil.example==1",
            "-r==1",
            "a==1,!=2",
            "a===1",
            "./a==1",
            "a\n==1",
            "==1",
        ] {
            assert!(wrong.parse::<PythonPackage>().is_err(), "{wrong}");
        }
    }
}
