//! Logins to a registry, and the challenges with which it asks for one (RFC 9110 section 11.6.1).
//!
//! `http-auth` does not parse the challenges: it rejects a realm without quotes, which some registries send.

use super::error::RegistryError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use std::collections::BTreeMap;
use thinkube_plan::{ImageName, SecretText};

/// A user of a registry.
#[derive(Clone)]
pub(in crate::image) struct Login {
    username: String,
    password: SecretText,
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, DockerAuth>,
}

#[derive(Deserialize)]
struct DockerAuth {
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
}

/// Has no `Debug`, so that it cannot be printed.
#[derive(Deserialize)]
pub(super) struct SecretString(pub(super) String);

impl Login {
    /// The login for an image in a `.dockerconfigjson`. The most specific entry counts (containers-auth.json(5)).
    ///
    /// # Errors
    /// [`RegistryError::NoLogin`], which quotes nothing of the file: a parser's message may hold a password.
    pub(in crate::image) fn of(
        config: &SecretText,
        destination: &ImageName,
        what: &str,
    ) -> Result<Self, RegistryError> {
        let none =
            || RegistryError::NoLogin { what: what.to_owned(), registry: destination.registry.clone() };
        let config: DockerConfig = serde_json::from_str(config.expose()).map_err(|_| none())?;
        let mut keys = vec![destination.name()];
        while let Some((parent, _)) = keys[keys.len() - 1].rsplit_once('/') {
            keys.push(parent.to_owned());
        }
        let mut auths: BTreeMap<String, DockerAuth> =
            config.auths.into_iter().map(|(key, auth)| (plain_key(&key).to_owned(), auth)).collect();
        let auth = keys.iter().find_map(|key| auths.remove(key)).ok_or_else(none)?;
        if let (Some(username), Some(password)) = (auth.username, auth.password) {
            return Ok(Self { username, password: SecretText::new(password.0) });
        }
        let auth = auth.auth.ok_or_else(none)?;
        let decoded = STANDARD.decode(auth.0.trim()).map_err(|_| none())?;
        let decoded = String::from_utf8(decoded).map_err(|_| none())?;
        let (username, password) = decoded.split_once(':').ok_or_else(none)?;
        Ok(Self { username: username.to_owned(), password: SecretText::new(password.to_owned()) })
    }

    fn encoded(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.username, self.password.expose()))
    }

    /// The value of an `Authorization` header.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        sensitive(&format!("Basic {}", self.encoded()))
    }

    /// Texts that no message may repeat.
    pub(in crate::image) fn secrets(&self) -> Vec<SecretText> {
        vec![self.password.clone(), SecretText::new(self.encoded())]
    }

    /// The auth file of a builder: this registry's login, and no other login of the Secret.
    pub(in crate::image) fn auth_file(&self, registry: &str) -> SecretText {
        let auth = serde_json::json!({"auths": {registry: {"auth": self.encoded()}}});
        SecretText::new(auth.to_string())
    }
}

/// `https://registry/v1/` → `registry`: older Docker configurations have URLs as keys.
fn plain_key(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

/// A header value that is not logged.
pub(super) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// How a registry asks for a login.
#[derive(Debug, PartialEq)]
pub(super) enum Challenge {
    Basic,
    /// A token of the token server `realm` for `service`.
    Bearer {
        realm: String,
        service: String,
    },
}

impl Challenge {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, parameters) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut realm = None;
        let mut service = String::new();
        let mut rest = parameters.trim_start();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => {
                    after.split_once(',').map_or((after, ""), |(value, _)| (value, &after[value.len()..]))
                }
            };
            match name.trim().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.to_owned()),
                "service" => value.clone_into(&mut service),
                _ => {}
            }
            rest = after.trim_start().trim_start_matches(',').trim_start();
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination() -> ImageName {
        "registry.example.org:5000/library/devpi:1".parse().expect("a valid name")
    }

    fn login(config: &str) -> Result<Login, RegistryError> {
        Login::of(&SecretText::new(config.to_owned()), &destination(), "image devpi")
    }

    #[test]
    fn the_most_specific_login_counts_however_it_is_written() {
        for (config, username) in [
            (r#"{"auths":{"registry.example.org:5000":{"auth":"YW5uOndvcmQ6"}}}"#, "ann"),
            (
                r#"{"auths":{"https://registry.example.org:5000/v2/":{"username":"bob","password":"word:"}}}"#,
                "bob",
            ),
            (
                r#"{"auths":{"registry.example.org:5000":{"username":"no","password":"no"},
                    "registry.example.org:5000/library":{"username":"cyd","password":"word:"}}}"#,
                "cyd",
            ),
        ] {
            let login = login(config).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((login.username.as_str(), login.password.expose()), (username, "word:"));
        }
    }

    #[test]
    fn an_unusable_login_is_an_error_that_quotes_nothing_of_it() {
        for config in [
            r#"{"auths":{"other.example.org":{"auth":"Y2FuYXJ5OmNhbmFyeQ=="}}}"#,
            r#"{"auths":"canary"}"#,
            r#"canary"#,
            r#"{"auths":{"registry.example.org:5000":{"auth":"canary"}}}"#,
            r#"{"auths":{"registry.example.org:5000":{"auth":["canary"]}}}"#,
            r#"{"auths":{"registry.example.org":{"username":"canary","password":"canary"}}}"#,
        ] {
            let error = login(config).err().expect("the login is unusable");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
            assert!(error.to_string().contains("registry.example.org:5000"));
        }
    }

    #[test]
    fn the_auth_file_has_one_registry_only() {
        let config = r#"{"auths":{"registry.example.org:5000":{"username":"ann","password":"w"},
                                  "other.example.org":{"username":"bob","password":"other"}}}"#;
        let file = login(config).expect("a login").auth_file("registry.example.org:5000");
        let file: serde_json::Value = serde_json::from_str(file.expose()).expect("JSON");
        assert_eq!(file, serde_json::json!({"auths": {"registry.example.org:5000": {"auth": "YW5uOnc="}}}));
    }

    #[test]
    fn challenges_are_parsed_as_registries_write_them() {
        assert_eq!(Challenge::parse(r#"Basic realm="thinkube""#), Some(Challenge::Basic));
        let harbor = r#"Bearer realm="https://harbor.example.org/service/token",service="harbor-registry",scope="repository:library/devpi:pull""#;
        let (realm, service) =
            ("https://harbor.example.org/service/token".to_owned(), "harbor-registry".to_owned());
        assert_eq!(Challenge::parse(harbor), Some(Challenge::Bearer { realm: realm.clone(), service }));
        let bare = "bearer service=x, realm=https://harbor.example.org/service/token";
        assert_eq!(Challenge::parse(bare), Some(Challenge::Bearer { realm, service: "x".into() }));
        for none in ["Negotiate", "Bearer", r#"Bearer realm="open"#, ""] {
            assert_eq!(Challenge::parse(none), None, "{none}");
        }
    }
}
