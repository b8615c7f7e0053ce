//! What the containers of a Job that failed said last, without any secret.

use crate::api::client::ApiRequest;
use crate::apply::run::Apply;
use crate::diff::normalize::is_confidential;
use crate::discovery::{ApiResource, array};
use crate::progress::quiet;
use crate::readiness::wait::selector;
use crate::secrets::compose::value_of;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::Value;
use zeroize::Zeroizing;

/// What is read of a container's log, and shown of it.
const LAST_LINES: usize = 10;
const LAST_BYTES: usize = 4096;
/// Shorter values of Secrets are words like `admin`, which would make a message unreadable.
const SHORTEST_SECRET: usize = 4;
/// A line of a longer value is often a word of its format: `[global]`, `}`, `name: x`.
const SHORTEST_LINE: usize = 8;

impl Apply<'_> {
    /// The last lines that the containers of a Job said, without any value of the release's Secrets and of the inputs.
    pub(crate) async fn last_words(&self, job: &Value) -> Vec<String> {
        let namespace = job["metadata"]["namespace"].as_str().unwrap_or_default();
        let (true, Some(selector)) = (job["kind"] == "Job", selector(job)) else { return Vec::new() };
        let pods = self
            .cluster
            .list(&ApiResource::pod(), Some(namespace), &[("labelSelector", &selector)], false)
            .await;
        let secrets = self.secret_values();
        let mut words = Vec::new();
        // The youngest pod is the one that failed last.
        let pods = pods.unwrap_or_default();
        let youngest = pods.iter().max_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str());
        if let Some(pod) = youngest {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let lists = ["initContainerStatuses", "containerStatuses"];
            for container in lists.iter().flat_map(|list| array(&pod["status"][*list])) {
                let container = container["name"].as_str().unwrap_or_default();
                let ask = ApiRequest::log(namespace, name, container, LAST_LINES, LAST_BYTES);
                // Who may not read logs still learns that it failed.
                let Ok(reply) = self.cluster.call(&ask, &quiet).await else { continue };
                if reply.status != 200 {
                    continue;
                }
                let text = masked(&String::from_utf8_lossy(whole_lines(&reply.body)), &secrets);
                let lines = text.lines().map(|line| format!("{container} said: {line}"));
                words.extend(lines.take(LAST_LINES));
            }
        }
        words
    }

    fn secret_values(&self) -> Vec<Zeroizing<Vec<u8>>> {
        let inputs = self.values.inputs.names().filter_map(|name| self.values.inputs.get(name));
        let mut values: Vec<_> =
            inputs.map(|input| Zeroizing::new(input.expose().as_bytes().to_vec())).collect();
        for secret in self.live.values().filter(|object| is_confidential(object)) {
            let keys = secret["data"].as_object().into_iter().flat_map(|data| data.keys());
            let found = keys.filter_map(|key| value_of(secret, key));
            // A text in a ConfigMap that secrets were put into is open but for those, which are keys of their own.
            values.extend(found.filter(|value| secret["kind"] == "Secret" || !value.contains(&b'\n')));
        }
        values
    }
}

/// Without the line that the server cut off, which may end within a secret.
fn whole_lines(log: &[u8]) -> &[u8] {
    let end = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if log.len() < LAST_BYTES { log } else { &log[..end] }
}

/// `text` without any of `secrets`, whole, by their lines or in base64.
fn masked(text: &str, secrets: &[Zeroizing<Vec<u8>>]) -> String {
    // What overlaps is found in what was said, not in what is left of it: no half of a secret stays.
    let mut hidden = vec![false; text.len()];
    for shape in secrets.iter().flat_map(|secret| shapes(secret)) {
        for (start, found) in text.match_indices(shape.as_str()) {
            hidden[start..start + found.len()].fill(true);
        }
    }
    let mut masked = String::new();
    let mut before = false;
    for (at, character) in text.char_indices() {
        match hidden[at] {
            false => masked.push(character),
            true if before => {}
            true => masked.push_str("(a secret)"),
        }
        before = hidden[at];
    }
    masked
}

/// The texts by which a container may say a secret.
fn shapes(secret: &[u8]) -> Vec<Zeroizing<String>> {
    let text = Zeroizing::new(String::from_utf8_lossy(secret).into_owned());
    let whole = text.trim();
    if whole.len() < SHORTEST_SECRET {
        return Vec::new();
    }
    let lines = whole.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
    let plain = [whole].into_iter().chain(lines).map(|text| Zeroizing::new(text.to_owned()));
    // Programs decode a Secret's value with the end of its last line and without.
    let encoded = [secret, secret.trim_ascii()].into_iter().flat_map(|secret| {
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .map(|base64| Zeroizing::new(base64.encode(secret)))
    });
    // As `base64` breaks lines (76, RFC 2045) and openssl does (64, RFC 7468), and as JSON writes text.
    let broken = [64, 76].into_iter().flat_map(|width| {
        let encoded = Zeroizing::new(STANDARD.encode(secret));
        let lines = encoded.as_bytes().chunks(width).filter(|line| line.len() >= SHORTEST_LINE);
        lines.map(|line| Zeroizing::new(String::from_utf8_lossy(line).into_owned())).collect::<Vec<_>>()
    });
    let quoted = Zeroizing::new(serde_json::Value::from(whole).to_string());
    let quoted = Zeroizing::new(quoted[1..quoted.len() - 1].to_owned());
    plain.chain(encoded).chain(broken).chain([quoted]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, secrets: &[&str]) -> String {
        let secrets: Vec<_> =
            secrets.iter().map(|secret| Zeroizing::new(secret.as_bytes().to_vec())).collect();
        masked(text, &secrets)
    }

    #[test]
    fn what_a_container_said_holds_no_secret() {
        let secrets = ["hunter2", "hunter2-and-more", "a"];
        assert_eq!(said("at hunter2-and-more: hunter2\n", &secrets), "at (a secret): (a secret)\n");
    }

    #[test]
    fn a_line_of_a_secret_is_hidden_as_the_whole_is() {
        let key = "-----BEGIN KEY-----\r\nMIIEvQIBADANBg\r\n  b0QWRtaW4xMjM=\r\n-----END KEY-----\r\n";
        let text = "bad key: b0QWRtaW4xMjM=\n{\"key\":\"-----BEGIN KEY-----\\nMIIEvQIBADANBg\\n\"}";
        assert_eq!(said(text, &[key]), "bad key: (a secret)\n{\"key\":\"(a secret)\\n(a secret)\\n\"}");
        assert_eq!(said(&key.replace('\r', ""), &[key]).matches("(a secret)").count(), 4);
    }

    #[test]
    fn a_secret_in_base64_is_hidden_however_it_is_written() {
        // Its encodings have both characters in which the alphabets differ, and padding.
        let secret = "\u{ff}>>>\u{3f}\u{3f}p";
        let shapes =
            [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|base64| base64.encode(secret));
        assert!(shapes[0].contains(['+', '/']) && shapes[0].ends_with('='), "{shapes:?}");
        for shape in &shapes {
            assert_eq!(said(&format!("token={shape};"), &[secret]), "token=(a secret);");
            assert_eq!(said(&format!("token={shape};"), &[&format!("{secret}\n")]), "token=(a secret);");
        }
        // What is no text is said in base64 alone.
        let binary = Zeroizing::new(vec![0xff, 0xfe, 0x00, 0x01, 0x80]);
        assert_eq!(masked("//4AAYA=", &[binary]), "(a secret)");
    }

    #[test]
    fn a_secret_is_hidden_as_json_writes_it_and_in_lines_of_base64() {
        assert_eq!(said(r#"{"value": "a\"bcdef"}"#, &["a\"bcdef"]), r#"{"value": "(a secret)"}"#);
        let long =
            "a long secret of which base64 makes several lines, for it is longer than fifty-seven bytes";
        let encoded = STANDARD.encode(long);
        for width in [64, 76] {
            let (first, rest) = encoded.split_at(width);
            assert_eq!(said(&format!("{first}\n{rest}\n"), &[long]), "(a secret)\n(a secret)\n");
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_out() {
        assert_eq!(whole_lines(b"whole\nhunter"), b"whole\nhunter");
        let cut = [b"whole\n".to_vec(), vec![b'x'; LAST_BYTES]].concat();
        assert_eq!(whole_lines(&cut[..LAST_BYTES]), b"whole\n");
    }

    #[test]
    fn secrets_that_overlap_leave_no_half_of_one() {
        assert_eq!(said("abcdefghij", &["abcdefg", "defghij"]), "(a secret)");
        assert_eq!(said("the secret is hunter2", &["secret", "hunter2"]), "the (a secret) is (a secret)");
    }

    #[test]
    fn short_values_and_short_lines_blank_out_nothing() {
        let text = "error: { name: true } in line 3 of a\n\nyYQ==";
        for secret in ["", "\n", "a", "in", " \n \n", "{\n  name:\n}\nlonger than most", "é"] {
            assert_eq!(said(text, &[secret]), text, "{secret:?}");
        }
        assert_eq!(said("ääää", &["äää"]), "(a secret)ä");
    }
}
