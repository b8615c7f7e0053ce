//! Why the server refused an apply, found out with more dry runs and access reviews.

use crate::api::client::Client;
use crate::api::request::ApiRequest;
use crate::api::resource::ApiResource;
use crate::api::response::ApiResponse;
use crate::api::status::StatusKind;
use crate::diff::target::Target;
use crate::error::Error;
use crate::error::api::ApiError;
use crate::error::apply::ApplyError;
use crate::error::diff::DiffError;
use crate::progress::ignore;
use serde_json::{Value, json};
use thinkube_plan::ObjectRef;

/// Whether the server would create the object under another name. Then an update is refused only because of immutable fields.
pub(crate) async fn could_be_created(
    client: &Client,
    kind: &ApiResource,
    object: &ObjectRef,
    desired: &Value,
) -> Result<bool, Error> {
    let mut renamed = desired.clone();
    if let Some(metadata) = renamed["metadata"].as_object_mut() {
        metadata.remove("name");
        metadata.insert("generateName".into(), json!(format!("{}-", object.name)));
    }
    let request = ApiRequest::create_dry_run(kind, object.namespace.as_deref(), &renamed);
    let response = client.request(&request, &ignore).await?;
    match response.status.kind {
        StatusKind::Success => Ok(true),
        StatusKind::InvalidFields(_) | StatusKind::Malformed | StatusKind::Denied => Ok(false),
        _ => Err(client.error_from(&request, response).await.into()),
    }
}

/// The error for a refused apply. `exists` says whether the object exists.
pub(crate) async fn apply_error(
    client: &Client,
    target: &Target,
    desired: &Value,
    exists: bool,
    response: ApiResponse,
) -> Error {
    let object = Box::new(target.object.clone());
    let (code, status) = (response.code, response.status);
    // The server quotes the values that it refuses.
    let message = if target.is_confidential() {
        "(the message is not shown, because it may quote a secret)".to_owned()
    } else {
        status.message
    };
    let namespace = target.object.namespace.as_deref().unwrap_or_default();
    match status.kind {
        StatusKind::FieldConflict(fields) => ApplyError::Conflict { object, fields }.into(),
        StatusKind::Denied => ApplyError::Denied { object, message }.into(),
        StatusKind::InvalidFields(fields) => {
            let creatable = could_be_created(client, &target.kind, &target.object, desired);
            if exists && matches!(creatable.await, Ok(true)) {
                return ApplyError::Immutable { object, fields }.into();
            }
            ApplyError::Rejected { object, code, fields, message }.into()
        }
        StatusKind::Malformed => ApplyError::Rejected { object, code, fields: status.fields, message }.into(),
        StatusKind::Terminating => ApiError::Terminating { namespace: namespace.to_owned() }.into(),
        StatusKind::NotFound { of } if of == "namespaces" => {
            DiffError::NoNamespace { namespace: namespace.to_owned(), object }.into()
        }
        StatusKind::NoSuchPath => DiffError::NotServed {
            object: target.object.to_string(),
            api_version: target.object.api_version.clone(),
            kind: target.object.kind.clone(),
        }
        .into(),
        StatusKind::Forbidden => forbidden_or_denied(client, target, message).await,
        StatusKind::LostRace => ApiError::LostRace { what: target.object.to_string() }.into(),
        _ => {
            let what = format!("apply {}", target.object);
            ApiError::Unexpected { what, code, reason: status.reason, message }.into()
        }
    }
}

/// Quotas, Pod Security and webhooks answer 403 as RBAC does, so access reviews decide which of them it was.
async fn forbidden_or_denied(client: &Client, target: &Target, message: String) -> Error {
    let (kind, namespace) = (&target.kind, target.object.namespace.as_deref());
    for verb in ["patch", "create"] {
        if let Ok(false) = client.is_allowed(verb, kind.group(), &kind.plural, namespace).await {
            return client.forbidden_error(verb, kind, namespace).await.into();
        }
    }
    ApplyError::Denied { object: Box::new(target.object.clone()), message }.into()
}
