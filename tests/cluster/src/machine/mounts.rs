//! The mounts below a folder.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

/// Unmounts everything below a folder, the youngest mount first.
pub(crate) fn unmount_all(folder: &Path) {
    // A mount can hide an older one of the same folder, so the list is read again.
    for _ in 0..16 {
        let points = below(folder);
        if points.is_empty() {
            return;
        }
        for point in points.iter().rev() {
            // Lazily, because a dying process may still use it.
            let _ = unmount(point, UnmountFlags::DETACH);
        }
    }
}

pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    parse(&table).filter(|point| point.starts_with(folder)).collect()
}

fn parse(mountinfo: &str) -> impl Iterator<Item = PathBuf> {
    mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| {
        // The kernel writes blanks and the like as octal numbers.
        let plain = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
        PathBuf::from(plain.iter().fold(point.to_owned(), |text, (code, plain)| text.replace(code, plain)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_blanks_are_read() {
        let table =
            "36 35 98:0 / /a/with\\040blank rw - ext4 /dev/x rw\n37 35 98:0 / /b rw - ext4 /dev/x rw\n";
        assert_eq!(parse(table).collect::<Vec<_>>(), [PathBuf::from("/a/with blank"), PathBuf::from("/b")]);
    }
}
