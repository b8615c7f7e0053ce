//! What a probe sends of a Secret. The value is in memory only, and whatever the server answers is summed up without it.

use crate::Error;
use crate::api::client::Cluster;
use crate::discovery::{ApiResource, check_name};
use crate::release::applyset::PART_OF;
use crate::secrets::compose::value_of;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use thinkube_plan::{Credentials, ObjectRef, ServiceTarget};
use zeroize::Zeroizing;

impl Cluster {
    /// The header's value. Or why the host does not send it: the record that names Secret and Service is no authority, so
    /// both must be of one release and in one namespace in the cluster, and the Service must lead to pods.
    pub(crate) async fn credentials(
        &self,
        credentials: &Credentials,
        service: &ServiceTarget,
    ) -> Result<Result<Zeroizing<String>, String>, Error> {
        let password = &credentials.password;
        check_name("namespace", &password.namespace)?;
        check_name("Secret", &password.name)?;
        let at = ApiResource::secret().object(Some(&password.namespace), &password.name);
        let to = service_at(service);
        // Pods may mount the Secrets of their own namespace and no others.
        if password.namespace != service.namespace {
            return Ok(Err(format!("{at} is in another namespace than {to}; it is not sent")));
        }
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
        Ok(Ok(encoded(&credentials.username, &value)))
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
fn encoded(username: &str, password: &[u8]) -> Zeroizing<String> {
    let mut credentials = Zeroizing::new(format!("{username}:").into_bytes());
    credentials.extend_from_slice(password);
    Zeroizing::new(STANDARD.encode(credentials.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::client::Connect;
    use serde_json::json;
    use thinkube_plan::{HttpMethod, HttpProbe, HttpTarget, Probe, SecretKey};
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    /// An API server that serves kinds, a Secret and a Service. Behind the Service a server answers `status` with a Status
    /// like that of the API server, whose texts are the header that it was sent.
    async fn echoing(status: u16) -> Cluster {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, status));
            }
        });
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "c", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]});
        std::fs::write(kubeconfig.path(), text.to_string()).unwrap();
        let path = Some(kubeconfig.path().to_owned());
        Cluster::connect(&Connect { kubeconfig: path, context: None, state_namespace: "home".into() })
            .await
            .unwrap()
    }

    /// No request of these tests has a body that matters.
    async fn serve(stream: TcpStream, status: u16) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while stream.read_line(&mut head).await? > 2 {}
        let sent = head.lines().find_map(|line| line.strip_prefix("x-auth: ")).unwrap_or("nothing");
        let (status, body) = match head.split(' ').nth(1).unwrap_or_default() {
            path if path.contains("/proxy/") => (status, quoting(sent)),
            path => served(path),
        };
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\nx-echo: {sent}\r\n");
        let rest = format!("content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(format!("{head}{rest}").as_bytes()).await
    }

    fn quoting(sent: &str) -> Value {
        json!({"kind": "Status", "status": "Failure", "reason": sent, "message": sent,
            "details": {"kind": "services", "name": "server:80",
                "causes": [{"reason": sent, "message": sent, "field": sent}]}})
    }

    fn served(path: &str) -> (u16, Value) {
        let resource = |plural: &str, kind: &str| json!({"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": ["get"]});
        let labels = json!({PART_OF: "a"});
        let body = match path {
            "/version" => json!({"major": "1", "minor": "34"}),
            "/api" => json!({"items": [{"metadata": {"name": ""}, "versions": [{"version": "v1",
                "resources": [resource("secrets", "Secret"), resource("services", "Service")]}]}]}),
            "/apis" => json!({"items": []}),
            "/api/v1/namespaces/demo/secrets/root" | "/api/v1/namespaces/other/secrets/root" => {
                json!({"metadata": {"labels": labels}, "data": {"password": STANDARD.encode("hunter2")}})
            }
            "/api/v1/namespaces/demo/services/server" => {
                json!({"metadata": {"labels": labels}, "spec": {"selector": {"app": "server"}}})
            }
            _ => return (404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound"})),
        };
        (200, body)
    }

    /// The Secret is in `namespace` and the Service in `demo`.
    fn login(namespace: &str) -> Probe {
        let password = SecretKey { namespace: namespace.into(), name: "root".into(), key: "password".into() };
        let service =
            ServiceTarget { namespace: "demo".into(), name: "server".into(), port: 80, path: "/".into() };
        Probe::Http(HttpProbe {
            target: HttpTarget::Service(service),
            method: HttpMethod::Get,
            headers: vec![],
            credentials: Some(Credentials { header: "x-auth".into(), username: "root".into(), password }),
            body: None,
            follow_redirects: false,
        })
    }

    #[tokio::test]
    async fn no_text_of_an_answer_to_a_secret_reaches_a_person() {
        let sent = encoded("root", b"hunter2");
        for status in [200, 302, 400, 401, 403, 404, 409, 429, 500, 503] {
            let shown = match echoing(status).await.observe(&login("demo")).await {
                // CEL judges over the variables: they show that the server did quote the secret.
                Ok(seen) => {
                    assert_eq!(seen.variables["json"]["message"], sent.as_str(), "{status}");
                    seen.summary
                }
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!shown.contains(&*sent) && !shown.contains("hunter2"), "{status}: {shown}");
        }
    }

    #[tokio::test]
    async fn a_secret_of_another_namespace_is_not_sent() {
        let seen = echoing(200).await.observe(&login("other")).await.unwrap();
        assert!(!seen.holds && seen.variables["status"] == 0, "{seen:?}");
        assert!(seen.summary.contains("in another namespace"), "{seen:?}");
    }

    #[test]
    fn a_password_of_any_characters_fits_into_credentials() {
        for password in ["hunter2", "a:b", "line\nbreak", "\u{e4}\"'$`\\ "] {
            let sent = encoded("root", password.as_bytes());
            assert_eq!(STANDARD.decode(&*sent).unwrap(), format!("root:{password}").into_bytes());
        }
        assert_eq!(STANDARD.decode(&*encoded("root", b"\xff")).unwrap(), b"root:\xff");
    }

    #[test]
    fn a_service_counts_only_with_a_release_and_a_selector() {
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
