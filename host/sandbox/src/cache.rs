//! The cache of compiled components.
//!
//! A compiled component is machine code that the host runs, and wasmtime checks it only lightly. Therefore:
//! * The directory belongs to the user who runs the host and has mode 0700, or it is not used.
//! * Each file belongs to that user too, which is checked again when it is read.
//! * The name of a file has the component's digest and everything of the engine that decides whether the code fits.
//! * Its SHA-256 lies beside it and is compared with the bytes that are then loaded. They are read once, so they cannot change
//!   between the check and the use, and a file that a crash cut short is compiled again.
//! * A file is written to a temporary name, synchronized and renamed, so no reader sees a part of it.
//!
//! The hash protects from damage, not from an attacker who can write as this user: such an attacker can replace the host too.

use crate::error::Error;
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, File, Metadata};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use thinkube_plan::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Older temporary files are left over from a host that died.
const STALE: Duration = Duration::from_secs(60 * 60);

/// A private directory for compiled components.
pub struct Cache {
    directory: PathBuf,
    limit: u64,
}

impl Cache {
    /// `$XDG_CACHE_HOME/thinkube-host/compiled`, else `~/.cache/thinkube-host/compiled`. None if neither variable is an
    /// absolute path.
    pub fn default_dir() -> Option<PathBuf> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(base.join("thinkube-host").join("compiled"))
    }

    /// Creates the directory if it is absent and checks that it is private.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub(crate) fn open(directory: &Path, limit: usize) -> Result<Self, Error> {
        let failed = |reason: &str, source: io::Error| Error::Cache {
            path: directory.to_owned(),
            reason: format!("{reason}: {source}"),
            advice: None,
            source: Some(source),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| failed("it cannot be created", error))?;
        let found = fs::symlink_metadata(directory).map_err(|error| failed("it cannot be read", error))?;
        if let Some((reason, advice)) = not_private(&found, rustix::process::geteuid().as_raw()) {
            return Err(Error::Cache {
                path: directory.to_owned(),
                reason,
                advice: Some(advice),
                source: None,
            });
        }
        Ok(Self { directory: directory.to_owned(), limit: limit as u64 })
    }

    fn path(&self, engine: &Engine, component: &Digest) -> PathBuf {
        self.directory.join(format!("{}-{}.cwasm", component.hex(), fingerprint(engine)))
    }

    /// The compiled form of `component`, if the cache has it undamaged.
    pub(crate) fn load(&self, engine: &Engine, component: &Digest) -> Option<Component> {
        let path = self.path(engine, component);
        let bytes = match read_checked(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a cached plugin is damaged and is compiled again");
                self.remove(&path);
                return None;
            }
        };
        match deserialize(engine, &bytes) {
            Ok(component) => {
                // Eviction uses the time of the last use. A failure only makes the file seem older.
                let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                Some(component)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a cached plugin does not fit this host and is compiled again");
                self.remove(&path);
                None
            }
        }
    }

    /// Stores the compiled form of `component`. A failure is logged and costs only the next compilation.
    pub(crate) fn store(&self, engine: &Engine, component: &Digest, compiled: &[u8]) {
        let path = self.path(engine, component);
        let kept = write_whole(&self.directory, &path, compiled).and_then(|()| {
            let sum = format!("{}\n", Digest::of(compiled).hex());
            write_whole(&self.directory, &sum_of(&path), sum.as_bytes())
        });
        if let Err(error) = kept.and_then(|()| self.evict(&path)) {
            tracing::warn!(path = %path.display(), %error, "a compiled plugin could not be cached");
        }
    }

    /// Removes the least recently used components until the rest fits the limit. `newest` stays.
    fn evict(&self, newest: &Path) -> io::Result<()> {
        let mut compiled = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            // Another host may have removed it.
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            let used = found.modified()?;
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("cwasm") => compiled.push((used, found.len(), path)),
                Some("tmp") if used.elapsed().is_ok_and(|age| age > STALE) => self.remove(&path),
                _ => {}
            }
        }
        compiled.sort();
        let mut total: u64 = compiled.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in compiled {
            if total <= self.limit {
                break;
            }
            if path != newest {
                self.remove(&path);
                total -= size;
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) {
        for path in [sum_of(path), path.to_owned()] {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "a file of the cache cannot be removed");
            }
        }
    }
}

/// Why a directory with this metadata is not private to `user`, and what to do. None if it is private.
fn not_private(found: &Metadata, user: u32) -> Option<(String, &'static str)> {
    if !found.is_dir() {
        return Some(("it is not a directory".into(), "remove it"));
    }
    if found.uid() != user {
        let reason = format!("it belongs to user {}, and user {user} runs this host", found.uid());
        return Some((reason, "set XDG_CACHE_HOME to a directory of your own"));
    }
    let mode = found.mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let reason = format!("its mode is {mode:04o}, so other users could put code there");
        (reason, "empty the directory and set its mode to 0700")
    })
}

/// A hash of everything in the engine that decides whether compiled code fits: version, settings, target, CPU features.
fn fingerprint(engine: &Engine) -> String {
    struct Into256(Sha256);
    impl Hasher for Into256 {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Into256(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:x}", hasher.0.finalize())[..32].to_owned()
}

fn sum_of(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

fn read_checked(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    // The owner of a parent directory could have replaced the directory after its check.
    let found = file.metadata()?;
    if !found.is_file() || found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a private file of this user"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let sum = fs::read_to_string(sum_of(path)).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("its SHA-256 is missing: {error}"))
    })?;
    if sum.trim_end() != Digest::of(&bytes).hex() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its SHA-256 differs"));
    }
    Ok(bytes)
}

fn write_whole(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().suffix(".tmp").tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Compiles `bytes`, stores the result in `cache`, and loads it.
pub(crate) fn compile(
    engine: &Engine,
    cache: Option<&Cache>,
    digest: &Digest,
    bytes: &[u8],
) -> Result<Component, Error> {
    let compiled = engine
        .precompile_component(bytes)
        .map_err(|error| Error::Compile { message: crate::output::line(&format!("{error:#}")) })?;
    // The allocator can refuse a component that the compiler accepts. Such a component is not stored.
    let component = deserialize(engine, &compiled)
        .map_err(|error| Error::TooComplex { message: crate::output::line(&format!("{error:#}")) })?;
    if let Some(cache) = cache {
        cache.store(engine, digest, &compiled);
    }
    Ok(component)
}

/// Loads machine code.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `Component::deserialize` asks that the bytes come unchanged from `Engine::precompile_component` of a
    // compatible engine. There are two callers. `compile` passes what that function just returned.
    // `Cache::load` passes bytes whose SHA-256 it has just compared with the one stored beside them, from a
    // directory that only this user can write, under a name that holds `precompile_compatibility_hash`; both files
    // are written by `Cache::store` alone, which only `compile` calls. No other code
    // changes the bytes in memory, and wasmtime copies them.
    unsafe { Component::deserialize(engine, compiled) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn private() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
        home
    }

    fn reason(error: Error) -> String {
        match error {
            Error::Cache { reason, .. } => reason,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_directory_that_others_can_access_is_refused() {
        let home = tempfile::tempdir().unwrap();
        for mode in [0o777, 0o770, 0o755, 0o710, 0o701] {
            fs::set_permissions(home.path(), Permissions::from_mode(mode)).unwrap();
            let reason = reason(Cache::open(home.path(), 1).err().unwrap());
            assert!(reason.contains(&format!("{mode:04o}")), "{reason}");
        }
        fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(Cache::open(home.path(), 1).is_ok());
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let home = private();
        let found = fs::metadata(home.path()).unwrap();
        assert_eq!(not_private(&found, found.uid()), None);
        let (reason, _) = not_private(&found, found.uid() + 1).expect("another user");
        assert!(reason.contains("belongs to user"), "{reason}");
    }

    #[test]
    fn a_symbolic_link_and_a_file_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        assert!(reason(Cache::open(&link, 1).err().unwrap()).contains("not a directory"));
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Cache::open(&file, 1).is_err());
    }

    #[test]
    fn a_missing_directory_is_created_private() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a/b");
        Cache::open(&directory, 1).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_least_recently_used_component_is_evicted_first() {
        let home = private();
        let cache = Cache::open(home.path(), 250).unwrap();
        let put = |name: &str, age: u64| {
            let path = home.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            let used = SystemTime::now() - Duration::from_secs(age);
            File::open(&path).unwrap().set_modified(used).unwrap();
            path
        };
        let oldest = put("a.cwasm", 300);
        let sum = put("a.sha256", 300);
        let middle = put("b.cwasm", 200);
        let newest = put("c.cwasm", 400);
        let left_over = put("x.tmp", 2 * STALE.as_secs());
        let in_work = put("y.tmp", 1);
        cache.evict(&newest).unwrap();
        assert!(!oldest.exists() && !sum.exists() && !left_over.exists());
        assert!(middle.exists() && newest.exists() && in_work.exists());
    }
}
