//! A private folder for one build, and whom its programs trust.

use super::connect_proxy::ConnectProxy;
use crate::Error;
use crate::http::client::HttpOptions;
use crate::process::{command, find};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::mount::{UnmountFlags, unmount};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use thinkube_plan::SecretText;
use tokio::process::Command;

/// Longer paths of folders for run-time state are refused by podman, which puts sockets there.
const LONGEST: usize = 40;

/// How long the removal waits for programs that were ended to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Removed with everything in it when it is dropped, whatever happened; by [`sweep`] where its host was killed.
pub(super) struct BuildDir {
    folder: Option<TempDir>,
    path: PathBuf,
    way: Option<ConnectProxy>,
    /// Ends with the process, however that ends.
    _lock: File,
}

const PREFIX: &str = "thinkube-";
const LOCK: &str = "in-use.lock";
const AUTHORITIES: &str = "authorities.pem";

impl BuildDir {
    /// For programs that find and trust whom the host does.
    pub(super) async fn open(options: &HttpOptions) -> Result<Self, Error> {
        let mut this = Self::new()?;
        this.authorities(options)?;
        if !options.resolve.is_empty() {
            this.way = Some(ConnectProxy::open(options.resolve.clone()).await?);
        }
        Ok(this)
    }

    /// Tells a program where to find whom it is to trust, and the way.
    pub(super) fn guide(&self, command: &mut Command) {
        for name in ["SSL_CERT_FILE", "GIT_SSL_CAINFO"] {
            command.env(name, self.path(AUTHORITIES));
        }
        command.env_remove("SSL_CERT_DIR");
        if let Some(way) = &self.way {
            way.lead(command);
        }
    }

    /// Whether programs are led to servers by the host.
    pub(super) fn has_way(&self) -> bool {
        self.way.is_some()
    }

    fn new() -> Result<Self, Error> {
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for base in bases() {
            match Self::below(&base) {
                Ok(build_dir) => return Ok(build_dir),
                Err(error) => failure = error,
            }
        }
        Err(Error::BuildDir { source: failure })
    }

    fn below(base: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(base)?;
        let path = folder.path().to_owned();
        // Another host that sweeps takes a lock that it finds free for that of a dead one.
        let unseen = path.join("new.lock");
        let lock = File::create_new(&unseen)?;
        lock.lock()?;
        fs::rename(unseen, path.join(LOCK))?;
        Ok(Self { folder: Some(folder), path, way: None, _lock: lock })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(|source| Error::BuildDir { source })?;
        Ok(path)
    }

    /// Writes a file that nobody else may read.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, Error> {
        let path = self.path(name);
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content));
        written.map_err(|source| Error::BuildDir { source })?;
        Ok(path)
    }

    pub(super) fn write_secret(&self, name: &str, content: &SecretText) -> Result<PathBuf, Error> {
        self.write(name, content.expose().as_bytes())
    }

    /// A file with every authority that the host itself trusts, for the programs that it runs.
    fn authorities(&self, options: &HttpOptions) -> Result<PathBuf, Error> {
        let mut authorities = rustls_native_certs::load_native_certs().certs;
        if let Some(file) = &options.ca_file {
            let unreadable = |error| Error::Certificates { message: format!("{}: {error}", file.display()) };
            let more: Result<Vec<CertificateDer<'_>>, _> =
                CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
            authorities.extend(more.map_err(unreadable)?);
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

    /// Removes it. What cannot be removed is returned.
    pub(super) fn remove(&mut self) -> Option<PathBuf> {
        // Own retries, and never while something is mounted there: its own removal would empty what is mounted.
        remove(self.folder.take()?.keep())
    }
}

impl Drop for BuildDir {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Below TMPDIR; else below /var/tmp, where container tools keep what is too big for memory.
fn bases() -> impl Iterator<Item = PathBuf> {
    let named = std::env::var_os("TMPDIR").map(PathBuf::from);
    let named = named.filter(|folder| folder.is_absolute() && folder.as_os_str().len() <= LONGEST);
    named.into_iter().chain(["/var/tmp".into(), "/tmp".into()])
}

/// Removes what hosts of this user have left that were killed: the login to a registry may be in it. What cannot be
/// removed is returned.
pub(super) fn sweep() -> Vec<PathBuf> {
    bases().flat_map(|base| sweep_below(&base)).collect()
}

fn sweep_below(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    named.filter_map(|entry| abandoned(entry.path()).and_then(|(path, _lock)| remove(path))).collect()
}

/// A folder, locked, if a host of this user made it that is no more.
fn abandoned(path: PathBuf) -> Option<(PathBuf, File)> {
    let found = path.symlink_metadata().ok()?;
    // Everybody may put something of that name below /tmp.
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    let lock = File::open(path.join(LOCK)).ok()?;
    lock.try_lock().ok()?;
    Some((path, lock))
}

fn remove(path: PathBuf) -> Option<PathBuf> {
    let end = Instant::now() + PATIENCE;
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
        remove_as_container_user(&path);
    }
    path.exists().then_some(path)
}

/// Without root, what lies in an image belongs to users that only the tool's own user namespace knows.
fn remove_as_container_user(path: &Path) {
    let Some(tool) = ["buildah", "podman"].into_iter().find_map(find) else { return };
    let mut removal = command(&tool, super::builder::PASSED).into_std();
    removal.args(["unshare", "rm", "-rf", "--"]).arg(path);
    let _ = removal.stdin(std::process::Stdio::null()).output();
}

/// Innermost last.
fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(text) = fs::read_to_string("/proc/self/mountinfo") else { return Vec::new() };
    // `folder` has no character that the kernel writes in another way.
    let mounts = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    mounts.filter(|mount| mount.starts_with(folder)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_can_look_into_it_and_nothing_of_it_is_left() {
        let mut build_dir = BuildDir::new().expect("it is made");
        let file = build_dir.write_secret("auth.json", &SecretText::new("x".into())).expect("it is written");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
        assert_eq!((mode(&build_dir.path), mode(&file)), (0o700, 0o600));
        let path = build_dir.path.clone();
        assert_eq!(build_dir.remove(), None);
        assert!(!path.exists());
        let path = BuildDir::new().expect("it is made").path.clone();
        assert!(!path.exists());
    }

    const KILLED: &str = "THINKUBE_TEST_IS_KILLED";

    /// The host that is killed.
    #[test]
    #[ignore = "a part of another test"]
    fn a_host_is_killed_while_it_builds() {
        if std::env::var_os(KILLED).is_none() {
            return;
        }
        let build_dir = BuildDir::new().expect("it is made");
        build_dir.write_secret("auth.json", &SecretText::new("x".into())).expect("it is written");
        thread::sleep(Duration::from_secs(60));
    }

    /// Killed when it is dropped.
    struct Host(std::process::Child);

    impl Drop for Host {
        fn drop(&mut self) {
            self.0.kill().expect("it runs");
            self.0.wait().expect("it ends");
        }
    }

    #[test]
    fn what_a_killed_host_left_goes_with_the_next_build_and_nothing_else_does() {
        let base = tempfile::tempdir_in("/tmp").expect("a folder");
        let names = || {
            let entries = fs::read_dir(base.path()).expect("readable").flatten();
            entries.map(|entry| entry.path()).collect::<std::collections::BTreeSet<_>>()
        };
        let build = || {
            let before = names();
            let mut host = std::process::Command::new(std::env::current_exe().expect("a program"));
            host.args(["--exact", "image::build_dir::tests::a_host_is_killed_while_it_builds", "--ignored"]);
            host.env(KILLED, "1").env("TMPDIR", base.path()).stdout(std::process::Stdio::null());
            let host = Host(host.spawn().expect("it runs"));
            let end = Instant::now() + Duration::from_secs(20);
            loop {
                if let Some(path) = names().difference(&before).find(|path| path.join("auth.json").exists()) {
                    return (host, path.clone());
                }
                assert!(Instant::now() < end, "it made no folder");
                thread::sleep(Duration::from_millis(20));
            }
        };
        let (dead, left) = build();
        drop(dead);
        let (alive, used) = build();
        let theirs = base.path().join("thinkube-notes");
        fs::create_dir(&theirs).expect("writable");
        let elsewhere = tempfile::tempdir().expect("a folder");
        File::create(elsewhere.path().join(LOCK)).expect("writable");
        let link = base.path().join("thinkube-link");
        std::os::unix::fs::symlink(elsewhere.path(), &link).expect("a link");

        assert!(left.join("auth.json").exists());
        assert_eq!(sweep_below(base.path()), Vec::<PathBuf>::new());
        assert_eq!(names(), [used.clone(), theirs, link].into());
        assert!(used.join("auth.json").exists() && elsewhere.path().join(LOCK).exists());
        drop(alive);
        sweep_below(base.path());
        assert!(!used.exists());
    }

    #[test]
    fn the_programs_trust_what_the_host_trusts() {
        let build_dir = BuildDir::new().expect("it is made");
        let own = rcgen::generate_simple_self_signed(["own.example.org".to_owned()]).expect("a certificate");
        let file = build_dir.write("own.pem", own.cert.pem().as_bytes()).expect("it is written");
        let options = HttpOptions { ca_file: Some(file), ..HttpOptions::default() };
        let bundle = build_dir.authorities(&options).expect("it is written");
        let read: Vec<CertificateDer<'_>> =
            CertificateDer::pem_file_iter(bundle).and_then(Iterator::collect).expect("it is a bundle");
        assert!(read.contains(own.cert.der()));
    }
}
