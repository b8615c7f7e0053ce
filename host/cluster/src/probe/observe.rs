//! Facts and checks: each reads the cluster once and changes nothing. No value of a Secret leaves this file.

use crate::api::client::Client;
use crate::api::confidential::redacted;
use crate::api::resource::check_name;
use crate::error::Error;
use crate::probe::certificate;
use crate::probe::http::{probe_http, supported_http};
use crate::readiness::explain::explain;
use crate::readiness::kstatus::{State, status};
use serde_json::{Map, Value};
use thinkube_plan::{Answer, ObjectRef, Observation, Probe, Query, Selection, TypeMeta};

/// Answers a plugin's query.
pub(crate) async fn answer(client: &Client, query: &Query) -> Result<Answer, Error> {
    Ok(match query {
        Query::Object(object) => match client.get_object(object).await? {
            Some(object) => Answer::Object(redacted(object)),
            None => Answer::Absent,
        },
        Query::Objects(selection) => {
            Answer::Objects(select(client, selection).await?.into_iter().map(redacted).collect())
        }
        Query::Served(kind) => Answer::Served(client.api_resource(kind).await?.is_some()),
    })
}

/// Carries out a check once.
pub(crate) async fn observe(client: &Client, probe: &Probe) -> Result<Observation, Error> {
    supported(probe)?;
    match probe {
        Probe::Ready(object) => observe_ready(client, object).await,
        Probe::Object(object) => {
            let Some(live) = client.get_object(object).await? else { return Ok(absent(object)) };
            let certificate = certificate::of(&live, client.now());
            let variables = variables([("certificate", certificate), ("object", redacted(live))]);
            Ok(Observation { holds: true, summary: format!("{object} exists"), variables })
        }
        Probe::Objects(selection) => {
            let found: Vec<Value> = select(client, selection).await?.into_iter().map(redacted).collect();
            Ok(Observation {
                holds: !found.is_empty(),
                summary: format!("{} found: {selection}", found.len()),
                variables: variables([("objects", Value::Array(found))]),
            })
        }
        Probe::Http(http) => probe_http(client, http).await,
    }
}

/// Whether [`Cluster::observe`](crate::Cluster::observe) can carry out a check on any cluster. Asked before the first write
/// of an apply that needs the check.
///
/// # Errors
/// [`ProbeError::Unsupported`](crate::ProbeError::Unsupported) for what this host cannot do,
/// [`ProbeError::Invalid`](crate::ProbeError::Invalid) and [`ApiError::InvalidName`](crate::ApiError::InvalidName) for an
/// invalid check.
pub fn supported(probe: &Probe) -> Result<(), Error> {
    match probe {
        Probe::Ready(object) | Probe::Object(object) => {
            if let Some(namespace) = &object.namespace {
                check_name("Namespace", namespace)?;
            }
            Ok(check_name(&object.kind, &object.name)?)
        }
        Probe::Objects(selection) => {
            if let Some(namespace) = &selection.namespace {
                check_name("Namespace", namespace)?;
            }
            Ok(())
        }
        Probe::Http(probe) => supported_http(probe),
    }
}

async fn observe_ready(client: &Client, object: &ObjectRef) -> Result<Observation, Error> {
    let Some(live) = client.get_object(object).await? else { return Ok(absent(object)) };
    let status = status(&live, client.now());
    let holds = status.state == State::Current;
    let mut summary = status.message;
    if !holds && let Some(reason) = explain(client, &live).await.reasons.first() {
        summary = format!("{summary}; {reason}");
    }
    Ok(Observation { holds, summary, variables: variables([("object", redacted(live))]) })
}

/// The objects of a selection, by namespace and name.
async fn select(client: &Client, selection: &Selection) -> Result<Vec<Value>, Error> {
    let wanted = TypeMeta { api_version: selection.api_version.clone(), kind: selection.kind.clone() };
    let Some(kind) = client.api_resource(&wanted).await? else { return Ok(Vec::new()) };
    let namespace = selection.namespace.as_deref();
    if let Some(namespace) = namespace {
        check_name("Namespace", namespace)?;
    }
    let selector = [("labelSelector", selection.label_selector.as_str())];
    let selectors = if selection.label_selector.is_empty() { &selector[..0] } else { &selector[..] };
    let mut found = client.list(&kind, namespace, selectors, false).await?;
    let field =
        |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    found.sort_by_cached_key(|object| (field(object, "namespace"), field(object, "name")));
    Ok(found)
}

fn variables<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn absent(object: &ObjectRef) -> Observation {
    Observation {
        holds: false,
        summary: format!("{object} does not exist"),
        variables: variables([("object", Value::Null)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::resource::ApiResource;
    use crate::error::probe::ProbeError;
    use thinkube_plan::{HttpMethod, HttpProbe, HttpTarget, ServiceTarget};

    fn target(path: &str) -> ServiceTarget {
        ServiceTarget { namespace: "devpi".into(), name: "devpi".into(), port: 3141, path: path.into() }
    }

    #[test]
    fn an_unsupported_check_is_found_without_a_cluster() {
        let http = |target: HttpTarget, headers: &[(&str, &str)], follow_redirects: bool| {
            let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let (method, credentials) = (HttpMethod::Get, None);
            let probe = HttpProbe { target, method, headers, credentials, body: None, follow_redirects };
            supported(&Probe::Http(probe))
        };
        let service = |path: &str| HttpTarget::Service(target(path));
        assert!(http(service("/"), &[("Accept", "a/b")], false).is_ok());
        for refused in [
            http(HttpTarget::Url("https://a.io".into()), &[], false),
            http(service("/"), &[], true),
            http(service("/"), &[("Authorization", "x")], false),
        ] {
            let error = refused.unwrap_err();
            assert!(matches!(error, Error::Probe(ProbeError::Unsupported { .. })), "{error}");
            assert!(!error.to_string().contains("nothing was changed"), "a check may come after a change");
        }
        for refused in [http(service("/../x"), &[], false), http(service("/"), &[("a b", "secret\n")], false)]
        {
            let error = refused.unwrap_err();
            assert!(matches!(error, Error::Probe(ProbeError::Invalid { .. })), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let object = |namespace: &str, name: &str| {
            supported(&Probe::Ready(ApiResource::pod().object(Some(namespace), name)))
        };
        assert!(object("a", "b").is_ok() && object("..", "b").is_err() && object("a", "b/c").is_err());
    }
}
