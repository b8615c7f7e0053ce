//! Keycloak: who the platform's users are. One realm and one user; what a service needs of it, its installer makes.
//!
//! The distribution comes from Maven Central and is started once when it is put into the cache. What that start has made
//! is where every cluster begins: the database with the realm, the realm as a document to begin anew from, and an archive
//! of loaded classes. So a cluster waits 4 s for it instead of 12. The realm's signing keys are therefore the same in all
//! clusters of this machine; the passwords are made anew for each.

use std::env;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::{self, TLS_SECRET};
use crate::error::{At, Error, Result};
use crate::needs::Need;
use crate::paths::{self, Layout};
use crate::process::{Answer, Running, Server, helper, run, run_long, tail};
use crate::programs::Programs;
use crate::state::Record;
use crate::{hash, http, random};

/// The release.
pub(crate) const VERSION: &str = "26.4.0";

/// The SHA-256 of the distribution's archive.
const SHA256: &str = "9fe5f9213ecf83f24b53b27409f3e0f20e10edce36aaa0828778a57c80f07a87";

const MAVEN_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

/// The oldest Java that it runs on.
const JAVA: u32 = 17;

/// Where browsers, pods and tests find it.
pub(crate) const URL: &str = "https://auth.thinkube.test";

/// The one realm beside Keycloak's own.
const REALM: &str = "thinkube";

/// Keycloak's administrator, a user of its own realm.
const ADMIN: (&str, &str) = ("master", "admin");

/// The realm's one user.
const USER: (&str, &str) = (REALM, "tester");

/// The namespace and the Service.
const NAME: &str = "keycloak";
const PORT: u16 = 8080;
const MANAGEMENT_PORT: u16 = 9000;

/// The realm that the first start imports.
const RECIPE: &str = include_str!("../keycloak/realm.json");

/// What is fixed when the distribution is made ready; the rest is said at the start.
const BUILD: [&str; 3] = ["build", "--db=dev-file", "--health-enabled=true"];

/// What was answered is in the file, even if it is killed at once. And the file only grows, by half a megabyte a reset:
/// when H2 2.3.230 makes it smaller at its end, it now and then opens it the next time as it was long before.
const STORE: &str = "--db-url-properties=;WRITE_DELAY=0;MAX_COMPACT_TIME=0;REUSE_SPACE=FALSE";

const MAIN: &str = "io.quarkus.bootstrap.runner.QuarkusEntryPoint";

const JVM: [&str; 22] = [
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
    // It serves few requests and starts often: the optimizing compiler would be two thirds of the work of a start.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    // Else a folder in /tmp that outlives the cluster.
    "-XX:-UsePerfData",
];

/// Files below the folder `keycloak` of a cluster.
const DATABASE: &str = "data/h2/keycloakdb.mv.db";
const TEMPORARY: &str = "data/tmp";
const DOCUMENT: &str = "realm.json";

/// Files of the seed. The archive of classes is missing where this machine's Java makes none.
const SEED_DATABASE: &str = "keycloakdb.mv.db";
const SEED_CLASSES: &str = "classes.jsa";
/// The administrator's password in the seed, and in a cluster until it has one of its own.
const SEED_PASSWORD: &str = "seed-password";

/// Longer than the first start takes while programs are built beside it.
const PATIENCE: Duration = Duration::from_secs(600);

/// Keycloak and who may use it.
#[derive(Debug, Clone)]
pub struct Keycloak {
    /// Where it is reached, with TLS.
    pub url: String,
    /// The realm of Thinkube's users.
    pub realm: String,
    /// The administrator's name, in the realm `master`.
    pub admin: String,
    /// The administrator's password; made anew for every cluster.
    pub admin_password: String,
    /// The name of the realm's one user.
    pub user: String,
    /// That user's password; made anew for every cluster.
    pub user_password: String,
}

pub(crate) fn access(layout: &Layout) -> Result<Keycloak> {
    let home = layout.path(NAME);
    Ok(Keycloak {
        url: URL.to_owned(),
        realm: REALM.to_owned(),
        admin: ADMIN.1.to_owned(),
        admin_password: random::password(&home.join("admin-password"))?,
        user: USER.1.to_owned(),
        user_password: random::password(&home.join("user-password"))?,
    })
}

fn java() -> Option<PathBuf> {
    let of_home =
        env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java")).filter(|java| java.is_file());
    let java = of_home.or_else(|| paths::program("java"))?;
    // A process is known by the name of its executable, and /usr/bin/java may be a link to any.
    Some(fs::canonicalize(&java).unwrap_or(java))
}

/// The distribution in the cache, and what its first start has made.
#[derive(Debug, Clone)]
pub(crate) struct Distribution {
    folder: PathBuf,
    java: PathBuf,
}

impl Distribution {
    /// How long it takes to build on two cores.
    pub(crate) const SECONDS: u32 = 60;

    pub(crate) fn cached() -> Result<Self> {
        let packages = &["default-jre-headless"];
        let java = java().ok_or_else(|| {
            Error::NeedsFacts(vec![Need::packages("Java is missing: Keycloak runs on it", packages)])
        })?;
        // Java 8 does not know the flag.
        let said = run(Command::new(&java).args(["-XX:-UsePerfData", "--version"])).unwrap_or_default();
        if release(&said).is_none_or(|release| release < JAVA) {
            let what = format!("{} is too old: Keycloak runs on Java {JAVA} or newer", java.display());
            return Err(Error::NeedsFacts(vec![Need::packages(what, packages)]));
        }
        // The archive of classes is for one build of Java.
        let mut parts = vec![SHA256.as_bytes(), RECIPE.as_bytes(), STORE.as_bytes(), said.as_bytes()];
        parts.extend(BUILD.iter().chain(&JVM).map(|argument| argument.as_bytes()));
        let folder = paths::cache()?.join(format!("keycloak-{VERSION}-{}", &hash(&parts)[..12]));
        Ok(Self { folder, java })
    }

    /// Held by whoever builds.
    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.with_file_name("keycloak.lock")
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.seed().is_dir()
    }

    fn jars(&self) -> PathBuf {
        self.folder.join("dist")
    }

    fn seed(&self) -> PathBuf {
        self.folder.join("seed")
    }

    /// Fetches it, makes it ready and starts it once.
    pub(crate) fn build(&self, layout: &Layout, mut beat: impl FnMut(Duration)) -> Result<()> {
        let (work, seed) = (self.folder.join("work"), self.folder.join("seed.partial"));
        // What an interrupted attempt has left.
        for left in [&work, &seed] {
            let _ = fs::remove_dir_all(left);
        }
        // The seed has keys and a password in it.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(work.join("tmp")).at(&work)?;
        let build = Build { layout, distribution: self, work: &work };
        beat(Duration::ZERO);
        let begin = Instant::now();
        let mut beat = |_| beat(begin.elapsed());
        if !self.jars().is_dir() {
            build.fetch(&mut beat)?;
            build.augment(&mut beat)?;
        }
        build.seed(&seed, &mut beat)?;
        fs::remove_dir_all(&work).at(work)?;
        // The last thing to do: where the seed is, all is.
        fs::rename(&seed, self.seed()).at(seed)
    }

    /// Keeps the two youngest: a second work tree with another recipe does not throw this one's out.
    pub(crate) fn prune(&self) {
        let Some(Ok(entries)) = self.folder.parent().map(fs::read_dir) else { return };
        let mut folders: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("keycloak-"))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        folders.sort();
        for (_, folder) in folders.iter().rev().skip(2) {
            // Best effort: what can't be removed only takes space.
            let _ = fs::remove_dir_all(folder);
        }
    }

    fn arguments(&self, home: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = JVM.iter().map(OsString::from).collect();
        arguments.push(flag("-Dkc.home.dir=", home));
        arguments.push(flag("-Djboss.server.config.dir=", &home.join("conf")));
        arguments.push(flag("-Djava.io.tmpdir=", &home.join(TEMPORARY)));
        arguments.push(flag("-XX:ErrorFile=", &home.join("crash.log")));
        let classes = self.seed().join(SEED_CLASSES);
        if classes.is_file() {
            // A third of the work of a start. Of another Java it is passed over.
            arguments.push(flag("-XX:SharedArchiveFile=", &classes));
        }
        arguments
    }

    /// Stands after the flags of Java itself.
    fn program(&self) -> Vec<OsString> {
        vec!["-cp".into(), self.jars().join("lib/quarkus-run.jar").into(), MAIN.into()]
    }

    /// The folder that Keycloak takes for its installation: all but the data leads into the cache.
    fn furnish(&self, home: &Path) -> Result<()> {
        let temporary = home.join(TEMPORARY);
        fs::create_dir_all(&temporary).at(temporary)?;
        for part in ["lib", "providers", "themes", "conf"] {
            let link = home.join(part);
            // It may lead to another release.
            let _ = fs::remove_file(&link);
            symlink(self.jars().join(part), &link).at(link)?;
        }
        Ok(())
    }
}

fn serving(address: SocketAddr, management_port: u16) -> Vec<OsString> {
    [
        "start".to_owned(),
        // Nothing is to be made ready again.
        "--optimized".to_owned(),
        // With this the issuer is the same however it is reached.
        format!("--hostname={URL}"),
        // TLS ends at the ingress controller.
        "--http-enabled=true".to_owned(),
        "--proxy-headers=xforwarded".to_owned(),
        format!("--http-host={}", address.ip()),
        format!("--http-port={}", address.port()),
        format!("--http-management-port={management_port}"),
        // There is one only, and no multicast.
        "--cache=local".to_owned(),
    ]
    .map(OsString::from)
    .into()
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(name);
    argument.push(path);
    argument
}

/// `openjdk 17.0.15 2025-04-15` is 17.
fn release(said: &str) -> Option<u32> {
    let version = said.split_whitespace().nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The way into the cache.
struct Build<'a> {
    layout: &'a Layout,
    distribution: &'a Distribution,
    work: &'a Path,
}

impl Build<'_> {
    fn helper(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = helper(program, self.layout);
        for (name, _) in env::vars_os() {
            // Keycloak takes its configuration from the environment too.
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

    /// By the user's own Maven, whose settings say how Maven Central is reached from here.
    fn fetch(&self, beat: &mut dyn FnMut(Duration)) -> Result<()> {
        if paths::program("mvn").is_none() {
            let what = "Maven is missing: Keycloak comes from Maven Central";
            return Err(Error::NeedsFacts(vec![Need::packages(what, &["maven"])]));
        }
        let mut command = self.helper("mvn");
        command
            .args(["--batch-mode", "--no-transfer-progress", "--strict-checksums"])
            // Not into the user's own: for this one file Maven fetches many others.
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
        let what =
            format!("what Maven has fetched as Keycloak {VERSION} is something else, with SHA-256 {found}");
        Err(Error::NeedsFacts(vec![Need::new(what, "look at the mirrors in Maven's settings.xml")]))
    }

    fn archive(&self) -> PathBuf {
        self.work.join(format!("keycloak-quarkus-dist-{VERSION}.tar.gz"))
    }

    /// What Keycloak calls its build: with the options that are fixed here it is made to start fast.
    fn augment(&self, beat: &mut dyn FnMut(Duration)) -> Result<()> {
        let folder = self.work.join("dist");
        fs::create_dir(&folder).at(&folder)?;
        let mut unpack = self.helper("tar");
        // The owner in the archive may be some user of this machine.
        unpack.args(["--extract", "--gzip", "--no-same-owner", "--strip-components=1", "--file"]);
        run(unpack.arg(self.archive()).arg("--directory").arg(&folder))?;
        let mut build = self.helper(folder.join("bin/kc.sh"));
        build.args(BUILD).env("JAVA", &self.distribution.java);
        run_long(&mut build, &self.work.join("build.log"), beat)?;
        fs::rename(&folder, self.distribution.jars()).at(folder)
    }

    /// Starts it once, where its jars are to stay: the archive of classes holds their place.
    fn seed(&self, seed: &Path, beat: &mut dyn FnMut(Duration)) -> Result<()> {
        let home = self.work.join("home");
        self.distribution.furnish(&home)?;
        fs::create_dir(seed).at(seed)?;
        paths::write(&home.join("data/import/realm.json"), RECIPE)?;
        let password = random::password(&seed.join(SEED_PASSWORD))?;

        let [address, management] = free_addresses()?;
        // It would go on serving if we were killed; all else that is started here comes to an end.
        let mut command = self.helper("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.distribution.java)
            .args(self.distribution.arguments(&home))
            .arg(flag("-XX:ArchiveClassesAtExit=", &seed.join(SEED_CLASSES)))
            .args(self.distribution.program())
            .args(serving(address, management.port()))
            .arg("--import-realm")
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN.1)
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", &password);
        let mut server = Once::start(command, self.work.join("seed.log"), beat)?;
        server.wait_for_answer(address, management)?;
        // What is used now comes into the archive of classes.
        Admin::login(address, &password)?.ok_or_else(|| refused(address))?.identifier(USER)?;
        let _ = http::get(address.ip(), address.port(), &login_page());
        server.stop()?;
        drop(server);

        let document = seed.join(DOCUMENT);
        let mut export = self.helper(&self.distribution.java);
        export
            .args(self.distribution.arguments(&home))
            // Else it listens on port 9000 of all addresses, or fails where somebody else does.
            .arg(format!("-Dkc.http-management-host={}", management.ip()))
            .arg(format!("-Dkc.http-management-port={}", management.port()))
            .args(self.distribution.program())
            .args(["export", "--optimized", STORE, "--users=same_file"])
            .arg(format!("--realm={REALM}"))
            .arg(flag("--file=", &document));
        run_long(&mut export, &self.work.join("export.log"), beat)?;
        read_json(&document)?;
        let database = home.join(DATABASE);
        fs::rename(&database, seed.join(SEED_DATABASE)).at(database)
    }
}

/// A server that is started for a moment, and is killed if that goes wrong.
struct Once<'a> {
    child: Child,
    log: PathBuf,
    begin: Instant,
    beats: u64,
    beat: &'a mut dyn FnMut(Duration),
}

impl<'a> Once<'a> {
    fn start(mut command: Command, log: PathBuf, beat: &'a mut dyn FnMut(Duration)) -> Result<Self> {
        let out = File::create(&log).at(&log)?;
        let err = out.try_clone().at(&log)?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(|source| Error::Spawn { program: NAME.to_owned(), source })?;
        Ok(Self { child, log, begin: Instant::now(), beats: 0, beat })
    }

    fn wait_for_answer(&mut self, address: SocketAddr, management: SocketAddr) -> Result<()> {
        while let Answer::NotYet(last) = asks(address, management) {
            if self.has_ended()? {
                let (program, log) = (NAME.to_owned(), self.log.clone());
                return Err(Error::Died { program, tail: tail(&log), log });
            }
            self.pause("the first start of Keycloak", last)?;
        }
        Ok(())
    }

    /// Asked, not killed: it closes the database and writes the archive of classes.
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
        if elapsed > PATIENCE {
            return Err(Error::Timeout {
                what: what.to_owned(),
                after: PATIENCE,
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

impl Drop for Once<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it; a cluster that has no database of it yet begins with that of the seed.
pub(crate) fn start(layout: &Layout, record: &Record, _: &Programs) -> Result<Running> {
    let distribution = Distribution::cached()?;
    let home = layout.path(NAME);
    distribution.furnish(&home)?;
    if !home.join(DATABASE).exists() {
        plant(layout, &distribution.seed(), &home)?;
    }
    let arguments =
        [distribution.arguments(&home), distribution.program(), serving(at(record), MANAGEMENT_PORT)];
    let server = Server::new(layout, NAME, &distribution.java, record.netns_file().as_deref());
    arguments.into_iter().flatten().fold(server, Server::arg).arg(STORE).start()
}

/// Gives a cluster the realm and the administrator of the seed.
fn plant(layout: &Layout, seed: &Path, home: &Path) -> Result<()> {
    let password = access(layout)?.user_password;
    let mut realm = read_json(&seed.join(DOCUMENT))?;
    for user in realm["users"].as_array_mut().into_iter().flatten() {
        user["credentials"] = json!([credential(&password)]);
    }
    paths::write(&home.join(DOCUMENT), realm.to_string())?;
    for (from, to) in [(SEED_PASSWORD, SEED_PASSWORD), (SEED_DATABASE, DATABASE)] {
        let from = seed.join(from);
        // The database last: where it is, all is.
        paths::write(&home.join(to), fs::read(&from).at(from)?)?;
    }
    Ok(())
}

/// Whether it is ready and its users have the passwords of this cluster, which they are given when it first answers.
pub(crate) fn answers(layout: &Layout, record: &Record) -> Answer {
    let address = at(record);
    match asks(address, SocketAddr::new(record.address, MANAGEMENT_PORT)) {
        Answer::Yes => {}
        not_yet => return not_yet,
    }
    match settle(layout, address) {
        Ok(()) => Answer::Yes,
        Err(error) => Answer::NotYet(match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }),
    }
}

/// Whether it is ready and calls itself by the name that browsers and pods use.
fn asks(address: SocketAddr, management: SocketAddr) -> Answer {
    match http::answers(management.ip(), management.port(), "/health/ready") {
        Answer::Yes => {}
        not_yet => return not_yet,
    }
    let path = format!("/realms/{REALM}/.well-known/openid-configuration");
    match http::get(address.ip(), address.port(), &path) {
        Ok((200, said)) => match &serde_json::from_str::<Value>(&said).unwrap_or_default()["issuer"] {
            Value::String(issuer) if *issuer == format!("{URL}/realms/{REALM}") => Answer::Yes,
            issuer => Answer::NotYet(format!("the issuer is {issuer}")),
        },
        Ok((status, said)) => Answer::NotYet(format!("the realm answers with {status} {said}")),
        Err(error) => Answer::NotYet(error.to_string()),
    }
}

fn settle(layout: &Layout, address: SocketAddr) -> Result<()> {
    let file = layout.path(NAME).join(SEED_PASSWORD);
    let given = match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        given => given.at(&file)?,
    };
    // Refused where it has been changed and only the file was left.
    if let Some(admin) = Admin::login(address, &given)? {
        let Keycloak { admin_password, user_password, .. } = access(layout)?;
        admin.set_password(USER, &user_password)?;
        admin.set_password(ADMIN, &admin_password)?;
    }
    match fs::remove_file(&file) {
        // Somebody else has asked at the same time.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.at(file),
    }
}

/// Makes the realm anew as it was at the start, with the same keys, identifiers and passwords. Nobody is logged in then.
pub(crate) fn reset(layout: &Layout, record: &Record) -> Result<()> {
    let address = at(record);
    let realm = read_json(&layout.path(NAME).join(DOCUMENT))?;
    let password = access(layout)?.admin_password;
    let admin = Admin::login(address, &password)?.ok_or_else(|| refused(address))?;
    let realms = admin.call("GET", "/admin/realms?briefRepresentation=true", None)?;
    for realm in realms.as_array().into_iter().flatten().filter_map(|realm| realm["realm"].as_str()) {
        if realm != ADMIN.0 {
            admin.call("DELETE", &format!("/admin/realms/{realm}"), None)?;
        }
    }
    admin.call("POST", "/admin/realms", Some(&realm)).map(drop)
}

/// What makes it reachable at its host name.
pub(crate) fn objects(layout: &Layout, record: &Record) -> Result<Vec<Value>> {
    let host = URL.trim_start_matches("https://");
    let mut objects = vec![
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAME } }),
        domain::tls_secret(layout, NAME, TLS_SECRET)?,
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": { "name": NAME, "namespace": NAME },
            "spec": {
                "ingressClassName": "nginx",
                "tls": [{ "hosts": [host], "secretName": TLS_SECRET }],
                "rules": [{ "host": host, "http": { "paths": [{
                    "path": "/",
                    "pathType": "Prefix",
                    "backend": { "service": { "name": NAME, "port": { "number": PORT } } }
                }] } }]
            }
        }),
    ];
    objects.extend(domain::service(NAME, NAME, None, record.address, &[("http", "TCP", PORT)]));
    Ok(objects)
}

fn at(record: &Record) -> SocketAddr {
    SocketAddr::new(record.address, PORT)
}

fn credential(password: &str) -> Value {
    json!({ "type": "password", "value": password, "temporary": false })
}

/// Keycloak's administrator, for a minute.
struct Admin {
    address: SocketAddr,
    token: String,
}

impl Admin {
    /// `None`: that is not the password.
    fn login(address: SocketAddr, password: &str) -> Result<Option<Self>> {
        let (realm, name) = ADMIN;
        let path = format!("/realms/{realm}/protocol/openid-connect/token");
        let form = format!("grant_type=password&client_id=admin-cli&username={name}&password={password}");
        let kind = "application/x-www-form-urlencoded";
        let request = Request { method: "POST", path: &path, token: None, body: Some((kind, form)) };
        let (status, said) = request.send(address)?;
        if status == 401 {
            return Ok(None);
        }
        let said = request.good(address, status, &said)?;
        let token = said["access_token"].as_str().ok_or_else(|| refused(address))?.to_owned();
        Ok(Some(Self { address, token }))
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(|body| ("application/json", body.to_string()));
        let request = Request { method, path, token: Some(&self.token), body };
        let (status, said) = request.send(self.address)?;
        request.good(self.address, status, &said)
    }

    fn identifier(&self, (realm, name): (&str, &str)) -> Result<String> {
        let path = format!("/admin/realms/{realm}/users?exact=true&username={name}");
        let said = self.call("GET", &path, None)?;
        let missing = || io::Error::other(format!("realm {realm} has no user {name}"));
        said[0]["id"].as_str().map(str::to_owned).ok_or_else(missing).at(place(self.address, &path))
    }

    fn set_password(&self, user: (&str, &str), password: &str) -> Result<()> {
        let path = format!("/admin/realms/{}/users/{}/reset-password", user.0, self.identifier(user)?);
        self.call("PUT", &path, Some(&credential(password))).map(drop)
    }
}

fn refused(address: SocketAddr) -> Error {
    Error::Io { path: place(address, ""), source: io::Error::other("the administrator is refused") }
}

/// What a browser sees first.
fn login_page() -> String {
    format!(
        "/realms/{REALM}/protocol/openid-connect/auth?client_id=account-console&response_type=code&scope=openid\
         &redirect_uri={URL}/realms/{REALM}/account/&code_challenge_method=S256\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )
}

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    token: Option<&'a str>,
    /// Its type and itself.
    body: Option<(&'static str, String)>,
}

impl Request<'_> {
    /// Status and body of the answer.
    fn send(&self, address: SocketAddr) -> Result<(u16, String)> {
        self.exchange(address).at(place(address, self.path))
    }

    fn exchange(&self, address: SocketAddr) -> io::Result<(u16, String)> {
        // A realm is made in half a second, on a machine that also builds in several.
        let patience = Some(Duration::from_secs(30));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(patience)?;
        stream.set_write_timeout(patience)?;
        stream.write_all(self.text(address).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        http::parse(&answer)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an answer of HTTP"))
    }

    /// 1.0: the answer ends with the connection, in one piece.
    fn text(&self, address: SocketAddr) -> String {
        let mut text = format!("{} {} HTTP/1.0\r\nHost: {address}\r\n", self.method, self.path);
        if let Some(token) = self.token {
            text.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        if let Some((kind, body)) = &self.body {
            text.push_str(&format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        } else {
            text.push_str("\r\n");
        }
        text
    }

    /// The JSON of a good answer; null where it has none.
    fn good(&self, address: SocketAddr, status: u16, said: &str) -> Result<Value> {
        if (200..300).contains(&status) {
            return Ok(serde_json::from_str(said).unwrap_or_default());
        }
        let source = io::Error::other(format!("the answer to {} is {status} {said}", self.method));
        Err(source).at(place(address, self.path))
    }
}

fn place(address: SocketAddr, path: &str) -> PathBuf {
    PathBuf::from(format!("http://{address}{path}"))
}

/// Two places on loopback where nobody listens now. Held at once, so that they differ.
fn free_addresses() -> Result<[SocketAddr; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).at("127.0.0.1:0");
    let held = [listen()?, listen()?];
    let address = |listener: &TcpListener| listener.local_addr().at("127.0.0.1:0");
    Ok([address(&held[0])?, address(&held[1])?])
}

fn read_json(file: &Path) -> Result<Value> {
    let text = fs::read_to_string(file).at(file)?;
    serde_json::from_str(&text).map_err(|source| Error::Json { what: file.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DOMAIN;

    #[test]
    fn the_release_of_java_is_read_from_what_any_vendor_prints() {
        assert_eq!(release("openjdk 17.0.15 2025-04-15\nOpenJDK Runtime Environment\n"), Some(17));
        assert_eq!(release("java 21 2023-09-19 LTS\n"), Some(21));
        assert_eq!(release("openjdk 26-ea 2026-03-17\n"), Some(26));
        assert_eq!(release(""), None);
    }

    #[test]
    fn the_realm_has_the_user_that_is_told_of_and_no_password() {
        let realm: Value = serde_json::from_str(RECIPE).expect("JSON");
        assert_eq!(realm["realm"], REALM);
        let user = &realm["users"][0];
        assert_eq!(user["username"], USER.1);
        assert_eq!(user["credentials"], Value::Null);
        // Without any of these the first login ends at a form to complete.
        for property in ["email", "emailVerified", "firstName", "lastName"] {
            assert!(!user[property].is_null(), "{property}");
        }
    }

    #[test]
    fn it_is_found_in_the_test_domain() {
        assert_eq!(URL, format!("https://auth.{DOMAIN}"));
    }

    #[test]
    fn a_request_tells_the_length_of_its_body_in_bytes() {
        let body = Some(("application/json", "\"ä\"".to_owned()));
        let request = Request { method: "PUT", path: "/x", token: Some("t"), body };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        assert_eq!(
            request.text(address),
            "PUT /x HTTP/1.0\r\nHost: 127.0.0.1:80\r\nAuthorization: Bearer t\r\n\
             Content-Type: application/json\r\nContent-Length: 4\r\n\r\n\"ä\""
        );
        let request = Request { method: "DELETE", path: "/x", token: None, body: None };
        assert_eq!(request.text(address), "DELETE /x HTTP/1.0\r\nHost: 127.0.0.1:80\r\n\r\n");
    }
}
