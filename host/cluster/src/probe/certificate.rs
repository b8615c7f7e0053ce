//! The certificate of a TLS Secret, as a check shows it. A server sends it to every client, so it is public; the key is not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

/// `{"dnsNames": […], "notAfter": RFC 3339, "secondsLeft": …}` of the first certificate in `tls.crt` of a Secret of type
/// kubernetes.io/tls, which is the server's own (RFC 8446 section 4.4.2). Null for any other object, and for an invalid
/// certificate.
pub(crate) fn of(object: &Value, now: Timestamp) -> Value {
    if object["kind"] != "Secret" || object["apiVersion"] != "v1" || object["type"] != "kubernetes.io/tls" {
        return Value::Null;
    }
    read(object, now).unwrap_or_default()
}

fn read(object: &Value, now: Timestamp) -> Option<Value> {
    let pem = STANDARD.decode(object["data"]["tls.crt"].as_str()?).ok()?;
    let (_, pem) = parse_x509_pem(&pem).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let names = certificate.subject_alternative_name().ok()?;
    let names: Vec<&str> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| if let GeneralName::DNSName(name) = name { Some(*name) } else { None })
        .collect();
    let until = certificate.validity().not_after.timestamp();
    let not_after = Timestamp::from_second(until).ok()?;
    Some(json!({
        "dnsNames": names,
        "notAfter": not_after.to_string(),
        "secondsLeft": until.saturating_sub(now.as_second()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(secret_type: &str, certificate: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": secret_type,
            "data": {"tls.crt": STANDARD.encode(certificate), "tls.key": "c2VjcmV0"},
        })
    }

    #[test]
    fn a_tls_secret_shows_its_names_and_expiry() {
        let mut parameters =
            rcgen::CertificateParams::new(["*.example.com".to_owned(), "example.com".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(
            of(&secret("kubernetes.io/tls", &pem), now),
            json!({"dnsNames": ["*.example.com", "example.com"], "notAfter": "2030-01-02T00:00:00Z", "secondsLeft": 86400})
        );
        assert_eq!(of(&secret("Opaque", &pem), now), Value::Null);
    }

    #[test]
    fn an_invalid_certificate_is_null() {
        let now = Timestamp::UNIX_EPOCH;
        for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\u{0}\u{1}"] {
            assert_eq!(of(&secret("kubernetes.io/tls", text), now), Value::Null, "{text:?}");
        }
        assert_eq!(
            of(&json!({"kind": "Secret", "apiVersion": "v1", "type": "kubernetes.io/tls"}), now),
            Value::Null
        );
    }
}
