//! The build of Keycloak in the cache: fetched with Maven, prepared with `kc.sh build`, and started once for the seed.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};

use crate::error::{At, Error, Result};
use crate::http;
use crate::keycloak::admin::{Admin, refused};
use crate::keycloak::distribution::{
    BUILD, Distribution, RECIPE, SEED_CLASSES, SHA256, STORE, VERSION, flag, serving,
};
use crate::keycloak::server::{DATABASE, DOCUMENT, SEED_DATABASE, SEED_PASSWORD, read_json, readiness_of};
use crate::keycloak::{ADMIN, NAME, REALM, URL, USER};
use crate::password;
use crate::paths::{self, Layout};
use crate::process::run::{helper, run, run_long, tail};
use crate::readiness::Readiness;
use crate::requirement::UnmetRequirement;

const MAVEN_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

/// Longer than the first start takes beside a build of programs.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Builds the distribution and its seed in the cache. `beat` hears how long the build has taken.
pub(crate) fn build(
    distribution: &Distribution,
    layout: &Layout,
    mut beat: impl FnMut(Duration),
) -> Result<()> {
    let work = distribution.folder.join("work");
    let seed = distribution.folder.join("seed.partial");
    // An interrupted build may have left them.
    for folder in [&work, &seed] {
        let _ = fs::remove_dir_all(folder);
    }
    // The seed holds keys and a password.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(work.join("tmp")).at(&work)?;
    let build = Build { layout, distribution, work: &work };
    beat(Duration::ZERO);
    let begin = Instant::now();
    let mut beat = |_| beat(begin.elapsed());
    if !distribution.jars().is_dir() {
        build.fetch(&mut beat)?;
        build.augment(&mut beat)?;
    }
    build.seed(&seed, &mut beat)?;
    fs::remove_dir_all(&work).at(work)?;
    // Last: a seed under its final name means that the build is complete.
    fs::rename(&seed, distribution.seed()).at(seed)
}

struct Build<'a> {
    layout: &'a Layout,
    distribution: &'a Distribution,
    work: &'a Path,
}

impl Build<'_> {
    fn helper(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = helper(program, self.layout);
        for (name, _) in env::vars_os() {
            // Keycloak also reads its configuration from the environment.
            let bytes = name.as_encoded_bytes();
            if bytes.starts_with(b"KC_") || bytes.starts_with(b"JAVA_OPTS") {
                command.env_remove(name);
            }
        }
        let java = env::var("JDK_JAVA_OPTIONS").unwrap_or_default();
        let temporary = self.work.join("tmp");
        command.current_dir(self.work).env(
            "JDK_JAVA_OPTIONS",
            format!("{java} -XX:-UsePerfData \"-Djava.io.tmpdir={}\"", temporary.display()),
        );
        command
    }

    /// With the user's Maven, whose settings say how this machine reaches Maven Central.
    fn fetch(&self, beat: &mut dyn FnMut(Duration)) -> Result<()> {
        if paths::program("mvn").is_none() {
            let what = "Maven is missing: Keycloak comes from Maven Central";
            return Err(Error::Unmet(vec![UnmetRequirement::packages(what, &["maven"])]));
        }
        let mut command = self.helper("mvn");
        command
            .args(["--batch-mode", "--no-transfer-progress", "--strict-checksums"])
            // Not the user's repository: Maven fetches many other files for this one.
            .arg(flag("-Dmaven.repo.local=", &self.work.join("m2")))
            .arg(format!("{MAVEN_PLUGIN}:copy"))
            .arg(format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:tar.gz"))
            .arg(flag("-DoutputDirectory=", self.work));
        run_long(&mut command, &self.work.join("fetch.log"), beat)?;
        let archive = self.archive();
        let mut digest = Sha256::new();
        io::copy(&mut File::open(&archive).at(&archive)?, &mut digest).at(&archive)?;
        let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found == SHA256 {
            return Ok(());
        }
        let what = format!("Maven fetched a file with SHA-256 {found}, which is not Keycloak {VERSION}");
        Err(Error::Unmet(vec![UnmetRequirement::new(what, "check the mirrors in Maven's settings.xml")]))
    }

    fn archive(&self) -> PathBuf {
        self.work.join(format!("keycloak-quarkus-dist-{VERSION}.tar.gz"))
    }

    /// Runs `kc.sh build`, which fixes options for a fast start.
    fn augment(&self, beat: &mut dyn FnMut(Duration)) -> Result<()> {
        let folder = self.work.join("dist");
        fs::create_dir(&folder).at(&folder)?;
        let mut unpack = self.helper("tar");
        // The owner in the archive may be a user of this machine.
        unpack.args(["--extract", "--gzip", "--no-same-owner", "--strip-components=1", "--file"]);
        run(unpack.arg(self.archive()).arg("--directory").arg(&folder))?;
        let mut build = self.helper(folder.join("bin/kc.sh"));
        build.args(BUILD).env("JAVA", &self.distribution.java);
        run_long(&mut build, &self.work.join("build.log"), beat)?;
        fs::rename(&folder, self.distribution.jars()).at(folder)
    }

    /// Starts it once from its final folder: the archive of classes holds the path of the jars.
    fn seed(&self, seed: &Path, beat: &mut dyn FnMut(Duration)) -> Result<()> {
        let folder = self.work.join("home");
        self.distribution.link_into(&folder)?;
        fs::create_dir(seed).at(seed)?;
        paths::write(&folder.join("data/import/realm.json"), RECIPE)?;
        let password = password::password(&seed.join(SEED_PASSWORD))?;

        let [address, management] = free_addresses()?;
        // The server must end with this process when this process is killed.
        let mut command = self.helper("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.distribution.java)
            .args(self.distribution.arguments(&folder))
            .arg(flag("-XX:ArchiveClassesAtExit=", &seed.join(SEED_CLASSES)))
            .args(self.distribution.program())
            .args(serving(address, management.port()))
            .arg("--import-realm")
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN.1)
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", &password);
        let mut server = TemporaryServer::start(command, self.work.join("seed.log"), beat)?;
        server.wait_until_ready(address, management)?;
        // The archive of classes gets the classes of these requests.
        Admin::login(address, &password)?.ok_or_else(|| refused(address))?.identifier(USER)?;
        let _ = http::get(address.ip(), address.port(), &login_page());
        server.stop()?;
        drop(server);

        let document = seed.join(DOCUMENT);
        let mut export = self.helper(&self.distribution.java);
        export
            .args(self.distribution.arguments(&folder))
            // The default is port 9000 of all addresses, which may be taken.
            .arg(format!("-Dkc.http-management-host={}", management.ip()))
            .arg(format!("-Dkc.http-management-port={}", management.port()))
            .args(self.distribution.program())
            .args(["export", "--optimized", STORE, "--users=same_file"])
            .arg(format!("--realm={REALM}"))
            .arg(flag("--file=", &document));
        run_long(&mut export, &self.work.join("export.log"), beat)?;
        read_json(&document)?;
        let database = folder.join(DATABASE);
        fs::rename(&database, seed.join(SEED_DATABASE)).at(database)
    }
}

/// A server of one build; dropping it kills it.
struct TemporaryServer<'a> {
    child: Child,
    log: PathBuf,
    begin: Instant,
    beats: u64,
    beat: &'a mut dyn FnMut(Duration),
}

impl<'a> TemporaryServer<'a> {
    fn start(mut command: Command, log: PathBuf, beat: &'a mut dyn FnMut(Duration)) -> Result<Self> {
        let out = File::create(&log).at(&log)?;
        let err = out.try_clone().at(&log)?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(|source| Error::Spawn { program: NAME.to_owned(), source })?;
        Ok(Self { child, log, begin: Instant::now(), beats: 0, beat })
    }

    fn wait_until_ready(&mut self, address: SocketAddr, management: SocketAddr) -> Result<()> {
        while let Readiness::NotReady(last) = readiness_of(address, management) {
            if self.has_ended()? {
                let (program, log) = (NAME.to_owned(), self.log.clone());
                return Err(Error::Died { program, tail: tail(&log), log });
            }
            self.pause("the first start of Keycloak", last)?;
        }
        Ok(())
    }

    /// With SIGTERM, on which it closes the database and writes the archive of classes.
    fn stop(&mut self) -> Result<()> {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        while !self.has_ended()? {
            self.pause("the end of Keycloak's first start", "it still runs".to_owned())?;
        }
        Ok(())
    }

    fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().at(&self.log)?.is_some())
    }

    fn pause(&mut self, what: &str, last: String) -> Result<()> {
        let elapsed = self.begin.elapsed();
        if elapsed > TIMEOUT {
            return Err(Error::Timeout {
                what: what.to_owned(),
                after: TIMEOUT,
                logs: self.log.clone(),
                last,
            });
        }
        if elapsed.as_secs() >= self.beats * 10 {
            self.beats += 1;
            (self.beat)(elapsed);
        }
        thread::sleep(Duration::from_millis(100));
        Ok(())
    }
}

impl Drop for TemporaryServer<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path of the login page.
fn login_page() -> String {
    format!(
        "/realms/{REALM}/protocol/openid-connect/auth?client_id=account-console&response_type=code&scope=openid\
         &redirect_uri={URL}/realms/{REALM}/account/&code_challenge_method=S256\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )
}

/// Two free addresses on loopback. Both listeners exist at once, so that the addresses differ.
fn free_addresses() -> Result<[SocketAddr; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).at("127.0.0.1:0");
    let listeners = [listen()?, listen()?];
    let address = |listener: &TcpListener| listener.local_addr().at("127.0.0.1:0");
    Ok([address(&listeners[0])?, address(&listeners[1])?])
}
