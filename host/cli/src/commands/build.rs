//! `build`: builds the component of a plugin's crate into a file.

use crate::args::plan::PluginArgs;
use crate::error::CliError;
use crate::input::plugin;
use crate::output::format::Format;
use crate::output::plugin::{built, built_json};
use crate::output::printer::Printer;
use clap::Args;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The first bytes of every component: magic number, version, layer. A core module has another version and layer.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The folder of a plugin's crate
    folder: PathBuf,
    /// File for the component [default: the plugin's name and .wasm, in the current folder]
    #[arg(short = 'o', long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Format of the result; here `-o` names the file
    // Hides the global option of this id, whose `-o` would be a second one.
    #[arg(id = "output", long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Overwrite FILE though it is not a component
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(printer: Printer, args: BuildArgs) -> Result<ExitCode, CliError> {
    let BuildArgs { folder, file, output: format, force } = args;
    if !folder.is_dir() {
        return Err(CliError::file(&folder, "expected the folder of a plugin's crate"));
    }
    if let Some(file) = &file {
        refuse_format(file)?;
        check_overwrite(file, force)?;
    }
    let (bytes, loaded) = plugin::read(&PluginArgs { plugin: folder, no_cache: false }).await?;
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{}.wasm", loaded.descriptor.name)));
    check_overwrite(&file, force)?;
    write(&file, &bytes).map_err(|error| CliError::file(&file, error))?;
    let printer = Printer { format, ..printer };
    printer.result(|| built(&loaded, &file, bytes.len()), || built_json(&loaded, &file, bytes.len()));
    Ok(ExitCode::SUCCESS)
}

/// For every other command `-o json` is a format.
fn refuse_format(file: &Path) -> Result<(), CliError> {
    match file.to_str() {
        Some(format @ ("json" | "text")) => {
            Err(CliError::file(file, "`-o` of `build` names the component's file")
                .advise(format!("for the format, write `--output {format}`")))
        }
        _ => Ok(()),
    }
}

/// Protects a file that was named by mistake and that no build can restore.
fn check_overwrite(path: &Path, force: bool) -> Result<(), CliError> {
    if path.is_dir() {
        return Err(CliError::file(path, "expected a file, found a folder")
            .advise("name the file, for example devpi.wasm"));
    }
    if force {
        return Ok(());
    }
    let mut start = Vec::new();
    match File::open(path).and_then(|file| file.take(8).read_to_end(&mut start)) {
        Ok(_) if start == COMPONENT => Ok(()),
        Ok(_) => Err(CliError::file(path, "the file exists and is not a component")
            .advise("to overwrite it, add --force")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CliError::file(path, error)),
    }
}

/// Replaces the file in one step, so that an interrupted write leaves the old one.
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
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.wasm");
        assert!(check_overwrite(&path, false).is_ok());
        write(&path, &COMPONENT).expect("the file is writable");
        assert!(check_overwrite(&path, false).is_ok());
        for other in [&b"notes"[..], b"", b"\0asm\x01\0\0\0"] {
            write(&path, other).expect("the file is writable");
            assert!(check_overwrite(&path, false).is_err(), "{other:?}");
            assert!(check_overwrite(&path, true).is_ok(), "{other:?}");
        }
        assert!(check_overwrite(folder.path(), true).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder is readable").count(), 1);
    }
}
