//! Image archives as buildah takes them.

use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::process::run::run;

/// buildah's policy for signatures: only images of the harness or of a test are pulled.
pub(crate) const ACCEPT_ANYTHING: &str = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;

/// The archive's name for buildah. An archive of Docker 25 or newer is of both kinds and counts as Docker's.
pub(crate) fn source(archive: &Path) -> Result<String> {
    let listed = run(Command::new("tar").arg("--list").arg("--file").arg(archive));
    let listed = listed.unwrap_or_default();
    let has = |file: &str| listed.lines().any(|line| line.trim_start_matches("./") == file);
    let kind = match (has("manifest.json"), has("oci-layout")) {
        (true, _) => "docker-archive",
        (_, true) => "oci-archive",
        _ => {
            let why = "it is not a tar archive with a manifest.json or an oci-layout";
            return Err(Error::Archive { archive: archive.to_owned(), why });
        }
    };
    Ok(format!("{kind}:{}", archive.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_archives_kind_follows_from_its_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let archive = |name: &str, files: &[&str]| {
            files.iter().for_each(|file| fs::write(folder.path().join(file), "{}").expect("writable"));
            let archive = folder.path().join(name);
            let mut tar = Command::new("tar");
            tar.arg("-C").arg(folder.path()).arg("-cf").arg(&archive).args(files);
            run(&mut tar).expect("an archive");
            archive
        };
        let docker = archive("docker.tar", &["manifest.json"]);
        assert_eq!(
            source(&docker).expect("a Docker archive has a name"),
            format!("docker-archive:{}", docker.display())
        );
        let oci = archive("oci.tar", &["oci-layout", "index.json"]);
        assert_eq!(
            source(&oci).expect("an OCI archive has a name"),
            format!("oci-archive:{}", oci.display())
        );
        // As Docker writes it since release 25.
        let both = archive("both.tar", &["oci-layout", "index.json", "manifest.json"]);
        assert_eq!(
            source(&both).expect("an archive of both kinds has a name"),
            format!("docker-archive:{}", both.display())
        );
        for other in [archive("other.tar", &["readme"]), folder.path().join("readme")] {
            assert!(matches!(source(&other), Err(Error::Archive { .. })), "{}", other.display());
        }
    }
}
