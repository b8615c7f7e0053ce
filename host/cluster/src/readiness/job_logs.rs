//! The last log lines of a failed Job, without secret values.

use crate::api::client::Client;
use crate::api::confidential::is_confidential;
use crate::api::request::ApiRequest;
use crate::api::resource::{ApiResource, array};
use crate::progress::ignore;
use crate::readiness::explain::selector;
use crate::readiness::redact::redact;
use crate::secrets::value::{Bytes, value_of};
use serde_json::Value;
use thinkube_plan::SecretInputs;
use zeroize::Zeroizing;

/// What is read of each container's log.
const MAX_LINES: usize = 10;
const MAX_BYTES: usize = 4096;

/// The last lines of the containers of a Job's newest pod. Empty for any other object, and where logs may not be read.
pub(crate) async fn job_logs(client: &Client, job: &Value, secrets: &[Bytes]) -> Vec<String> {
    let namespace = job["metadata"]["namespace"].as_str().unwrap_or_default();
    let (true, Some(selector)) = (job["kind"] == "Job", selector(job)) else { return Vec::new() };
    let selectors = [("labelSelector", selector.as_str())];
    let pods = client.list(&ApiResource::pod(), Some(namespace), &selectors, false).await.unwrap_or_default();
    // The newest pod is the one that failed last.
    let Some(pod) = pods.iter().max_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str()) else {
        return Vec::new();
    };
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let lists = ["initContainerStatuses", "containerStatuses"];
    let mut logs = Vec::new();
    for container in lists.iter().flat_map(|list| array(&pod["status"][*list])) {
        let container = container["name"].as_str().unwrap_or_default();
        let request = ApiRequest::log(namespace, name, container, MAX_LINES, MAX_BYTES);
        let Ok(response) = client.request(&request, &ignore).await else { continue };
        if response.code != 200 {
            continue;
        }
        let text = redact(&String::from_utf8_lossy(whole_lines(&response.body)), secrets);
        let lines = text.lines().map(|line| format!("log of container {container}: {line}"));
        logs.extend(lines.take(MAX_LINES));
    }
    logs
}

/// The secret values that a log may repeat: the inputs, and the values of the release's Secrets.
pub(crate) fn secret_values<'a>(inputs: &SecretInputs, live: impl Iterator<Item = &'a Value>) -> Vec<Bytes> {
    let inputs = inputs.names().filter_map(|name| inputs.get(name));
    let mut values: Vec<_> = inputs.map(|input| Zeroizing::new(input.expose().as_bytes().to_vec())).collect();
    for object in live.filter(|object| is_confidential(object)) {
        let keys = object["data"].as_object().into_iter().flat_map(|data| data.keys());
        let found = keys.filter_map(|key| value_of(object, key));
        // A text of several lines in a confidential ConfigMap is public but for the secrets in it, which are keys too.
        values.extend(found.filter(|value| object["kind"] == "Secret" || !value.contains(&b'\n')));
    }
    values
}

/// The log without a last line that the server cut off, which may end within a secret.
fn whole_lines(log: &[u8]) -> &[u8] {
    let end = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if log.len() < MAX_BYTES { log } else { &log[..end] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_left_out() {
        assert_eq!(whole_lines(b"whole\nhunter"), b"whole\nhunter");
        let cut = [b"whole\n".to_vec(), vec![b'x'; MAX_BYTES]].concat();
        assert_eq!(whole_lines(&cut[..MAX_BYTES]), b"whole\n");
    }
}
