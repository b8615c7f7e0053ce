//! Reads a plugin's component from a file, or builds it from the folder of a plugin's crate.

use crate::error::Error;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// The target that a plugin's crate is built for: its output already is a component.
const TARGET: &str = "wasm32-wasip2";

/// The bytes of the plugin at `path`: a `.wasm` file, or the folder of a plugin's crate, which is then built with
/// cargo; cargo's own progress goes to stderr. At most `limit + 1` bytes are read: the caller sees
/// that a file is too large, and reading an endless file ends.
///
/// # Errors
/// [`Error::Read`] or [`Error::Build`].
pub async fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let file = if tokio::fs::metadata(path).await.map_err(failed)?.is_dir() {
        build(path).await?
    } else {
        path.to_owned()
    };
    let failed = |source| Error::Read { path: file.clone(), source };
    let mut bytes = Vec::new();
    tokio::fs::File::open(&file)
        .await
        .map_err(failed)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .await
        .map_err(failed)?;
    Ok(bytes)
}

/// Builds the plugin's crate in `folder` and returns the path of its component.
async fn build(folder: &Path) -> Result<PathBuf, Error> {
    let failed = |message: String| Error::Build { path: folder.to_owned(), message };
    let manifest = folder.join("Cargo.toml").canonicalize().map_err(|_| {
        failed("it has no Cargo.toml; give the folder of a plugin's crate, or a .wasm file".to_owned())
    })?;
    let package = Package::read(&manifest).await.map_err(failed)?;
    if !has_target().await {
        return Err(failed(format!(
            "Rust has no standard library for {TARGET}, which plugins are built for; run: rustup target add {TARGET} \
             (without rustup: install that library as you have installed Rust)"
        )));
    }
    let target_dir = package.target_dir.join("plugins");
    // Panic messages would contain paths of this machine, and the same source would give other bytes.
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .unwrap_or_default();
    let flags = [
        format!("--remap-path-prefix={}=/cargo", cargo_home.display()),
        format!("--remap-path-prefix={}=/src", package.workspace_root.display()),
    ];
    let status = cargo()
        .args([
            "build",
            "--quiet",
            "--lib",
            "--target",
            TARGET,
            "--profile",
            &package.profile,
            "--package",
            &package.name,
        ])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| failed(format!("cargo cannot be run ({error}); install Rust with rustup")))?;
    if !status.success() {
        return Err(failed("cargo could not build it; its messages are above".to_owned()));
    }
    let profile_dir = if package.profile == "dev" { "debug" } else { &package.profile };
    Ok(target_dir.join(TARGET).join(profile_dir).join(format!("{}.wasm", package.lib_name)))
}

struct Package {
    name: String,
    lib_name: String,
    profile: String,
    target_dir: PathBuf,
    workspace_root: PathBuf,
}

impl Package {
    /// Asks cargo. The profile is `package.metadata.thinkube.profile`, or `release`.
    async fn read(manifest: &Path) -> Result<Self, String> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
            .arg(manifest)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| format!("cargo cannot be run ({error}); install Rust with rustup"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let package = metadata["packages"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|package| package["manifest_path"].as_str().map(Path::new) == Some(manifest))
            .ok_or("it is a workspace, not a plugin's crate; give the folder of one crate")?;
        let library = package["targets"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|target| {
                target["crate_types"]
                    .as_array()
                    .is_some_and(|types| types.iter().any(|kind| kind == "cdylib"))
            })
            .ok_or("its library is not a component: add crate-type = [\"cdylib\"] to [lib]")?;
        let profile =
            package.pointer("/metadata/thinkube/profile").and_then(Value::as_str).unwrap_or("release");
        Ok(Self {
            name: text(&package["name"]),
            lib_name: text(&library["name"]).replace('-', "_"),
            profile: profile.to_owned(),
            target_dir: text(&metadata["target_directory"]).into(),
            workspace_root: text(&metadata["workspace_root"]).into(),
        })
    }
}

/// The cargo that runs this program, or the one on PATH. Variables of the running program's package are removed: with
/// them cargo would run the build scripts of the plugin's dependencies again.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (variable, _) in std::env::vars_os() {
        let of_a_package = variable.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "OUT_DIR"
        });
        if of_a_package {
            command.env_remove(variable);
        }
    }
    command
}

/// Whether the standard library of [`TARGET`] is installed. Cargo itself reports only that it can't find the crate `std`.
async fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    match asked {
        Ok(output) if output.status.success() => {
            Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
        }
        // Cargo reports what is wrong with the compiler.
        _ => true,
    }
}
