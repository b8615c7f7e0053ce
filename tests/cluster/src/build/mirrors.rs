//! How this machine reaches Debian's and Python's packages, read from its own configuration for the builds.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::error::{At, Error, Result};
use crate::process::run::run;
use crate::requirement::UnmetRequirement;

/// The mirror of Debian's main archive in `apt-get indextargets`. The suites of updates and security fixes have a `-` or `/`.
pub(crate) fn mirror(targets: &str) -> Option<&str> {
    targets.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (kind, suite, component, uri) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (kind == "Packages" && component == "main" && !suite.contains(['-', '/'])).then_some(uri)
    })
}

/// The certificates that this machine trusts.
pub(crate) fn authorities() -> Result<String> {
    let candidates =
        ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"].iter().filter_map(env::var_os).map(PathBuf::from);
    let bundle = candidates
        .chain([PathBuf::from("/etc/ssl/certs/ca-certificates.crt")])
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Error::Unmet(vec![UnmetRequirement::new(
                "this machine has no bundle of certificate authorities",
                "apt-get install ca-certificates",
            )])
        })?;
    fs::read_to_string(&bundle).at(bundle)
}

/// The configuration for the pip in a build: the index of this machine's pip.
pub(crate) fn pip_configuration() -> String {
    let listing = ["pip3", "pip"]
        .iter()
        .find_map(|pip| run(Command::new(pip).args(["config", "list"])).ok())
        .unwrap_or_default();
    let variables =
        env::vars().filter_map(|(name, value)| Some((name.strip_prefix("PIP_")?.to_lowercase(), value)));
    pip_options(&listing, variables)
}

fn pip_options(listing: &str, variables: impl Iterator<Item = (String, String)>) -> String {
    // Not `find-links`: its folders exist on this machine only.
    const OPTIONS: [&str; 6] =
        ["index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries"];
    let listed = listing.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let (_, option) = name.rsplit_once('.')?;
        Some((option.to_owned(), value.trim_matches('\'').to_owned()))
    });
    let options: BTreeMap<String, String> = listed
        .chain(variables)
        .map(|(option, value)| (option.replace('_', "-").replace("default-timeout", "timeout"), value))
        .filter(|(option, _)| OPTIONS.contains(&option.as_str()))
        .collect();
    let mut text = String::from("[global]\ncert = /run/build/ca.pem\ndisable-pip-version-check = true\n");
    for (option, value) in options {
        text.push_str(&format!("{option} = {}\n", value.replace("\\n", " ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_the_main_archive() {
        let targets = "Packages bookworm-security main http://a/debian-security/\n\
                       Translations bookworm main http://b/debian/\n\
                       Packages bookworm-updates main http://c/debian/\n\
                       Packages bookworm main http://d/debian/\n";
        assert_eq!(mirror(targets), Some("http://d/debian/"));
        assert_eq!(mirror(""), None);
    }

    #[test]
    fn pip_in_a_build_gets_the_index_and_no_folder_of_this_machine() {
        let listing = "global.index-url='https://index.test/simple'\n:env:.find-links='/opt/wheels'\nglobal.cert='/x.crt'\n";
        let variables =
            [("default_timeout".to_owned(), "180".to_owned()), ("find_links".to_owned(), "/y".to_owned())];
        let text = pip_options(listing, variables.into_iter());
        assert!(text.contains("index-url = https://index.test/simple\n"), "{text}");
        assert!(text.contains("timeout = 180\n"), "{text}");
        assert!(text.contains("cert = /run/build/ca.pem\n"), "{text}");
        assert!(!text.contains("find-links") && !text.contains("/x.crt"), "{text}");
    }
}
