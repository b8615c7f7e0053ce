//! Files and folders below one folder, with no step outside it: every path is opened by the kernel's `openat2`, beneath
//! that folder and through no symbolic link, whatever is swapped in meanwhile.

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, fchmod, fstat, fsync, mkdirat, open,
    openat, openat2, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use thinkube_plan::{RelativePath, WorkstationPlan};

/// Longer files are not read: no setup has written them.
const LONGEST_READ: u64 = 64 << 20;
/// Copies of one file that are kept beside it.
const COPIES: u32 = 999;

/// A folder that is open.
pub(crate) struct Folder(OwnedFd);

/// What a file is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FileFingerprint {
    /// Of its content.
    pub(crate) digest: thinkube_plan::Digest,
    /// Its permission bits.
    pub(crate) mode: u32,
}

impl FileFingerprint {
    pub(crate) fn of(content: &[u8], mode: u32) -> Self {
        Self { digest: thinkube_plan::Digest::of(content), mode }
    }
}

/// What lies somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Absent,
    File(FileFingerprint, Option<String>),
    Directory { mode: u32 },
    Other(Obstacle),
}

/// What is in the way of a file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Obstacle {
    /// A symbolic link, wherever it leads.
    Link,
    /// A file where a folder is needed.
    File,
    /// A folder where a file is needed.
    Directory,
    /// A device, a pipe or a socket.
    Special,
    /// Something that this user may not look at.
    Forbidden,
    /// A file of more than 64 MiB.
    Large,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "a symbolic link",
            Self::File => "a file",
            Self::Directory => "a folder",
            Self::Special => "a device, a pipe or a socket",
            Self::Forbidden => "something that you may not look at",
            Self::Large => "a file of more than 64 MiB",
        })
    }
}

/// Where a path leads.
pub(crate) enum Place {
    There(Folder),
    Missing,
    Blocked(RelativePath, Obstacle),
}

/// How a write or a removal went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// As it was to go.
    Well,
    /// What was there is kept under this name.
    BackedUpAs(String),
    /// What was there was not what had been seen. It is there still, untouched.
    Moved,
}

const OPEN_FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The name under which what is to become `name` lies until it is whole.
fn new(name: &str) -> String {
    format!(".{name}{NEW}")
}

/// The name under which what was `name` lies until it is certain that it may go.
fn old(name: &str) -> String {
    format!(".{name}{OLD}")
}

/// How such names end. No setup may have one.
pub(crate) const NEW: &str = ".thinkube-new";
/// See [`NEW`].
pub(crate) const OLD: &str = ".thinkube-old";

impl Folder {
    /// Opens the folder that everything else is below. Links on the way there are the operator's own.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Whether it belongs to whoever runs this.
    pub(crate) fn is_own(&self) -> io::Result<bool> {
        Ok(fstat(&self.0)?.st_uid == rustix::process::geteuid().as_raw())
    }

    fn beneath(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mut tries = 0;
        loop {
            match openat2(&self.0, path, flags, Mode::empty(), how) {
                // Something was renamed while the kernel looked.
                Err(Errno::AGAIN) if tries < 100 => tries += 1,
                opened => return opened,
            }
        }
    }

    /// Opens a folder below this one; none is this one.
    pub(crate) fn place(&self, path: Option<&RelativePath>) -> io::Result<Place> {
        let Some(path) = path else { return Ok(Place::There(Self(self.0.try_clone()?))) };
        match self.beneath(path.as_str(), OPEN_FOLDER) {
            Ok(folder) => Ok(Place::There(Self(folder))),
            Err(Errno::NOENT) => Ok(Place::Missing),
            Err(error) => {
                // Which of the names on the way it is.
                let mut way: Vec<RelativePath> = path.ancestors().collect();
                way.reverse();
                way.push(path.clone());
                for path in way {
                    let Ok(found) =
                        self.beneath(path.as_str(), OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)
                    else {
                        return Ok(Place::Blocked(path, Obstacle::Forbidden));
                    };
                    match FileType::from_raw_mode(fstat(found)?.st_mode) {
                        FileType::Directory => {}
                        FileType::Symlink => return Ok(Place::Blocked(path, Obstacle::Link)),
                        FileType::RegularFile => return Ok(Place::Blocked(path, Obstacle::File)),
                        _ => return Ok(Place::Blocked(path, Obstacle::Special)),
                    }
                }
                Ok(match error {
                    Errno::ACCESS | Errno::PERM => Place::Blocked(path.clone(), Obstacle::Forbidden),
                    error => return Err(error.into()),
                })
            }
        }
    }

    /// What lies here under this name.
    pub(crate) fn look(&self, name: &str) -> io::Result<Seen> {
        let found = match statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Seen::Absent),
            Err(Errno::ACCESS) => return Ok(Seen::Other(Obstacle::Forbidden)),
            found => found?,
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Ok(Seen::Directory { mode: mode_of(&found) }),
            FileType::Symlink => return Ok(Seen::Other(Obstacle::Link)),
            _ => return Ok(Seen::Other(Obstacle::Special)),
        }
        // Should it have become a pipe meanwhile, opening it does not wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(&self.0, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Seen::Absent),
            Err(Errno::LOOP) => return Ok(Seen::Other(Obstacle::Link)),
            Err(Errno::ACCESS | Errno::PERM) => return Ok(Seen::Other(Obstacle::Forbidden)),
            file => file?,
        };
        let found = fstat(&file)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Ok(Seen::Other(Obstacle::Special));
        }
        let Some(content) = read(File::from(file))? else { return Ok(Seen::Other(Obstacle::Large)) };
        let mark = FileFingerprint { digest: content.digest, mode: mode_of(&found) };
        Ok(Seen::File(mark, content.text))
    }

    /// Makes a folder and gives it its mode, whatever the umask says. False: there is something already.
    pub(crate) fn make(&self, name: &str, mode: u32) -> io::Result<bool> {
        match mkdirat(&self.0, name, Mode::RWXU) {
            Err(Errno::EXIST) => return Ok(false),
            made => made?,
        }
        self.set_mode(name, mode)?;
        fsync(&self.0)?;
        Ok(true)
    }

    /// Gives a folder its mode.
    pub(crate) fn set_mode(&self, name: &str, mode: u32) -> io::Result<()> {
        let folder = openat(&self.0, name, OPEN_FOLDER, Mode::empty())?;
        Ok(fchmod(folder, Mode::from_raw_mode(mode))?)
    }

    /// Removes a folder that is empty. False: it is not, or it is no folder.
    pub(crate) fn remove_empty(&self, name: &str) -> io::Result<bool> {
        match unlinkat(&self.0, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::BUSY) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a file in the place of what was seen there: all of it or nothing, and never in the place of anything else.
    /// `keep`: what was there stays beside it.
    pub(crate) fn put(
        &self,
        name: &str,
        content: &[u8],
        mode: u32,
        seen: &Seen,
        keep: bool,
    ) -> io::Result<Done> {
        let new = new(name);
        let mut file = self.create(&new)?;
        let written = (|| {
            file.write_all(content)?;
            fchmod(&file, Mode::from_raw_mode(mode))?;
            file.sync_all()
        })();
        let done = written.and_then(|()| self.exchange(&new, name, seen, keep));
        if !matches!(done, Ok(Done::Well | Done::BackedUpAs(_))) {
            let _ = unlinkat(&self.0, &*new, AtFlags::empty());
        }
        fsync(&self.0)?;
        done
    }

    /// Puts `new` in the place of `name`.
    fn exchange(&self, new: &str, name: &str, seen: &Seen, keep: bool) -> io::Result<Done> {
        let rename = |flags| renameat_with(&self.0, new, &self.0, name, flags);
        if *seen == Seen::Absent {
            return match rename(RenameFlags::NOREPLACE) {
                Ok(()) => Ok(Done::Well),
                Err(Errno::EXIST) => Ok(Done::Moved),
                Err(error) if cannot(error) && self.look(name)? == *seen => {
                    renameat(&self.0, new, &self.0, name)?;
                    Ok(Done::Well)
                }
                Err(error) if cannot(error) => Ok(Done::Moved),
                Err(error) => Err(error.into()),
            };
        }
        match rename(RenameFlags::EXCHANGE) {
            Ok(()) => {
                // What was there is now `new`. Was it what had been seen?
                if self.look(new)? != *seen {
                    rename(RenameFlags::EXCHANGE)?;
                    return Ok(Done::Moved);
                }
                if keep {
                    return self.keep(new, name).map(Done::BackedUpAs);
                }
                unlinkat(&self.0, new, AtFlags::empty())?;
                Ok(Done::Well)
            }
            Err(Errno::NOENT) => Ok(Done::Moved),
            // A file system that cannot exchange (NFS): between the look and the rename is a moment.
            Err(error) if cannot(error) => {
                if self.look(name)? != *seen {
                    return Ok(Done::Moved);
                }
                let kept = if keep { Some(self.keep(name, name)?) } else { None };
                renameat(&self.0, new, &self.0, name)?;
                Ok(kept.map_or(Done::Well, Done::BackedUpAs))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a file away if it is what was seen. `keep`: it stays beside its place.
    pub(crate) fn take(&self, name: &str, seen: &Seen, keep: bool) -> io::Result<Done> {
        let old = old(name);
        match self.rename_free(name, &old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Done::Moved),
            moved => moved?,
        };
        let done = if self.look(&old)? != *seen {
            self.rename_free(&old, name)?;
            Done::Moved
        } else if keep {
            Done::BackedUpAs(self.keep(&old, name)?)
        } else {
            unlinkat(&self.0, &*old, AtFlags::empty())?;
            Done::Well
        };
        fsync(&self.0)?;
        Ok(done)
    }

    /// Cleans up after a [`put`](Self::put) or [`take`](Self::take) that was cut off. What may be a person's is put back, or
    /// kept under the name that is returned. `intended` is what was to be written, `ours` knows what the host wrote.
    pub(crate) fn recover(
        &self,
        name: &str,
        intended: Option<&FileFingerprint>,
        ours: impl Fn(&FileFingerprint) -> bool,
    ) -> io::Result<Option<String>> {
        let is_ours = |seen: &Seen| matches!(seen, Seen::File(mark, _) if ours(mark));
        let taken = old(name);
        match self.look(&taken)? {
            Seen::Absent => {}
            seen if is_ours(&seen) => self.unlink(&taken)?,
            _ => match self.rename_free(&taken, name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return self.keep(&taken, name).map(Some);
                }
                put_back => put_back?,
            },
        }
        let left = new(name);
        let seen = self.look(&left)?;
        if seen == Seen::Absent {
            return Ok(None);
        }
        // The two are exchanged once the new one is whole. Until then what is left is half of it.
        let exchanged = matches!(self.look(name)?, Seen::File(mark, _) if intended == Some(&mark));
        if exchanged && !is_ours(&seen) {
            return self.keep(&left, name).map(Some);
        }
        self.unlink(&left)?;
        Ok(None)
    }

    /// Renames `from` to the first free NAME.orig-1, NAME.orig-2, …
    fn keep(&self, from: &str, name: &str) -> io::Result<String> {
        for number in 1..=COPIES {
            let to = format!("{name}.orig-{number}");
            match self.rename_free(from, &to) {
                Ok(()) => return Ok(to),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "999 copies are kept already"))
    }

    /// Renames to a name that is free.
    fn rename_free(&self, from: &str, to: &str) -> io::Result<()> {
        match renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE) {
            Err(error) if cannot(error) => match statat(&self.0, to, AtFlags::SYMLINK_NOFOLLOW) {
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

    /// Removes a file that is the host's own.
    pub(crate) fn unlink(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            unlinked => Ok(unlinked?),
        }
    }

    /// Writes a file that is the host's own, all of it or nothing.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let new = new(name);
        self.unlink(&new)?;
        let mut file = self.create(&new)?;
        file.write_all(content)?;
        fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        file.sync_all()?;
        renameat(&self.0, &*new, &self.0, name)?;
        Ok(fsync(&self.0)?)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The file system or the kernel does not know these ways of renaming.
fn cannot(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

fn mode_of(found: &Stat) -> u32 {
    found.st_mode & 0o7777
}

struct Content {
    digest: thinkube_plan::Digest,
    /// Where it is text, and no longer than what a setup may write.
    text: Option<String>,
}

/// None: it is longer than anything that is read here.
fn read(file: File) -> io::Result<Option<Content>> {
    let mut kept = Vec::new();
    let mut whole = true;
    let digest = hashed(file, LONGEST_READ, |bytes| {
        whole &= kept.len() + bytes.len() <= WorkstationPlan::MAX_CONTENT_BYTES;
        if whole {
            kept.extend_from_slice(bytes);
        }
        Ok(())
    })?;
    let Some(digest) = digest else { return Ok(None) };
    let digest = format!("sha256:{digest}").parse().map_err(io::Error::other)?;
    let text = if whole { String::from_utf8(kept).ok() } else { None };
    Ok(Some(Content { digest, text }))
}

/// The SHA-256 of a file whose bytes go to `each` meanwhile. None: it is longer than `most`.
pub(crate) fn hashed(
    mut file: File,
    most: u64,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Option<String>> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(format!("{:x}", hash.finalize()))),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        length += count as u64;
        if length > most {
            return Ok(None);
        }
        hash.update(&buffer[..count]);
        each(&buffer[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;
    use tempfile::TempDir;

    fn folder() -> (TempDir, Folder) {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(temporary.path()).expect("it opens");
        (temporary, folder)
    }

    fn all(temporary: &TempDir) -> BTreeMap<String, String> {
        fs::read_dir(temporary.path())
            .expect("a folder")
            .map(|entry| {
                let entry = entry.expect("readable");
                let content = fs::read_to_string(entry.path()).expect("text");
                (entry.file_name().into_string().expect("text"), content)
            })
            .collect()
    }

    fn is(temporary: &TempDir, expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned()));
        assert_eq!(all(temporary), expected.collect());
    }

    #[test]
    fn what_changed_since_it_was_seen_is_neither_overwritten_nor_taken() {
        let (temporary, folder) = folder();
        assert_eq!(folder.put("a", b"one", 0o644, &Seen::Absent, false).expect("it is put"), Done::Well);
        let seen = folder.look("a").expect("it is seen");
        fs::write(temporary.path().join("a"), "mine").expect("writable");
        assert_eq!(folder.put("a", b"two", 0o644, &seen, false).expect("nothing fails"), Done::Moved);
        assert_eq!(folder.put("a", b"two", 0o644, &Seen::Absent, false).expect("nothing fails"), Done::Moved);
        assert_eq!(folder.take("a", &seen, false).expect("nothing fails"), Done::Moved);
        is(&temporary, &[("a", "mine")]);
        fs::remove_file(temporary.path().join("a")).expect("it is there");
        assert_eq!(folder.put("a", b"two", 0o644, &seen, false).expect("nothing fails"), Done::Moved);
        assert_eq!(folder.take("a", &seen, false).expect("nothing fails"), Done::Moved);
        is(&temporary, &[]);
    }

    #[test]
    fn a_copy_that_is_kept_takes_no_name_that_is_taken() {
        let (temporary, folder) = folder();
        for (name, content) in [("a", "mine"), ("a.orig-1", "older")] {
            fs::write(temporary.path().join(name), content).expect("writable");
        }
        let seen = folder.look("a").expect("it is seen");
        let done = folder.put("a", b"new", 0o644, &seen, true).expect("it is put");
        assert_eq!(done, Done::BackedUpAs("a.orig-2".into()));
        is(&temporary, &[("a", "new"), ("a.orig-1", "older"), ("a.orig-2", "mine")]);
    }

    #[test]
    fn what_a_host_that_died_has_left_is_removed_if_it_is_its_own_and_kept_if_it_may_be_a_persons() {
        let new = FileFingerprint::of(b"new", 0o644);
        let old = FileFingerprint::of(b"old", 0o644);
        let ours = |mark: &FileFingerprint| [&new, &old].iter().any(|own| own.digest == mark.digest);
        // Before, kept as, after. The names: a, .a.thinkube-new, .a.thinkube-old.
        type Case<'a> = ([Option<&'a str>; 3], Option<&'a str>, &'a [(&'a str, &'a str)]);
        let cases: [Case<'_>; 8] = [
            ([Some("new"), None, None], None, &[("a", "new")]),
            // Half of a new one.
            ([Some("old"), Some("ne"), None], None, &[("a", "old")]),
            ([None, Some("ne"), None], None, &[]),
            // They were exchanged, and the old one was the host's, or a person's.
            ([Some("new"), Some("old"), None], None, &[("a", "new")]),
            ([Some("new"), Some("mine"), None], Some("a.orig-1"), &[("a", "new"), ("a.orig-1", "mine")]),
            // It was being removed.
            ([None, None, Some("old")], None, &[]),
            ([None, None, Some("mine")], None, &[("a", "mine")]),
            ([Some("other"), None, Some("mine")], Some("a.orig-1"), &[("a", "other"), ("a.orig-1", "mine")]),
        ];
        for (before, kept, after) in cases {
            let (temporary, folder) = folder();
            for (name, content) in ["a", ".a.thinkube-new", ".a.thinkube-old"].into_iter().zip(before) {
                if let Some(content) = content {
                    let seen = folder.put(name, content.as_bytes(), 0o644, &Seen::Absent, false);
                    assert_eq!(seen.expect("it is put"), Done::Well);
                }
            }
            let found = folder.recover("a", Some(&new), ours).expect("it recovers");
            assert_eq!(found.as_deref(), kept, "{before:?}");
            is(&temporary, after);
        }
    }

    #[test]
    fn nothing_is_opened_through_a_link_not_even_one_that_stays_inside() {
        let (temporary, folder) = folder();
        fs::create_dir(temporary.path().join("real")).expect("writable");
        std::os::unix::fs::symlink("real", temporary.path().join("link")).expect("a link");
        let path = |text: &str| text.parse::<RelativePath>().expect("a path");
        assert!(matches!(folder.place(Some(&path("real"))).expect("it opens"), Place::There(_)));
        for blocked in ["link", "link/below"] {
            let place = folder.place(Some(&path(blocked))).expect("nothing fails");
            assert!(matches!(place, Place::Blocked(at, Obstacle::Link) if at == path("link")), "{blocked}");
        }
        assert!(matches!(folder.place(Some(&path("none/below"))).expect("nothing fails"), Place::Missing));
    }
}
