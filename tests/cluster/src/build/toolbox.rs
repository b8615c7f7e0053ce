//! The root folder of the toolbox image: busybox under the name of each of its programs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::error::{At, Result};
use crate::process::run::run;

/// Makes the root folder, with busybox under the name of each of its programs.
pub(crate) fn toolbox(system: &Path, root: &Path) -> Result<()> {
    let folder = |name: &str, mode: u32| {
        let folder = root.join(name);
        fs::create_dir_all(&folder).at(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).at(folder)
    };
    for (name, mode) in [("", 0o755), ("bin", 0o755), ("etc", 0o755), ("usr", 0o755), ("tmp", 0o1777)] {
        folder(name, mode)?;
    }
    let busybox = root.join("bin/busybox");
    fs::copy(system.join("usr/bin/busybox"), &busybox).at(&busybox)?;
    let link = |target: &str, name: &str| symlink(target, root.join(name)).at(root.join(name));
    for program in run(Command::new(&busybox).arg("--list"))?.lines().filter(|name| *name != "busybox") {
        link("busybox", &format!("bin/{program}"))?;
    }
    // Scripts expect a shell and env there.
    for (target, name) in [("bin", "sbin"), ("../bin", "usr/bin"), ("../bin", "usr/sbin")] {
        link(target, name)?;
    }
    for (name, content) in [("etc/passwd", "root:x:0:0:root:/:/bin/sh\n"), ("etc/group", "root:x:0:\n")] {
        let file = root.join(name);
        fs::write(&file, content).at(&file)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).at(file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toolbox_has_every_name_of_busybox_and_a_writable_tmp() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (system, root) = (folder.path().join("system"), folder.path().join("root"));
        let busybox = system.join("usr/bin/busybox");
        fs::create_dir_all(busybox.parent().expect("a folder")).expect("a folder");
        fs::write(&busybox, "#!/bin/sh\nprintf 'busybox\\nls\\nsh\\n'\n").expect("a file");
        fs::set_permissions(&busybox, fs::Permissions::from_mode(0o755)).expect("a mode");
        toolbox(&system, &root).expect("a root folder");
        for (name, target) in [("bin/ls", "busybox"), ("bin/sh", "busybox"), ("usr/bin", "../bin")] {
            assert_eq!(fs::read_link(root.join(name)).expect(name), Path::new(target));
        }
        assert!(root.join("bin/busybox").symlink_metadata().expect("busybox").is_file());
        assert_eq!(fs::metadata(root.join("tmp")).expect("tmp").permissions().mode() & 0o7777, 0o1777);
    }
}
