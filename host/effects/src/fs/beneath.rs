//! Reads and writes files below one directory, and nothing outside it.
//!
//! The kernel resolves every path with `openat2`, beneath that directory and through no symbolic link, so that a link that is
//! swapped in during a run leads nowhere. cap-std is not used: it follows links that stay inside, and has no rename that
//! exchanges two files, without which a file that changed in the last moment would be lost.

use super::content::read;
use super::entry::{Entry, FileFingerprint, Obstacle};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, fchmod, fstat, fsync, mkdirat, open,
    openat, openat2, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use thinkube_plan::RelativePath;

/// Backups of one file.
const MAX_BACKUPS: u32 = 999;
/// How often a path is resolved again while others rename directories.
const MAX_RESOLVE_TRIES: u32 = 100;

/// Ends the name under which a file lies until it is complete. No plan may use such a name.
pub(crate) const NEW_SUFFIX: &str = ".thinkube-new";
/// Ends the name under which a file lies until its removal is certain. No plan may use such a name.
pub(crate) const OLD_SUFFIX: &str = ".thinkube-old";

const OPEN_DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The result of opening a path.
pub(crate) enum Opened {
    Dir(Dir),
    Missing,
    /// This part of the path is an obstacle.
    Blocked(RelativePath, Obstacle),
}

/// The result of a write or a removal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Done,
    /// Done; the former file has this name beside the new one.
    BackedUpAs(String),
    /// Not done: the entry differs from the expected one, and is untouched.
    Changed,
}

fn new_name(name: &str) -> String {
    format!(".{name}{NEW_SUFFIX}")
}

fn old_name(name: &str) -> String {
    format!(".{name}{OLD_SUFFIX}")
}

/// An open directory.
pub(crate) struct Dir(OwnedFd);

impl Dir {
    /// Opens the directory that all other paths are below. Links on the path to it are the operator's choice.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Whether the directory belongs to the user of this process.
    pub(crate) fn is_own(&self) -> io::Result<bool> {
        Ok(fstat(&self.0)?.st_uid == rustix::process::geteuid().as_raw())
    }

    fn resolve(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mut tries = 0;
        loop {
            match openat2(&self.0, path, flags, Mode::empty(), how) {
                // A rename during the resolution.
                Err(Errno::AGAIN) if tries < MAX_RESOLVE_TRIES => tries += 1,
                opened => return opened,
            }
        }
    }

    /// Opens a directory below this one. No path: this directory.
    pub(crate) fn open_beneath(&self, path: Option<&RelativePath>) -> io::Result<Opened> {
        let Some(path) = path else { return Ok(Opened::Dir(Self(self.0.try_clone()?))) };
        let error = match self.resolve(path.as_str(), OPEN_DIR) {
            Ok(dir) => return Ok(Opened::Dir(Self(dir))),
            Err(Errno::NOENT) => return Ok(Opened::Missing),
            Err(error) => error,
        };
        // Which part of the path is the obstacle.
        let mut parts: Vec<RelativePath> = path.ancestors().collect();
        parts.reverse();
        parts.push(path.clone());
        for part in parts {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(found) = self.resolve(part.as_str(), flags) else {
                return Ok(Opened::Blocked(part, Obstacle::Forbidden));
            };
            match FileType::from_raw_mode(fstat(found)?.st_mode) {
                FileType::Directory => {}
                FileType::Symlink => return Ok(Opened::Blocked(part, Obstacle::Link)),
                FileType::RegularFile => return Ok(Opened::Blocked(part, Obstacle::File)),
                _ => return Ok(Opened::Blocked(part, Obstacle::Special)),
            }
        }
        match error {
            Errno::ACCESS | Errno::PERM => Ok(Opened::Blocked(path.clone(), Obstacle::Forbidden)),
            error => Err(error.into()),
        }
    }

    /// Reads the entry under a name.
    pub(crate) fn entry(&self, name: &str) -> io::Result<Entry> {
        let found = match statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Entry::Absent),
            Err(Errno::ACCESS) => return Ok(Entry::Obstacle(Obstacle::Forbidden)),
            found => found?,
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Ok(Entry::Directory { mode: mode_of(&found) }),
            FileType::Symlink => return Ok(Entry::Obstacle(Obstacle::Link)),
            _ => return Ok(Entry::Obstacle(Obstacle::Special)),
        }
        // NONBLOCK: the file may have become a pipe since `statat`.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(&self.0, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Entry::Absent),
            Err(Errno::LOOP) => return Ok(Entry::Obstacle(Obstacle::Link)),
            Err(Errno::ACCESS | Errno::PERM) => return Ok(Entry::Obstacle(Obstacle::Forbidden)),
            file => file?,
        };
        let found = fstat(&file)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Ok(Entry::Obstacle(Obstacle::Special));
        }
        let Some(content) = read(File::from(file))? else { return Ok(Entry::Obstacle(Obstacle::Large)) };
        Ok(Entry::File(FileFingerprint { digest: content.digest, mode: mode_of(&found) }, content.text))
    }

    /// Creates a directory with exactly this mode, whatever the umask is. False: the name is taken.
    pub(crate) fn create_dir(&self, name: &str, mode: u32) -> io::Result<bool> {
        match mkdirat(&self.0, name, Mode::RWXU) {
            Err(Errno::EXIST) => return Ok(false),
            made => made?,
        }
        self.set_mode(name, mode)?;
        fsync(&self.0)?;
        Ok(true)
    }

    /// Sets the mode of a directory.
    pub(crate) fn set_mode(&self, name: &str, mode: u32) -> io::Result<()> {
        let dir = openat(&self.0, name, OPEN_DIR, Mode::empty())?;
        Ok(fchmod(dir, Mode::from_raw_mode(mode))?)
    }

    /// Removes an empty directory. False: it is not empty, or not a directory.
    pub(crate) fn remove_empty_dir(&self, name: &str) -> io::Result<bool> {
        match unlinkat(&self.0, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::BUSY) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the expected entry by a file, completely or not at all, and never another entry. `backup` keeps the former
    /// file beside it.
    pub(crate) fn replace(
        &self,
        name: &str,
        content: &[u8],
        mode: u32,
        expected: &Entry,
        backup: bool,
    ) -> io::Result<Written> {
        let new = new_name(name);
        let mut file = self.create(&new)?;
        let complete = (|| {
            file.write_all(content)?;
            fchmod(&file, Mode::from_raw_mode(mode))?;
            file.sync_all()
        })();
        let written = complete.and_then(|()| self.exchange(&new, name, expected, backup));
        if !matches!(written, Ok(Written::Done | Written::BackedUpAs(_))) {
            let _ = unlinkat(&self.0, &*new, AtFlags::empty());
        }
        fsync(&self.0)?;
        written
    }

    /// Renames `new` to `name`.
    fn exchange(&self, new: &str, name: &str, expected: &Entry, backup: bool) -> io::Result<Written> {
        let rename = |flags| renameat_with(&self.0, new, &self.0, name, flags);
        if *expected == Entry::Absent {
            return match rename(RenameFlags::NOREPLACE) {
                Ok(()) => Ok(Written::Done),
                Err(Errno::EXIST) => Ok(Written::Changed),
                Err(error) if is_unsupported(error) && self.entry(name)? == *expected => {
                    renameat(&self.0, new, &self.0, name)?;
                    Ok(Written::Done)
                }
                Err(error) if is_unsupported(error) => Ok(Written::Changed),
                Err(error) => Err(error.into()),
            };
        }
        match rename(RenameFlags::EXCHANGE) {
            Ok(()) => {
                // `new` is the former entry now.
                if self.entry(new)? != *expected {
                    rename(RenameFlags::EXCHANGE)?;
                    return Ok(Written::Changed);
                }
                if backup {
                    return self.keep_backup(new, name).map(Written::BackedUpAs);
                }
                unlinkat(&self.0, new, AtFlags::empty())?;
                Ok(Written::Done)
            }
            Err(Errno::NOENT) => Ok(Written::Changed),
            // NFS cannot exchange: a change between this check and the rename is lost there.
            Err(error) if is_unsupported(error) => {
                if self.entry(name)? != *expected {
                    return Ok(Written::Changed);
                }
                let kept = if backup { Some(self.keep_backup(name, name)?) } else { None };
                renameat(&self.0, new, &self.0, name)?;
                Ok(kept.map_or(Written::Done, Written::BackedUpAs))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a file if it is the expected entry. `backup` keeps it beside its place.
    pub(crate) fn remove(&self, name: &str, expected: &Entry, backup: bool) -> io::Result<Written> {
        let old = old_name(name);
        match self.rename_free(name, &old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Written::Changed),
            moved => moved?,
        };
        let written = if self.entry(&old)? != *expected {
            self.rename_free(&old, name)?;
            Written::Changed
        } else if backup {
            Written::BackedUpAs(self.keep_backup(&old, name)?)
        } else {
            unlinkat(&self.0, &*old, AtFlags::empty())?;
            Written::Done
        };
        fsync(&self.0)?;
        Ok(written)
    }

    /// Cleans up after a [`replace`](Self::replace) or [`remove`](Self::remove) that was cut off. A file that may be a person's
    /// returns to its place, or is kept under the name that is returned. `intended` is the file that was being written;
    /// `is_ours` knows the content that the host wrote.
    pub(crate) fn recover(
        &self,
        name: &str,
        intended: Option<&FileFingerprint>,
        is_ours: impl Fn(&FileFingerprint) -> bool,
    ) -> io::Result<Option<String>> {
        let is_ours = |entry: &Entry| matches!(entry, Entry::File(file, _) if is_ours(file));
        let old = old_name(name);
        match self.entry(&old)? {
            Entry::Absent => {}
            entry if is_ours(&entry) => self.unlink(&old)?,
            _ => match self.rename_free(&old, name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return self.keep_backup(&old, name).map(Some);
                }
                renamed => renamed?,
            },
        }
        let new = new_name(name);
        let entry = self.entry(&new)?;
        if entry == Entry::Absent {
            return Ok(None);
        }
        // The two files are exchanged once the new one is complete. Before that, `new` is a part of it.
        let exchanged = matches!(self.entry(name)?, Entry::File(file, _) if intended == Some(&file));
        if exchanged && !is_ours(&entry) {
            return self.keep_backup(&new, name).map(Some);
        }
        self.unlink(&new)?;
        Ok(None)
    }

    /// Renames `from` to the first free NAME.orig-1, NAME.orig-2, …
    fn keep_backup(&self, from: &str, name: &str) -> io::Result<String> {
        for number in 1..=MAX_BACKUPS {
            let to = format!("{name}.orig-{number}");
            match self.rename_free(from, &to) {
                Ok(()) => return Ok(to),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} has {MAX_BACKUPS} backups already")))
    }

    /// Renames to a free name.
    fn rename_free(&self, from: &str, to: &str) -> io::Result<()> {
        match renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE) {
            Err(error) if is_unsupported(error) => match statat(&self.0, to, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => Ok(renameat(&self.0, from, &self.0, to)?),
                Err(error) => Err(error.into()),
                Ok(_) => Err(Errno::EXIST.into()),
            },
            renamed => Ok(renamed?),
        }
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?))
    }

    /// Removes a file of the host's own.
    pub(crate) fn unlink(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            unlinked => Ok(unlinked?),
        }
    }

    /// Writes a file of the host's own, completely or not at all.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let new = new_name(name);
        self.unlink(&new)?;
        let mut file = self.create(&new)?;
        file.write_all(content)?;
        fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        file.sync_all()?;
        renameat(&self.0, &*new, &self.0, name)?;
        Ok(fsync(&self.0)?)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether the file system or the kernel lacks this kind of rename.
fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

fn mode_of(found: &Stat) -> u32 {
    found.st_mode & 0o7777
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;
    use tempfile::TempDir;

    fn dir() -> (TempDir, Dir) {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let dir = Dir::open(temporary.path()).expect("the directory opens");
        (temporary, dir)
    }

    fn all(temporary: &TempDir) -> BTreeMap<String, String> {
        fs::read_dir(temporary.path())
            .expect("a directory")
            .map(|entry| {
                let entry = entry.expect("readable");
                let content = fs::read_to_string(entry.path()).expect("UTF-8");
                (entry.file_name().into_string().expect("UTF-8"), content)
            })
            .collect()
    }

    fn is(temporary: &TempDir, expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned()));
        assert_eq!(all(temporary), expected.collect());
    }

    #[test]
    fn an_entry_that_changed_is_neither_overwritten_nor_removed() {
        let (temporary, dir) = dir();
        assert_eq!(
            dir.replace("a", b"one", 0o644, &Entry::Absent, false).expect("the file is written"),
            Written::Done
        );
        let seen = dir.entry("a").expect("the entry is readable");
        fs::write(temporary.path().join("a"), "mine").expect("writable");
        assert_eq!(dir.replace("a", b"two", 0o644, &seen, false).expect("no I/O error"), Written::Changed);
        assert_eq!(
            dir.replace("a", b"two", 0o644, &Entry::Absent, false).expect("no I/O error"),
            Written::Changed
        );
        assert_eq!(dir.remove("a", &seen, false).expect("no I/O error"), Written::Changed);
        is(&temporary, &[("a", "mine")]);
        fs::remove_file(temporary.path().join("a")).expect("the file exists");
        assert_eq!(dir.replace("a", b"two", 0o644, &seen, false).expect("no I/O error"), Written::Changed);
        assert_eq!(dir.remove("a", &seen, false).expect("no I/O error"), Written::Changed);
        is(&temporary, &[]);
    }

    #[test]
    fn a_backup_takes_a_free_name() {
        let (temporary, dir) = dir();
        for (name, content) in [("a", "mine"), ("a.orig-1", "older")] {
            fs::write(temporary.path().join(name), content).expect("writable");
        }
        let seen = dir.entry("a").expect("the entry is readable");
        let done = dir.replace("a", b"new", 0o644, &seen, true).expect("the file is written");
        assert_eq!(done, Written::BackedUpAs("a.orig-2".into()));
        is(&temporary, &[("a", "new"), ("a.orig-1", "older"), ("a.orig-2", "mine")]);
    }

    #[test]
    fn leftovers_are_removed_if_ours_and_kept_if_a_persons() {
        let new = FileFingerprint::of(b"new", 0o644);
        let old = FileFingerprint::of(b"old", 0o644);
        let ours = |mark: &FileFingerprint| [&new, &old].iter().any(|own| own.digest == mark.digest);
        // Before, backup, after. The names: a, .a.thinkube-new, .a.thinkube-old.
        type Case<'a> = ([Option<&'a str>; 3], Option<&'a str>, &'a [(&'a str, &'a str)]);
        let cases: [Case<'_>; 8] = [
            ([Some("new"), None, None], None, &[("a", "new")]),
            // A part of the new file.
            ([Some("old"), Some("ne"), None], None, &[("a", "old")]),
            ([None, Some("ne"), None], None, &[]),
            // Exchanged; the former file was the host's, or a person's.
            ([Some("new"), Some("old"), None], None, &[("a", "new")]),
            ([Some("new"), Some("mine"), None], Some("a.orig-1"), &[("a", "new"), ("a.orig-1", "mine")]),
            // Cut off in the removal.
            ([None, None, Some("old")], None, &[]),
            ([None, None, Some("mine")], None, &[("a", "mine")]),
            ([Some("other"), None, Some("mine")], Some("a.orig-1"), &[("a", "other"), ("a.orig-1", "mine")]),
        ];
        for (before, kept, after) in cases {
            let (temporary, dir) = dir();
            for (name, content) in ["a", ".a.thinkube-new", ".a.thinkube-old"].into_iter().zip(before) {
                if let Some(content) = content {
                    let seen = dir.replace(name, content.as_bytes(), 0o644, &Entry::Absent, false);
                    assert_eq!(seen.expect("the file is written"), Written::Done);
                }
            }
            let found = dir.recover("a", Some(&new), ours).expect("recovery succeeds");
            assert_eq!(found.as_deref(), kept, "{before:?}");
            is(&temporary, after);
        }
    }

    #[test]
    fn no_link_is_followed_not_even_one_that_stays_inside() {
        let (temporary, dir) = dir();
        fs::create_dir(temporary.path().join("real")).expect("writable");
        std::os::unix::fs::symlink("real", temporary.path().join("link")).expect("a link");
        let path = |text: &str| text.parse::<RelativePath>().expect("a path");
        assert!(matches!(
            dir.open_beneath(Some(&path("real"))).expect("the directory opens"),
            Opened::Dir(_)
        ));
        for blocked in ["link", "link/below"] {
            let place = dir.open_beneath(Some(&path(blocked))).expect("no I/O error");
            assert!(matches!(place, Opened::Blocked(at, Obstacle::Link) if at == path("link")), "{blocked}");
        }
        assert!(matches!(
            dir.open_beneath(Some(&path("none/below"))).expect("no I/O error"),
            Opened::Missing
        ));
    }
}
