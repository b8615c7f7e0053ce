//! What an answer of the API server means. Decided by status, reason and causes, never by the text of a message.

use crate::error::apply::FieldConflict;
use serde_json::Value;

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StatusKind {
    Success,
    /// Other managers own fields of the patch.
    FieldConflict(Vec<FieldConflict>),
    /// The object has another UID or resourceVersion than the request names.
    LostRace,
    AlreadyExists,
    /// The server refuses values of these fields: because they are invalid, or because the fields are immutable. Only a
    /// create as a dry run tells which.
    InvalidFields(Vec<String>),
    /// A ValidatingAdmissionPolicy or a webhook refuses the object.
    Denied,
    /// The request is invalid whatever the server stores.
    Malformed,
    /// The object does not exist; or its namespace does not, if `of` is `namespaces`.
    NotFound {
        of: String,
    },
    /// The server has no such path: the kind is not served.
    NoSuchPath,
    /// The namespace is being deleted.
    Terminating,
    Forbidden,
    Unauthorized,
    /// Not processed, so safe to send again.
    Throttled,
    /// A webhook or etcd failed, perhaps for a short time.
    Internal,
    Unavailable,
    /// The server may have carried the request out.
    UnknownOutcome,
    /// The continue token of a list is too old.
    Expired,
    Other,
}

/// An answer, classified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiStatus {
    pub(crate) kind: StatusKind,
    pub(crate) reason: Option<String>,
    pub(crate) message: String,
    /// The fields that the causes name.
    pub(crate) fields: Vec<String>,
}

pub(crate) fn classify(status: u16, body: &[u8]) -> ApiStatus {
    if status < 300 {
        return ApiStatus {
            kind: StatusKind::Success,
            reason: None,
            message: String::new(),
            fields: Vec::new(),
        };
    }
    // The 504 of an API server is a Status without kind and apiVersion, sent as text/plain.
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let parsed = parsed.filter(|value| value["kind"] == "Status" || value["status"] == "Failure");
    let Some(parsed) = parsed else {
        let text = String::from_utf8_lossy(&body[..body.len().min(300)]).trim().to_owned();
        return ApiStatus { kind: of_text(status), reason: None, message: text, fields: Vec::new() };
    };
    let reason = parsed["reason"].as_str().filter(|reason| !reason.is_empty()).map(str::to_owned);
    let causes = parsed["details"]["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut fields: Vec<String> =
        causes.iter().filter_map(|cause| cause["field"].as_str()).map(str::to_owned).collect();
    fields.dedup();
    ApiStatus {
        kind: of_status(status, reason.as_deref(), causes, &parsed, &fields),
        reason,
        message: parsed["message"].as_str().unwrap_or_default().to_owned(),
        fields,
    }
}

fn of_text(status: u16) -> StatusKind {
    match status {
        400 | 413 | 415 | 422 => StatusKind::Malformed,
        401 => StatusKind::Unauthorized,
        403 => StatusKind::Forbidden,
        404 => StatusKind::NoSuchPath,
        429 => StatusKind::Throttled,
        502 | 503 => StatusKind::Unavailable,
        504 => StatusKind::UnknownOutcome,
        _ => StatusKind::Other,
    }
}

fn of_status(
    status: u16,
    reason: Option<&str>,
    causes: &[Value],
    body: &Value,
    fields: &[String],
) -> StatusKind {
    let has = |name: &str| causes.iter().any(|cause| cause["reason"] == name);
    match (status, reason) {
        (409, Some("AlreadyExists")) => StatusKind::AlreadyExists,
        (409, _) if has("FieldManagerConflict") => StatusKind::FieldConflict(conflicts(causes)),
        (409, _) => StatusKind::LostRace,
        (422, _) if is_denial(causes) => StatusKind::Denied,
        (422, _) if !causes.is_empty() && causes.iter().all(may_be_a_transition) => {
            StatusKind::InvalidFields(fields.to_vec())
        }
        (400 | 413 | 415 | 422, _) => StatusKind::Malformed,
        (403, _) if has("NamespaceTerminating") => StatusKind::Terminating,
        // A typed patch with an unknown field, an author's typo, is a 500 without a reason.
        (500, None) => StatusKind::Malformed,
        (500, Some("InternalError")) => StatusKind::Internal,
        (404, _) => {
            StatusKind::NotFound { of: body["details"]["kind"].as_str().unwrap_or_default().to_owned() }
        }
        (410, _) => StatusKind::Expired,
        _ => of_text(status),
    }
}

fn is_denial(causes: &[Value]) -> bool {
    let bare = |cause: &Value| cause["reason"].as_str().is_none() && cause["field"].as_str().is_none();
    !causes.is_empty() && causes.iter().all(bare)
}

fn may_be_a_transition(cause: &Value) -> bool {
    matches!(cause["reason"].as_str(), Some("FieldValueInvalid" | "FieldValueForbidden"))
}

fn conflicts(causes: &[Value]) -> Vec<FieldConflict> {
    causes
        .iter()
        .filter(|cause| cause["reason"] == "FieldManagerConflict")
        .map(|cause| FieldConflict {
            field: cause["field"].as_str().unwrap_or("?").to_owned(),
            manager: manager(cause["message"].as_str().unwrap_or_default()),
        })
        .collect()
}

/// The server names the manager only in the message: `conflict with "kubectl" with subresource "scale" using apps/v1`.
/// It is shown, and decides nothing.
fn manager(message: &str) -> String {
    message.strip_prefix("conflict with ").unwrap_or(message).replace('"', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind(status: u16, body: &Value) -> StatusKind {
        classify(status, body.to_string().as_bytes()).kind
    }

    #[test]
    fn a_500_without_a_reason_is_a_typo_in_the_manifest() {
        let typo = json!({"kind": "Status", "status": "Failure", "code": 500,
            "message": "failed to create typed patch object (/u; apps/v1, Kind=Deployment): .spec.replicaz: field not declared in schema"});
        assert_eq!(kind(500, &typo), StatusKind::Malformed);
        let webhook = json!({"kind": "Status", "status": "Failure", "reason": "InternalError",
            "details": {"causes": [{"message": "failed calling webhook"}]}});
        assert_eq!(kind(500, &webhook), StatusKind::Internal);
    }

    #[test]
    fn a_conflict_names_field_and_manager() {
        let body = json!({"kind": "Status", "reason": "Conflict", "details": {"causes": [{
            "reason": "FieldManagerConflict", "field": ".spec.replicas",
            "message": "conflict with \"kubectl\" with subresource \"scale\" using apps/v1"}]}});
        let expected = FieldConflict {
            field: ".spec.replicas".into(),
            manager: "kubectl with subresource scale using apps/v1".into(),
        };
        assert_eq!(kind(409, &body), StatusKind::FieldConflict(vec![expected]));
        assert_eq!(kind(409, &json!({"kind": "Status", "reason": "Conflict"})), StatusKind::LostRace);
    }

    #[test]
    fn a_policys_422_differs_from_a_fields_422() {
        let policy =
            json!({"kind": "Status", "reason": "Invalid", "details": {"causes": [{"message": "denied"}]}});
        assert_eq!(kind(422, &policy), StatusKind::Denied);
        let field = json!({"kind": "Status", "reason": "Invalid", "details": {"causes": [
            {"reason": "FieldValueInvalid", "field": "spec.selector", "message": "m"}]}});
        assert_eq!(kind(422, &field), StatusKind::InvalidFields(vec!["spec.selector".into()]));
        let size = json!({"kind": "Status", "reason": "Invalid", "details": {"causes": [
            {"reason": "FieldValueTooLong", "field": "[]", "message": "m"}]}});
        assert_eq!(kind(422, &size), StatusKind::Malformed);
    }

    #[test]
    fn text_answers_are_classified() {
        assert_eq!(
            classify(429, b"Too many requests, please try again later.\n").kind,
            StatusKind::Throttled
        );
        assert_eq!(classify(404, b"404 page not found\n").kind, StatusKind::NoSuchPath);
        let frozen =
            br#"{"metadata":{},"status":"Failure","message":"Timeout","reason":"Timeout","code":504}"#;
        assert_eq!(classify(504, frozen).kind, StatusKind::UnknownOutcome);
    }

    /// The recording is not part of the repository. Without it the test is skipped, and counted.
    #[test]
    fn recorded_answers_of_a_real_server_are_classified() {
        let root = std::env::var_os("THINKUBE_SHARED").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
            Into::into,
        );
        let path = root.join("fixtures/apiserver-exchanges.json");
        let Ok(bytes) = std::fs::read(&path) else {
            return thinkube_test_cluster::skip(&format!("there is no recording at {}", path.display()));
        };
        let recording: Value = serde_json::from_slice(&bytes).unwrap();
        let mut compared = 0;
        for exchange in recording["exchanges"].as_array().unwrap() {
            let name = exchange["name"].as_str().unwrap();
            let Some(status) = exchange["response"]["status"].as_u64() else { continue };
            let body = match &exchange["response"]["body"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let kind = classify(status as u16, body.as_bytes()).kind;
            let kind = format!("{kind:?}");
            let kind = kind.split(['(', ' ']).next().unwrap();
            assert_eq!(kind, expected(name, status), "{name} ({status})");
            compared += 1;
        }
        assert!(compared > 100, "{compared}");
    }

    fn expected(name: &str, status: u64) -> &'static str {
        match name {
            _ if status < 300 => "Success",
            "ssa-conflict" | "ssa-conflict-with-scale" => "FieldConflict",
            "ssa-stale-rv" | "delete-wrong-uid" | "ssa-uid-absent-object" => "LostRace",
            "post-already-exists" => "AlreadyExists",
            "ssa-wrong-uid" | "ssa-invalid-value" | "ssa-invalid-update" | "ssa-invalid-name" => {
                "InvalidFields"
            }
            "probe-create-after-invalid" | "ssa-cr-cel-immutable" => "InvalidFields",
            "merge-patch-with-force" | "ssa-add-finalizer-on-terminating" => "InvalidFields",
            "vap-deny" | "vap-deny-dryrun" => "Denied",
            "ssa-missing-namespace" | "ssa-missing-namespace-dryrun" | "delete-not-found" => "NotFound",
            "ssa-unknown-kind" | "ssa-cr-before-established" | "ssa-cr-after-crd-gone" => "NoSuchPath",
            "ssa-create-in-terminating-namespace" => "Terminating",
            "429-max-in-flight" => "Throttled",
            "webhook-unreachable" => "Internal",
            "504-etcd-frozen" => "UnknownOutcome",
            _ if name.starts_with("ssa-immutable-") => "InvalidFields",
            _ if status == 403 => "Forbidden",
            _ => "Malformed",
        }
    }
}
