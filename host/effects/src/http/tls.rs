//! The certificate authorities that the host trusts.

use super::error::Error;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::{env, fmt};

/// A TLS configuration that trusts the system's authorities, and those of `ca_file`.
pub(super) fn config(ca_file: Option<&Path>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    // A certificate of the system that cannot be read is skipped, as other programs do. A file that a person names must be
    // readable.
    let native = rustls_native_certs::load_native_certs();
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| env::var_os(name).is_some());
    if let (Some(name), Some(error)) = (named, native.errors.first()) {
        return Err(Error::Certificates { message: format!("{name}: {error}") });
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca_file {
        let certificates = read_pem(path)?;
        if certificates.is_empty() {
            return Err(unreadable(path, &"it holds no certificate"));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unreadable(path, &error))?;
        }
    }
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| Error::Certificates { message: error.to_string() })?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates in a PEM file.
///
/// # Errors
/// [`Error::Certificates`].
pub(crate) fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, message: &dyn fmt::Display) -> Error {
    Error::Certificates { message: format!("{}: {message}", path.display()) }
}

/// Why a certificate is not trusted.
pub(super) fn reason(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::UnknownIssuer => "no trusted authority signed it",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name"
        }
        CertificateError::Revoked => "it was revoked",
        _ => "it is not a valid certificate for this purpose",
    }
}
