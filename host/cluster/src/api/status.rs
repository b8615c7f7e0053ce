use crate::error::FieldConflict;
use serde_json::Value;

/// What an answer of the API server means. Decided by status, reason and causes, never by the text of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StatusKind {
    Done,
    /// Other managers hold fields.
    Conflict(Vec<FieldConflict>),
    /// The object is not the one, or not in the state, that the request named.
    LostRace,
    AlreadyExists,
    /// The server refuses values. It may be for what they are, or for what they were before: only a create tells.
    Refused(Vec<String>),
    /// A ValidatingAdmissionPolicy or webhook.
    Denied,
    /// Wrong for good, whatever is there: what was sent has to change.
    Wrong,
    /// The object is not there; or its namespace, if `of` is `namespaces`.
    Absent {
        of: String,
    },
    /// The server has no such path: the kind is not served.
    NoSuchPath,
    /// The namespace goes away.
    Terminating,
    Forbidden,
    Unauthorized,
    /// Not processed: safe to send again.
    Throttled,
    /// A webhook or etcd failed; it may be over soon.
    Internal,
    Unavailable,
    /// It may have been done.
    UnknownOutcome,
    /// A continue token that is too old.
    Expired,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiStatus {
    pub(crate) class: StatusKind,
    pub(crate) reason: Option<String>,
    pub(crate) message: String,
    /// The fields that the causes name.
    pub(crate) fields: Vec<String>,
}

pub(crate) fn classify(status: u16, body: &[u8]) -> ApiStatus {
    if status < 300 {
        return ApiStatus {
            class: StatusKind::Done,
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
        return ApiStatus { class: of_text(status), reason: None, message: text, fields: Vec::new() };
    };
    let reason = parsed["reason"].as_str().filter(|reason| !reason.is_empty()).map(str::to_owned);
    let causes = parsed["details"]["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut fields: Vec<String> =
        causes.iter().filter_map(|cause| cause["field"].as_str()).map(str::to_owned).collect();
    fields.dedup();
    ApiStatus {
        class: of_status(status, reason.as_deref(), causes, &parsed, &fields),
        reason,
        message: parsed["message"].as_str().unwrap_or_default().to_owned(),
        fields,
    }
}

fn of_text(status: u16) -> StatusKind {
    match status {
        400 | 413 | 415 | 422 => StatusKind::Wrong,
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
        (409, _) if has("FieldManagerConflict") => StatusKind::Conflict(conflicts(causes)),
        (409, _) => StatusKind::LostRace,
        (422, _) if is_denial(causes) => StatusKind::Denied,
        (422, _) if !causes.is_empty() && causes.iter().all(may_be_a_transition) => {
            StatusKind::Refused(fields.to_vec())
        }
        (400 | 413 | 415 | 422, _) => StatusKind::Wrong,
        (403, _) if has("NamespaceTerminating") => StatusKind::Terminating,
        // A typed patch that fails, which is the author's typo, is a 500 without a reason.
        (500, None) => StatusKind::Wrong,
        (500, Some("InternalError")) => StatusKind::Internal,
        (404, _) => {
            StatusKind::Absent { of: body["details"]["kind"].as_str().unwrap_or_default().to_owned() }
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
            manager: holder(cause["message"].as_str().unwrap_or_default()),
        })
        .collect()
}

/// The holder's name is nowhere but in the message: `conflict with "kubectl" with subresource "scale" using apps/v1`.
/// It is only shown, nothing is decided by it.
fn holder(message: &str) -> String {
    message.strip_prefix("conflict with ").unwrap_or(message).replace('"', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn class(status: u16, body: &Value) -> StatusKind {
        classify(status, body.to_string().as_bytes()).class
    }

    #[test]
    fn a_500_without_a_reason_is_the_authors_typo_and_one_with_a_reason_is_not() {
        let typo = json!({"kind": "Status", "status": "Failure", "code": 500,
            "message": "failed to create typed patch object (/u; apps/v1, Kind=Deployment): .spec.replicaz: field not declared in schema"});
        assert_eq!(class(500, &typo), StatusKind::Wrong);
        let webhook = json!({"kind": "Status", "status": "Failure", "reason": "InternalError",
            "details": {"causes": [{"message": "failed calling webhook"}]}});
        assert_eq!(class(500, &webhook), StatusKind::Internal);
    }

    #[test]
    fn a_conflict_names_field_and_holder() {
        let body = json!({"kind": "Status", "reason": "Conflict", "details": {"causes": [{
            "reason": "FieldManagerConflict", "field": ".spec.replicas",
            "message": "conflict with \"kubectl\" with subresource \"scale\" using apps/v1"}]}});
        let expected = FieldConflict {
            field: ".spec.replicas".into(),
            manager: "kubectl with subresource scale using apps/v1".into(),
        };
        assert_eq!(class(409, &body), StatusKind::Conflict(vec![expected]));
        assert_eq!(class(409, &json!({"kind": "Status", "reason": "Conflict"})), StatusKind::LostRace);
    }

    #[test]
    fn a_policys_422_is_told_from_a_fields_422() {
        let policy =
            json!({"kind": "Status", "reason": "Invalid", "details": {"causes": [{"message": "denied"}]}});
        assert_eq!(class(422, &policy), StatusKind::Denied);
        let field = json!({"kind": "Status", "reason": "Invalid", "details": {"causes": [
            {"reason": "FieldValueInvalid", "field": "spec.selector", "message": "m"}]}});
        assert_eq!(class(422, &field), StatusKind::Refused(vec!["spec.selector".into()]));
        let size = json!({"kind": "Status", "reason": "Invalid", "details": {"causes": [
            {"reason": "FieldValueTooLong", "field": "[]", "message": "m"}]}});
        assert_eq!(class(422, &size), StatusKind::Wrong);
    }

    #[test]
    fn text_answers_have_a_class_too() {
        assert_eq!(
            classify(429, b"Too many requests, please try again later.\n").class,
            StatusKind::Throttled
        );
        assert_eq!(classify(404, b"404 page not found\n").class, StatusKind::NoSuchPath);
        let frozen =
            br#"{"metadata":{},"status":"Failure","message":"Timeout","reason":"Timeout","code":504}"#;
        assert_eq!(classify(504, frozen).class, StatusKind::UnknownOutcome);
    }

    /// The recording is not a part of the project: without it the test is counted as skipped.
    #[test]
    fn the_recorded_answers_of_a_real_server_get_the_classes_of_the_fact_sheet() {
        let root = std::env::var_os("THINKUBE_SHARED").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
            Into::into,
        );
        let path = root.join("fixtures/apiserver-exchanges.json");
        let Ok(bytes) = std::fs::read(&path) else {
            return thinkube_test_cluster::skip(&format!("there is no recording at {}", path.display()));
        };
        let recording: Value = serde_json::from_slice(&bytes).unwrap();
        let mut seen = 0;
        for exchange in recording["exchanges"].as_array().unwrap() {
            let name = exchange["name"].as_str().unwrap();
            let Some(status) = exchange["response"]["status"].as_u64() else { continue };
            let body = match &exchange["response"]["body"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let class = classify(status as u16, body.as_bytes()).class;
            let kind = format!("{class:?}");
            let kind = kind.split(['(', ' ']).next().unwrap();
            assert_eq!(kind, expected(name, status), "{name} ({status})");
            seen += 1;
        }
        assert!(seen > 100, "{seen}");
    }

    fn expected(name: &str, status: u64) -> &'static str {
        match name {
            _ if status < 300 => "Done",
            "ssa-conflict" | "ssa-conflict-with-scale" => "Conflict",
            "ssa-stale-rv" | "delete-wrong-uid" | "ssa-uid-absent-object" => "LostRace",
            "post-already-exists" => "AlreadyExists",
            "ssa-wrong-uid" | "ssa-invalid-value" | "ssa-invalid-update" | "ssa-invalid-name" => "Refused",
            "probe-create-after-invalid" | "ssa-cr-cel-immutable" => "Refused",
            "merge-patch-with-force" | "ssa-add-finalizer-on-terminating" => "Refused",
            "vap-deny" | "vap-deny-dryrun" => "Denied",
            "ssa-missing-namespace" | "ssa-missing-namespace-dryrun" | "delete-not-found" => "Absent",
            "ssa-unknown-kind" | "ssa-cr-before-established" | "ssa-cr-after-crd-gone" => "NoSuchPath",
            "ssa-create-in-terminating-namespace" => "Terminating",
            "429-max-in-flight" => "Throttled",
            "webhook-unreachable" => "Internal",
            "504-etcd-frozen" => "UnknownOutcome",
            _ if name.starts_with("ssa-immutable-") => "Refused",
            _ if status == 403 => "Forbidden",
            _ => "Wrong",
        }
    }
}
