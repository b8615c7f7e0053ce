//! `build`: the component of a plugin's crate, checked and put into a file.

use crate::args::{Output, PluginArgs};
use crate::failure::Failure;
use crate::{inputs, out, show};
use clap::Args;
use serde_json::json;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How every component begins. A core module has another version.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The folder of a plugin's crate
    pub folder: PathBuf,
    /// The component's file [default: the plugin's name and .wasm, in the current folder]
    #[arg(short = 'o', long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How results are printed; here `-o` names the file
    // It stands in for the global option of this id, whose `-o` would be a second one.
    #[arg(id = "output", long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Output,
    /// Overwrite FILE though it is not a component
    #[arg(long)]
    pub force: bool,
}

pub(crate) async fn run(args: BuildArgs) -> Result<ExitCode, Failure> {
    let BuildArgs { folder, file, output, force } = args;
    if !folder.is_dir() {
        return Err(Failure::file(
            &folder,
            "it is not a folder; `build` takes the folder of a plugin's crate",
        ));
    }
    if let Some(file) = &file {
        is_no_format(file)?;
        may_be_written(file, force)?;
    }
    let (bytes, loaded) = inputs::read(&PluginArgs { plugin: folder, no_cache: false }).await?;
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{}.wasm", loaded.descriptor.name)));
    may_be_written(&file, force)?;
    write(&file, &bytes).map_err(|error| Failure::file(&file, error))?;
    match output {
        Output::Text => out::to_stdout(&show::built(&loaded, &file, bytes.len())),
        Output::Json => out::json(&json!({
            "file": file,
            "bytes": bytes.len(),
            "digest": loaded.plugin.digest(),
            "name": loaded.descriptor.name,
            "version": loaded.descriptor.version,
            "contract": loaded.plugin.contract_version(),
        })),
    }
    Ok(ExitCode::SUCCESS)
}

/// `-o json` is a format for every other command.
fn is_no_format(file: &Path) -> Result<(), Failure> {
    match file.to_str() {
        Some(format @ ("json" | "text")) => Err(Failure::file(
            file,
            format!("`-o` of `build` names the component's file; write `--output {format}` for the format"),
        )),
        _ => Ok(()),
    }
}

/// A path that was mistyped must not cost a file that no build can make again.
fn may_be_written(path: &Path, force: bool) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::file(path, "it is a folder; name the file, for example devpi.wasm"));
    }
    if force {
        return Ok(());
    }
    let mut begin = Vec::new();
    match File::open(path).and_then(|file| file.take(8).read_to_end(&mut begin)) {
        Ok(_) if begin == COMPONENT => Ok(()),
        Ok(_) => Err(Failure::file(path, "it is there and is not a component; --force overwrites it")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::file(path, error)),
    }
}

/// A build that is cut off leaves the component of before.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".thinkube-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_component_is_overwritten_without_force() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wasm");
        assert!(may_be_written(&path, false).is_ok());
        write(&path, &COMPONENT).expect("writable");
        assert!(may_be_written(&path, false).is_ok());
        for other in [&b"notes"[..], b"", b"\0asm\x01\0\0\0"] {
            write(&path, other).expect("writable");
            assert!(may_be_written(&path, false).is_err(), "{other:?}");
            assert!(may_be_written(&path, true).is_ok(), "{other:?}");
        }
        assert!(may_be_written(folder.path(), true).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1);
    }
}
