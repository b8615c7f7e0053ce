//! The private directory of one build, with the certificates that its programs trust.

use super::connect_proxy::ConnectProxy;
use crate::http::client::HttpOptions;
use crate::http::error::Error as HttpError;
use crate::http::tls::read_pem;
use crate::process::{command, find};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::mount::{UnmountFlags, unmount};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, SecretText};
use tokio::process::Command;

/// Characters of the directory's parent: podman refuses longer paths for its run-time state, because it holds sockets.
const MAX_BASE_LENGTH: usize = 40;

/// How long a removal waits for programs that were stopped.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(5);

const PREFIX: &str = "thinkube-";
const LOCK: &str = "in-use.lock";
const AUTHORITIES: &str = "authorities.pem";

/// The operator's configuration of buildah and podman: short names of registries, storage drivers, isolation, and what they
/// need without root. Not their logins: a build uses the login of its step, or none.
pub(super) const BUILDER_VARIABLES: &[&str] = &[
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "CONTAINERS_CONF",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "BUILDAH_ISOLATION",
    "BUILDAH_RUNTIME",
];

/// Why there is no build directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildDirError {
    /// It cannot be created, read or written.
    #[error("the temporary directory of the build: {0}")]
    Io(#[source] io::Error),
    /// The certificates that its programs are to trust cannot be read.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Diagnostic for BuildDirError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(_) => ErrorKind::BuildDir,
            Self::Http(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Io(_) => Some(Hint::Advice("set TMPDIR to a directory with free space".to_owned())),
            Self::Http(error) => error.hint(),
        }
    }
}

/// Removed with its contents when it is dropped, or by [`remove_abandoned`] if its host was killed.
pub(super) struct BuildDir {
    dir: Option<TempDir>,
    path: PathBuf,
    proxy: Option<ConnectProxy>,
    /// The kernel releases the lock when the process ends.
    _lock: File,
}

impl BuildDir {
    /// For programs that find and trust the servers that the host does.
    pub(super) async fn open(options: &HttpOptions) -> Result<Self, BuildDirError> {
        let mut dir = Self::new()?;
        dir.write_authorities(options)?;
        if !options.resolve.is_empty() {
            let proxy = ConnectProxy::start(options.resolve.clone()).await;
            dir.proxy = Some(proxy.map_err(BuildDirError::Io)?);
        }
        Ok(dir)
    }

    /// Makes a program use the certificates and the proxy.
    pub(super) fn configure(&self, command: &mut Command) {
        for name in ["SSL_CERT_FILE", "GIT_SSL_CAINFO"] {
            command.env(name, self.path(AUTHORITIES));
        }
        command.env_remove("SSL_CERT_DIR");
        if let Some(proxy) = &self.proxy {
            proxy.configure(command);
        }
    }

    pub(super) fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    fn new() -> Result<Self, BuildDirError> {
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for base in bases() {
            match Self::below(&base) {
                Ok(dir) => return Ok(dir),
                Err(error) => failure = error,
            }
        }
        Err(BuildDirError::Io(failure))
    }

    fn below(base: &Path) -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(base)?;
        let path = dir.path().to_owned();
        // The lock gets its name once it is locked: another host removes a directory whose lock is free.
        let unnamed = path.join("new.lock");
        let lock = File::create_new(&unnamed)?;
        lock.lock()?;
        fs::rename(unnamed, path.join(LOCK))?;
        Ok(Self { dir: Some(dir), path, proxy: None, _lock: lock })
    }

    /// The path of an entry, which need not exist.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn create_dir(&self, name: &str) -> Result<PathBuf, BuildDirError> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(BuildDirError::Io)?;
        Ok(path)
    }

    pub(super) fn read(&self, name: &str) -> Result<String, BuildDirError> {
        fs::read_to_string(self.path(name)).map_err(BuildDirError::Io)
    }

    /// Writes a file that only its owner may read.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, BuildDirError> {
        let path = self.path(name);
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content));
        written.map_err(BuildDirError::Io)?;
        Ok(path)
    }

    pub(super) fn write_secret(&self, name: &str, content: &SecretText) -> Result<PathBuf, BuildDirError> {
        self.write(name, content.expose().as_bytes())
    }

    /// A PEM file with every authority that the host trusts.
    fn write_authorities(&self, options: &HttpOptions) -> Result<PathBuf, BuildDirError> {
        let mut authorities = rustls_native_certs::load_native_certs().certs;
        if let Some(file) = &options.ca_file {
            authorities.extend(read_pem(file)?);
        }
        let mut text = String::new();
        for authority in authorities {
            text.push_str("-----BEGIN CERTIFICATE-----\n");
            let encoded = STANDARD.encode(authority);
            for line in encoded.as_bytes().chunks(64) {
                text.push_str(&String::from_utf8_lossy(line));
                text.push('\n');
            }
            text.push_str("-----END CERTIFICATE-----\n");
        }
        self.write(AUTHORITIES, text.as_bytes())
    }

    /// Removes the directory. Returns its path if it cannot be removed.
    pub(super) fn remove(&mut self) -> Option<PathBuf> {
        // Not by `TempDir`: it would empty a file system that is mounted below.
        remove(self.dir.take()?.keep())
    }
}

impl Drop for BuildDir {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Where build directories are: below TMPDIR, else below /var/tmp, because images are too big for a /tmp in memory.
fn bases() -> impl Iterator<Item = PathBuf> {
    let named = std::env::var_os("TMPDIR").map(PathBuf::from);
    let named = named.filter(|dir| dir.is_absolute() && dir.as_os_str().len() <= MAX_BASE_LENGTH);
    named.into_iter().chain(["/var/tmp".into(), "/tmp".into()])
}

/// Removes the build directories of this user's hosts that were killed: a registry login may be in one. Returns the
/// directories that cannot be removed.
pub(super) fn remove_abandoned() -> Vec<PathBuf> {
    bases().flat_map(|base| remove_abandoned_below(&base)).collect()
}

fn remove_abandoned_below(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    named.filter_map(|entry| lock_abandoned(entry.path()).and_then(|(path, _lock)| remove(path))).collect()
}

/// Locks a build directory of this user whose host no longer runs.
fn lock_abandoned(path: PathBuf) -> Option<(PathBuf, File)> {
    let found = path.symlink_metadata().ok()?;
    // Every user may create a directory of this name below /tmp.
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    let lock = File::open(path.join(LOCK)).ok()?;
    lock.try_lock().ok()?;
    Some((path, lock))
}

/// Removes a directory. Returns its path if it cannot be removed.
fn remove(path: PathBuf) -> Option<PathBuf> {
    let end = Instant::now() + REMOVAL_TIMEOUT;
    loop {
        for mount in mounts_below(&path).iter().rev() {
            let _ = unmount(mount, UnmountFlags::DETACH);
        }
        if mounts_below(&path).is_empty() {
            match fs::remove_dir_all(&path) {
                Ok(()) => return None,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
                Err(_) => {}
            }
        }
        if Instant::now() > end {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    if mounts_below(&path).is_empty() {
        remove_in_user_namespace(&path);
    }
    path.exists().then_some(path)
}

/// Without root, the files of an image belong to users of the builder's own user namespace.
fn remove_in_user_namespace(path: &Path) {
    let Some(builder) = ["buildah", "podman"].into_iter().find_map(find) else { return };
    let mut removal = command(&builder, BUILDER_VARIABLES).into_std();
    removal.args(["unshare", "rm", "-rf", "--"]).arg(path);
    let _ = removal.stdin(std::process::Stdio::null()).output();
}

/// The mount points below a directory, outer ones first.
fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(text) = fs::read_to_string("/proc/self/mountinfo") else { return Vec::new() };
    // The kernel escapes spaces and some other characters, which no build directory has.
    let mounts = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    mounts.filter(|mount| mount.starts_with(dir)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    #[test]
    fn only_the_owner_can_read_it_and_nothing_of_it_stays() {
        let mut build_dir = BuildDir::new().expect("a build directory");
        let file =
            build_dir.write_secret("auth.json", &SecretText::new("x".into())).expect("the file is written");
        let mode = |path: &Path| fs::metadata(path).expect("the file exists").permissions().mode() & 0o7777;
        assert_eq!((mode(&build_dir.path), mode(&file)), (0o700, 0o600));
        let path = build_dir.path.clone();
        assert_eq!(build_dir.remove(), None);
        assert!(!path.exists());
        let path = BuildDir::new().expect("a build directory").path.clone();
        assert!(!path.exists());
    }

    const KILLED: &str = "THINKUBE_TEST_IS_KILLED";

    /// The host that is killed, in a process of its own.
    #[test]
    #[ignore = "a part of another test"]
    fn a_host_is_killed_while_it_builds() {
        if std::env::var_os(KILLED).is_none() {
            return;
        }
        let build_dir = BuildDir::new().expect("a build directory");
        build_dir.write_secret("auth.json", &SecretText::new("x".into())).expect("the file is written");
        thread::sleep(Duration::from_secs(60));
    }

    /// Killed when it is dropped.
    struct Host(std::process::Child);

    impl Drop for Host {
        fn drop(&mut self) {
            self.0.kill().expect("the process runs");
            self.0.wait().expect("the process ends");
        }
    }

    #[test]
    fn the_next_build_removes_what_a_killed_host_left() {
        let base = tempfile::tempdir_in("/tmp").expect("a directory");
        let names = || {
            let entries = fs::read_dir(base.path()).expect("readable").flatten();
            entries.map(|entry| entry.path()).collect::<std::collections::BTreeSet<_>>()
        };
        let build = || {
            let before = names();
            let mut host =
                std::process::Command::new(std::env::current_exe().expect("the path of this test"));
            host.args(["--exact", "image::build_dir::tests::a_host_is_killed_while_it_builds", "--ignored"]);
            host.env(KILLED, "1").env("TMPDIR", base.path()).stdout(std::process::Stdio::null());
            let host = Host(host.spawn().expect("the process runs"));
            let end = Instant::now() + Duration::from_secs(20);
            loop {
                if let Some(path) = names().difference(&before).find(|path| path.join("auth.json").exists()) {
                    return (host, path.clone());
                }
                assert!(Instant::now() < end, "no build directory");
                thread::sleep(Duration::from_millis(20));
            }
        };
        let (dead, left) = build();
        drop(dead);
        let (alive, used) = build();
        let theirs = base.path().join("thinkube-notes");
        fs::create_dir(&theirs).expect("writable");
        let outside = tempfile::tempdir().expect("a directory");
        File::create(outside.path().join(LOCK)).expect("writable");
        let link = base.path().join("thinkube-link");
        std::os::unix::fs::symlink(outside.path(), &link).expect("a link");

        assert!(left.join("auth.json").exists());
        assert_eq!(remove_abandoned_below(base.path()), Vec::<PathBuf>::new());
        assert_eq!(names(), [used.clone(), theirs, link].into());
        assert!(used.join("auth.json").exists() && outside.path().join(LOCK).exists());
        drop(alive);
        remove_abandoned_below(base.path());
        assert!(!used.exists());
    }

    #[test]
    fn programs_trust_what_the_host_trusts() {
        let build_dir = BuildDir::new().expect("a build directory");
        let own = rcgen::generate_simple_self_signed(["own.example.org".to_owned()]).expect("a certificate");
        let file = build_dir.write("own.pem", own.cert.pem().as_bytes()).expect("the file is written");
        let options = HttpOptions { ca_file: Some(file), ..HttpOptions::default() };
        let bundle = build_dir.write_authorities(&options).expect("the file is written");
        let read: Vec<CertificateDer<'_>> =
            CertificateDer::pem_file_iter(bundle).and_then(Iterator::collect).expect("a PEM file");
        assert!(read.contains(own.cert.der()));
    }
}
