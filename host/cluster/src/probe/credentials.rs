//! The credentials of a check, from a Secret. The value is in memory only, and summaries of answers do not repeat it.

use crate::api::client::Client;
use crate::api::resource::{ApiResource, check_name};
use crate::error::Error;
use crate::release::applyset::PART_OF;
use crate::secrets::value::value_of;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use thinkube_plan::{Credentials, ObjectRef, ServiceTarget};
use zeroize::Zeroizing;

/// The credential of one request.
pub(crate) enum Credential {
    /// The header's value.
    Header(Zeroizing<String>),
    /// It is not sent, for this reason.
    Withheld(String),
}

/// Reads the credential for a Service. The plan that names Secret and Service is not trusted: both must be of one release and
/// in one namespace of the cluster, and the Service must select pods.
pub(crate) async fn credential(
    client: &Client,
    credentials: &Credentials,
    service: &ServiceTarget,
) -> Result<Credential, Error> {
    let password = &credentials.password;
    check_name("Namespace", &password.namespace)?;
    check_name("Secret", &password.name)?;
    let secret = ApiResource::secret().object(Some(&password.namespace), &password.name);
    let service = service_ref(service);
    let withheld = |reason: String| Ok(Credential::Withheld(reason));
    // Pods mount only Secrets of their own namespace.
    if secret.namespace != service.namespace {
        return withheld(format!("{secret} is not sent: it is in another namespace than {service}"));
    }
    let Some(live_service) = client.get_object(&service).await? else {
        return withheld(format!("{service} does not exist"));
    };
    let Some(release) = release_of(&live_service).filter(|_| selects_pods(&live_service)) else {
        return withheld(format!(
            "{secret} is not sent: {service} is not a release's Service with a selector"
        ));
    };
    let Some(live_secret) = client.get_object(&secret).await? else {
        return withheld(format!("{secret} does not exist"));
    };
    if release_of(&live_secret) != Some(release) {
        return withheld(format!("{secret} is not sent: it is of another release than {service}"));
    }
    match value_of(&live_secret, &password.key) {
        Some(value) => Ok(Credential::Header(basic(&credentials.username, &value))),
        None => withheld(format!("{secret} has no key {}", password.key)),
    }
}

fn service_ref(service: &ServiceTarget) -> ObjectRef {
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

fn selects_pods(service: &Value) -> bool {
    let selector = service["spec"]["selector"].as_object();
    service["spec"]["type"] != "ExternalName" && selector.is_some_and(|selector| !selector.is_empty())
}

/// Base64, because a header cannot hold every password.
fn basic(username: &str, password: &[u8]) -> Zeroizing<String> {
    let mut credentials = Zeroizing::new(format!("{username}:").into_bytes());
    credentials.extend_from_slice(password);
    Zeroizing::new(STANDARD.encode(credentials.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::connect::Connect;
    use crate::probe::observe::observe;
    use serde_json::json;
    use thinkube_plan::{HttpMethod, HttpProbe, HttpTarget, Probe, SecretKey};
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    /// An API server with a Secret and a Service. The server behind the Service answers `status` with a Status like that of the
    /// API server, whose texts repeat the header that it received.
    async fn echoing(status: u16) -> Client {
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
        Client::connect(&Connect { kubeconfig: path, context: None, state_namespace: "state".into() })
            .await
            .unwrap()
    }

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
    async fn no_text_of_an_answer_to_a_secret_is_shown() {
        let sent = basic("root", b"hunter2");
        for status in [200, 302, 400, 401, 403, 404, 409, 429, 500, 503] {
            let shown = match observe(&echoing(status).await, &login("demo")).await {
                // CEL reads the variables. They prove that the server did quote the secret.
                Ok(observed) => {
                    assert_eq!(observed.variables["json"]["message"], sent.as_str(), "{status}");
                    observed.summary
                }
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!shown.contains(&*sent) && !shown.contains("hunter2"), "{status}: {shown}");
        }
    }

    #[tokio::test]
    async fn a_secret_of_another_namespace_is_not_sent() {
        let seen = observe(&echoing(200).await, &login("other")).await.expect("the server answers");
        assert!(!seen.holds && seen.variables["status"] == 0, "{seen:?}");
        assert!(seen.summary.contains("in another namespace"), "{seen:?}");
    }

    #[test]
    fn credentials_take_a_password_of_any_bytes() {
        for password in ["hunter2", "a:b", "line\nbreak", "\u{e4}\"'$`\\ "] {
            let sent = basic("root", password.as_bytes());
            assert_eq!(STANDARD.decode(&*sent).unwrap(), format!("root:{password}").into_bytes());
        }
        assert_eq!(STANDARD.decode(&*basic("root", b"\xff")).unwrap(), b"root:\xff");
    }

    #[test]
    fn a_service_needs_a_release_and_a_selector() {
        let selected = json!({"metadata": {"labels": {PART_OF: "a"}}, "spec": {"selector": {"app": "a"}}});
        assert!(release_of(&selected) == Some("a") && selects_pods(&selected));
        assert_eq!(release_of(&json!({"metadata": {"labels": {PART_OF: ""}}})), None);
        assert_eq!(release_of(&json!({"metadata": {}})), None);
        for spec in [
            json!({}),
            json!({"selector": {}}),
            json!({"selector": null}),
            json!({"type": "ExternalName", "externalName": "evil.example", "selector": {"a": "b"}}),
        ] {
            assert!(!selects_pods(&json!({"spec": spec})), "{spec}");
        }
    }
}
