//! The audit log, by which tests count requests.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{At, Result};

/// A completed request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or the HTTP method in lower case for a
    /// path that is not a resource's.
    pub verb: String,
    /// Path and query.
    pub uri: String,
    /// The user's name.
    pub user: String,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// The HTTP status of the answer; 0 without an answer.
    pub code: u16,
    /// The resource's plural name; empty for a path that is not a resource's.
    pub resource: String,
    /// The subresource, `status` for example; often empty.
    pub subresource: String,
    /// The API group; empty for the core group.
    pub api_group: String,
    /// The object's namespace; empty for cluster-scoped ones.
    pub namespace: String,
    /// The object's name; empty where the request names none.
    pub name: String,
}

impl AuditEvent {
    /// Whether its verb writes. Whether it wrote depends on `code` and, for a dry run, on `uri`.
    pub fn is_write(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection" | "post" | "put"
        )
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    stage: String,
    #[serde(default)]
    verb: String,
    #[serde(default, rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: Object,
    #[serde(default)]
    response_status: Status,
}

#[derive(Deserialize, Default)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Object {
    resource: String,
    subresource: String,
    api_group: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    code: u16,
}

/// The log's length in bytes; 0 without a log.
pub(crate) fn end(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |metadata| metadata.len())
}

/// The requests that were completed after the offset. A watch is completed when it ends.
pub(crate) fn events(log: &Path, since: u64) -> Result<Vec<AuditEvent>> {
    let mut file = File::open(log).at(log)?;
    file.seek(SeekFrom::Start(since)).at(log)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).at(log)?;
    Ok(parse(&text))
}

fn parse(text: &[u8]) -> Vec<AuditEvent> {
    text.split(|byte| *byte == b'\n')
        // The last line may be half written.
        .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
        // A watch and an exec also have an event at their begin.
        .filter(|line| line.stage != "ResponseStarted")
        .map(|line| AuditEvent {
            verb: line.verb,
            uri: line.request_uri,
            user: line.user.username,
            user_agent: line.user_agent,
            code: line.response_status.code,
            resource: line.object_ref.resource,
            subresource: line.object_ref.subresource,
            api_group: line.object_ref.api_group,
            namespace: line.object_ref.namespace,
            name: line.object_ref.name,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_once_and_a_half_written_line_does_not() {
        let log = concat!(
            r#"{"stage":"ResponseComplete","requestURI":"/api/v1/namespaces/a/configmaps?dryRun=All","verb":"create","#,
            r#""user":{"username":"u","groups":["g"]},"userAgent":"t/1","objectRef":{"resource":"configmaps","#,
            r#""namespace":"a","name":"c","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":201}}"#,
            "\n",
            r#"{"stage":"ResponseStarted","requestURI":"/api/v1/pods?watch=1","verb":"watch","user":{"username":"u"}}"#,
            "\n",
            r#"{"stage":"ResponseComplete","requestURI":"/api/v1/pods?watch=1","verb":"watch","user":{"username":"u"}}"#,
            "\n",
            r#"{"stage":"ResponseComplete","requestURI":"/healthz","verb":"ge"#,
        );
        let events = parse(log.as_bytes());
        assert_eq!(events.len(), 2);
        assert!(events[0].is_write());
        assert_eq!((events[0].code, events[0].name.as_str()), (201, "c"));
        assert!(!events[1].is_write());
    }
}
