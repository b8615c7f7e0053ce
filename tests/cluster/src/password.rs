//! Passwords that are made once a cluster.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use crate::error::{At, Result};
use crate::paths;

/// The password in this file, which is made if it does not exist: 32 hexadecimal digits, readable by the owner alone.
pub fn password(file: &Path) -> Result<String> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        read => return read.at(file),
    }
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).at("/dev/urandom")?;
    let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    paths::write(file, &password)?;
    Ok(password)
}
