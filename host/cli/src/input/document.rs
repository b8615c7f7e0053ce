//! Files that the user names, or stdin as `-`.

use crate::error::CliError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// The limit of a settings, grants or facts file, in bytes. A longer file is the wrong file.
const MAX_FILE: u64 = 16 << 20;

pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The text of a file of at most `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if is_stdin(path) {
        std::io::stdin().lock().take(limit + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_string(&mut text))
    };
    if read.map_err(|error| CliError::file(path, error))? as u64 > limit {
        return Err(CliError::file(path, format!("the file is longer than {} MiB", limit >> 20)));
    }
    Ok(text)
}

/// The one YAML document in a file; JSON is YAML.
pub(crate) fn read_document(path: &Path) -> Result<Value, CliError> {
    let text = read_text(path, MAX_FILE)?;
    // serde_norway's own values refuse a duplicate key; serde_json's keep the last.
    let value: serde_norway::Value =
        serde_norway::from_str(&text).map_err(|error| CliError::file(path, error))?;
    serde_json::to_value(value).map_err(|error| CliError::file(path, error))
}

/// The document in a file as a `T`.
pub(crate) fn read_as<T: DeserializeOwned>(path: &Path) -> Result<T, CliError> {
    serde_json::from_value(read_document(path)?).map_err(|error| CliError::file(path, error))
}
