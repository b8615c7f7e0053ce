//! Kubeconfig files. They contain their keys, so that they can be copied.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::access::pki::Pair;
use crate::error::{At, Result};
use crate::paths;

/// The environment variable that names an existing cluster to use instead of the harness's own.
pub const KUBECONFIG_VARIABLE: &str = "THINKUBE_TEST_KUBECONFIG";

/// The kubeconfig that the environment names.
pub(crate) fn of_environment() -> Option<PathBuf> {
    std::env::var_os(KUBECONFIG_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

pub(crate) fn write(file: &Path, server: &str, authority: &Path, user: &str, pair: &Pair) -> Result<()> {
    write_in(file, "default", server, authority, user, pair)
}

/// With a default namespace.
pub(crate) fn write_in(
    file: &Path,
    namespace: &str,
    server: &str,
    authority: &Path,
    user: &str,
    pair: &Pair,
) -> Result<()> {
    let encoded = |path: &Path| -> Result<String> { Ok(STANDARD.encode(fs::read(path).at(path)?)) };
    // As a JSON string, which is also a YAML string: a user's name may hold colons.
    let user = serde_json::Value::from(user);
    let text = format!(
        "apiVersion: v1\n\
         kind: Config\n\
         current-context: thinkube-test\n\
         clusters:\n\
         - name: thinkube-test\n  \
           cluster:\n    \
             server: {server}\n    \
             certificate-authority-data: {authority}\n\
         users:\n\
         - name: {user}\n  \
           user:\n    \
             client-certificate-data: {certificate}\n    \
             client-key-data: {key}\n\
         contexts:\n\
         - name: thinkube-test\n  \
           context:\n    \
             cluster: thinkube-test\n    \
             namespace: {namespace}\n    \
             user: {user}\n",
        authority = encoded(authority)?,
        certificate = encoded(&pair.certificate)?,
        key = encoded(&pair.key)?,
    );
    paths::write(file, text)
}
