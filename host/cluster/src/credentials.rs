//! What a probe sends of a Secret. The value is in memory only, and whatever the server answers is summed up without it.

use crate::applyset::PART_OF;
use crate::compose::value_of;
use crate::kind::{Kind, check_name};
use crate::{Cluster, Error};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use thinkube_plan::{Credentials, ObjectRef, ServiceTarget};
use zeroize::Zeroizing;

impl Cluster {
    /// The header as it is sent. Or why it cannot be sent: the record that names Secret and Service is no authority, so both
    /// must be of one release as they are in the cluster, and the Service must lead to pods.
    pub(crate) async fn credentials(
        &self,
        credentials: &Credentials,
        service: &ServiceTarget,
    ) -> Result<Result<(String, String), String>, Error> {
        let Credentials { header, password, .. } = credentials;
        check_name("namespace", &password.namespace)?;
        check_name("Secret", &password.name)?;
        let at = Kind::secret().object(Some(&password.namespace), &password.name);
        let to = service_at(service);
        let Some(live) = self.look_at(&to).await? else { return Ok(Err(format!("{to} does not exist"))) };
        let Some(release) = release_of(&live).filter(|_| leads_to_pods(&live)) else {
            return Ok(Err(format!(
                "{to} is no Service of a release with a selector; no secret is sent to it"
            )));
        };
        let Some(secret) = self.look_at(&at).await? else { return Ok(Err(format!("{at} does not exist"))) };
        if release_of(&secret) != Some(release) {
            return Ok(Err(format!("{at} is not of the release that the Service is of; it is not sent")));
        }
        let Some(value) = value_of(&secret, &password.key) else {
            return Ok(Err(format!("{at} has no key {}", password.key)));
        };
        Ok(Ok((header.clone(), encoded(&credentials.username, &value))))
    }
}

fn service_at(service: &ServiceTarget) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: Some(service.namespace.clone()),
        name: service.name.clone(),
    }
}

fn release_of(live: &Value) -> Option<&str> {
    live["metadata"]["labels"][PART_OF].as_str().filter(|id| !id.is_empty())
}

fn leads_to_pods(service: &Value) -> bool {
    let selector = service["spec"]["selector"].as_object();
    service["spec"]["type"] != "ExternalName" && selector.is_some_and(|selector| !selector.is_empty())
}

/// Of any password, because Base64 is text that every header can hold.
fn encoded(username: &str, password: &[u8]) -> String {
    let mut credentials = Zeroizing::new(format!("{username}:").into_bytes());
    credentials.extend_from_slice(password);
    STANDARD.encode(credentials.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_password_of_any_characters_fits_into_credentials() {
        for password in ["hunter2", "a:b", "line\nbreak", "\u{e4}\"'$`\\ "] {
            let sent = encoded("root", password.as_bytes());
            assert_eq!(STANDARD.decode(sent).unwrap(), format!("root:{password}").into_bytes());
        }
        assert_eq!(STANDARD.decode(encoded("root", b"\xff")).unwrap(), b"root:\xff");
    }

    #[test]
    fn a_service_of_nobody_or_that_leads_elsewhere_is_told_from_one_of_a_release() {
        let selected = json!({"metadata": {"labels": {PART_OF: "a"}}, "spec": {"selector": {"app": "a"}}});
        assert!(release_of(&selected) == Some("a") && leads_to_pods(&selected));
        assert_eq!(release_of(&json!({"metadata": {"labels": {PART_OF: ""}}})), None);
        assert_eq!(release_of(&json!({"metadata": {}})), None);
        for spec in [
            json!({}),
            json!({"selector": {}}),
            json!({"selector": null}),
            json!({"type": "ExternalName", "externalName": "evil.example", "selector": {"a": "b"}}),
        ] {
            assert!(!leads_to_pods(&json!({"spec": spec})), "{spec}");
        }
    }
}
