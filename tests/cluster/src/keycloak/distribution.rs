//! Keycloak's distribution in the cache: its Java, its arguments and the seed that every cluster begins with.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::content_hash::content_hash;
use crate::error::{At, Error, Result};
use crate::keycloak::URL;
use crate::paths;
use crate::process::run::run;
use crate::requirement::UnmetRequirement;

/// The release.
pub(crate) const VERSION: &str = "26.4.0";

/// The SHA-256 of the distribution's archive.
pub(crate) const SHA256: &str = "9fe5f9213ecf83f24b53b27409f3e0f20e10edce36aaa0828778a57c80f07a87";

/// The oldest Java that it runs on.
pub(crate) const JAVA: u32 = 17;

/// The realm that the first start imports.
pub(crate) const RECIPE: &str = include_str!("../../keycloak/realm.json");

/// The options that `kc.sh build` fixes; the others are arguments of the start.
pub(crate) const BUILD: [&str; 3] = ["build", "--db=dev-file", "--health-enabled=true"];

/// Writes are in the file before the answer, so that a kill loses none. The file only grows, by half a megabyte a reset: after
/// a compaction H2 2.3.230 sometimes opens the file in an old state.
pub(crate) const STORE: &str = "--db-url-properties=;WRITE_DELAY=0;MAX_COMPACT_TIME=0;REUSE_SPACE=FALSE";

pub(crate) const MAIN: &str = "io.quarkus.bootstrap.runner.QuarkusEntryPoint";

pub(crate) const JVM: [&str; 22] = [
    // As kc.sh has them.
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Dpicocli.disable.closures=true",
    "-Dquarkus-log-max-startup-records=10000",
    "-Dfile.encoding=UTF-8",
    "-Dsun.stdout.encoding=UTF-8",
    "-Dsun.err.encoding=UTF-8",
    "-Dstdout.encoding=UTF-8",
    "-Dstderr.encoding=UTF-8",
    "-Duser.language=en",
    "-Duser.country=US",
    "-Djava.security.egd=file:/dev/urandom",
    "-XX:+ExitOnOutOfMemoryError",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "-Xms64m",
    "-Xmx384m",
    "-XX:MaxMetaspaceSize=256m",
    // The optimizing compiler would be two thirds of the work of a start, and few requests follow.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    // Without it a folder in /tmp outlives the cluster.
    "-XX:-UsePerfData",
];

pub(crate) const TEMPORARY: &str = "data/tmp";

pub(crate) const SEED_CLASSES: &str = "classes.jsa";

pub(crate) fn java() -> Option<PathBuf> {
    let of_home =
        env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java")).filter(|java| java.is_file());
    let java = of_home.or_else(|| paths::program("java"))?;
    // `find` compares the name of the executable, and /usr/bin/java may be a link.
    Some(fs::canonicalize(&java).unwrap_or(java))
}

/// The distribution in the cache, and the seed beside it.
#[derive(Debug, Clone)]
pub(crate) struct Distribution {
    pub(crate) folder: PathBuf,
    pub(crate) java: PathBuf,
}

impl Distribution {
    /// Seconds of its build on two cores.
    pub(crate) const SECONDS: u32 = 60;

    pub(crate) fn cached() -> Result<Self> {
        let packages = &["default-jre-headless"];
        let java = java().ok_or_else(|| {
            Error::Unmet(vec![UnmetRequirement::packages("Java is missing: Keycloak runs on it", packages)])
        })?;
        // Java 8 fails on the flag, and is too old.
        let version = run(Command::new(&java).args(["-XX:-UsePerfData", "--version"])).unwrap_or_default();
        if release(&version).is_none_or(|release| release < JAVA) {
            let what = format!("{} is too old: Keycloak runs on Java {JAVA} or newer", java.display());
            return Err(Error::Unmet(vec![UnmetRequirement::packages(what, packages)]));
        }
        // With Java's version, because the archive of classes is for one build of Java.
        let mut parts = vec![SHA256.as_bytes(), RECIPE.as_bytes(), STORE.as_bytes(), version.as_bytes()];
        parts.extend(BUILD.iter().chain(&JVM).map(|argument| argument.as_bytes()));
        let folder = paths::cache()?.join(format!("keycloak-{VERSION}-{}", &content_hash(&parts)[..12]));
        Ok(Self { folder, java })
    }

    /// The lock of its build.
    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.with_file_name("keycloak.lock")
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.seed().is_dir()
    }

    pub(crate) fn jars(&self) -> PathBuf {
        self.folder.join("dist")
    }

    pub(crate) fn seed(&self) -> PathBuf {
        self.folder.join("seed")
    }

    /// Keeps the two youngest, so that two work trees with different recipes do not remove each other's.
    pub(crate) fn prune(&self) {
        let Some(Ok(entries)) = self.folder.parent().map(fs::read_dir) else { return };
        let mut folders: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("keycloak-"))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        folders.sort();
        for (_, folder) in folders.iter().rev().skip(2) {
            // What cannot be removed only takes space.
            let _ = fs::remove_dir_all(folder);
        }
    }

    pub(crate) fn arguments(&self, home: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = JVM.iter().map(OsString::from).collect();
        arguments.push(flag("-Dkc.home.dir=", home));
        arguments.push(flag("-Djboss.server.config.dir=", &home.join("conf")));
        arguments.push(flag("-Djava.io.tmpdir=", &home.join(TEMPORARY)));
        arguments.push(flag("-XX:ErrorFile=", &home.join("crash.log")));
        let classes = self.seed().join(SEED_CLASSES);
        if classes.is_file() {
            // It saves a third of the work of a start. Another Java ignores it.
            arguments.push(flag("-XX:SharedArchiveFile=", &classes));
        }
        arguments
    }

    /// The arguments after Java's own flags.
    pub(crate) fn program(&self) -> Vec<OsString> {
        vec!["-cp".into(), self.jars().join("lib/quarkus-run.jar").into(), MAIN.into()]
    }

    /// Makes the folder that Keycloak takes for its installation: all but the data is a link into the cache.
    pub(crate) fn link_into(&self, home: &Path) -> Result<()> {
        let temporary = home.join(TEMPORARY);
        fs::create_dir_all(&temporary).at(temporary)?;
        for part in ["lib", "providers", "themes", "conf"] {
            let link = home.join(part);
            // The old link may lead to another release.
            let _ = fs::remove_file(&link);
            symlink(self.jars().join(part), &link).at(link)?;
        }
        Ok(())
    }
}

pub(crate) fn serving(address: SocketAddr, management_port: u16) -> Vec<OsString> {
    [
        "start".to_owned(),
        // `kc.sh build` has run.
        "--optimized".to_owned(),
        // The issuer must not depend on the address of a request.
        format!("--hostname={URL}"),
        // TLS ends at the ingress controller.
        "--http-enabled=true".to_owned(),
        "--proxy-headers=xforwarded".to_owned(),
        format!("--http-host={}", address.ip()),
        format!("--http-port={}", address.port()),
        format!("--http-management-port={management_port}"),
        // One node; the network has no multicast.
        "--cache=local".to_owned(),
    ]
    .map(OsString::from)
    .into()
}

pub(crate) fn flag(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(name);
    argument.push(path);
    argument
}

/// The major release in `java --version`, 17 in `openjdk 17.0.15 2025-04-15`.
pub(crate) fn release(version: &str) -> Option<u32> {
    let version = version.split_whitespace().nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keycloak::{REALM, USER};
    use serde_json::Value;

    #[test]
    fn the_release_of_java_is_read_from_every_vendors_output() {
        assert_eq!(release("openjdk 17.0.15 2025-04-15\nOpenJDK Runtime Environment\n"), Some(17));
        assert_eq!(release("java 21 2023-09-19 LTS\n"), Some(21));
        assert_eq!(release("openjdk 26-ea 2026-03-17\n"), Some(26));
        assert_eq!(release(""), None);
    }

    #[test]
    fn the_realm_has_the_documented_user_and_no_password() {
        let realm: Value = serde_json::from_str(RECIPE).expect("the realm is valid JSON");
        assert_eq!(realm["realm"], REALM);
        let user = &realm["users"][0];
        assert_eq!(user["username"], USER.1);
        assert_eq!(user["credentials"], Value::Null);
        // Without one of these the first login ends at a form to complete.
        for property in ["email", "emailVerified", "firstName", "lastName"] {
            assert!(!user[property].is_null(), "{property}");
        }
    }
}
