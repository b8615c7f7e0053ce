//! A private folder for one build, and whom its programs trust.

use super::way::Way;
use crate::Error;
use crate::http::HttpOptions;
use crate::process::{command, find};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::mount::{UnmountFlags, unmount};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
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

/// Removed with everything in it when it is dropped, whatever happened.
pub(super) struct Workshop {
    folder: Option<TempDir>,
    path: PathBuf,
    way: Option<Way>,
}

const AUTHORITIES: &str = "authorities.pem";

impl Workshop {
    /// For programs that find and trust whom the host does.
    pub(super) async fn open(options: &HttpOptions) -> Result<Self, Error> {
        let mut this = Self::new()?;
        this.authorities(options)?;
        if !options.resolve.is_empty() {
            this.way = Some(Way::open(options.resolve.clone()).await?);
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

    /// Below TMPDIR; else below /var/tmp, where container tools keep what is too big for memory.
    fn new() -> Result<Self, Error> {
        let named = std::env::var_os("TMPDIR").map(PathBuf::from);
        let named = named.filter(|folder| folder.is_absolute() && folder.as_os_str().len() <= LONGEST);
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for base in named.into_iter().chain(["/var/tmp".into(), "/tmp".into()]) {
            let made = tempfile::Builder::new()
                .prefix("thinkube-")
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir_in(base);
            match made {
                Ok(folder) => {
                    return Ok(Self { path: folder.path().to_owned(), folder: Some(folder), way: None });
                }
                Err(error) => failure = error,
            }
        }
        Err(Error::Workshop { source: failure })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(|source| Error::Workshop { source })?;
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
        written.map_err(|source| Error::Workshop { source })?;
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
        let folder = self.folder.take()?;
        // Own retries, and never while something is mounted there: this would empty what is mounted.
        let path = folder.keep();
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
}

impl Drop for Workshop {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Without root, what lies in an image belongs to users that only the tool's own user namespace knows.
fn remove_as_container_user(path: &Path) {
    let Some(tool) = ["buildah", "podman"].into_iter().find_map(find) else { return };
    let mut removal = command(&tool, super::tool::PASSED).into_std();
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
        let mut workshop = Workshop::new().expect("it is made");
        let file = workshop.write_secret("auth.json", &SecretText::new("x".into())).expect("it is written");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
        assert_eq!((mode(&workshop.path), mode(&file)), (0o700, 0o600));
        let path = workshop.path.clone();
        assert_eq!(workshop.remove(), None);
        assert!(!path.exists());
        let path = Workshop::new().expect("it is made").path.clone();
        assert!(!path.exists());
    }

    #[test]
    fn the_programs_trust_what_the_host_trusts() {
        let workshop = Workshop::new().expect("it is made");
        let own = rcgen::generate_simple_self_signed(["own.example.org".to_owned()]).expect("a certificate");
        let file = workshop.write("own.pem", own.cert.pem().as_bytes()).expect("it is written");
        let options = HttpOptions { ca_file: Some(file), ..HttpOptions::default() };
        let bundle = workshop.authorities(&options).expect("it is written");
        let read: Vec<CertificateDer<'_>> =
            CertificateDer::pem_file_iter(bundle).and_then(Iterator::collect).expect("it is a bundle");
        assert!(read.contains(own.cert.der()));
    }
}
