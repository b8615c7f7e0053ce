//! Removes secret values from text: whole, line by line, in Base64, and as JSON writes them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::Value;
use zeroize::Zeroizing;

/// Bytes of the shortest value that is hidden. A shorter one is a word like `admin` that a message needs.
const MIN_SECRET: usize = 4;
/// Bytes of the shortest line of a longer value that is hidden. A shorter one is often a word of its format: `[global]`, `}`.
const MIN_LINE: usize = 8;
const REPLACEMENT: &str = "(a secret)";

/// `text` with every secret replaced.
pub(crate) fn redact(text: &str, secrets: &[Zeroizing<Vec<u8>>]) -> String {
    // Positions are found in the original text, so that no half of an overlapping secret remains.
    let mut hidden = vec![false; text.len()];
    for shape in secrets.iter().flat_map(|secret| shapes(secret)) {
        for (start, found) in text.match_indices(shape.as_str()) {
            hidden[start..start + found.len()].fill(true);
        }
    }
    let mut redacted = String::new();
    let mut was_hidden = false;
    for (at, character) in text.char_indices() {
        match hidden[at] {
            false => redacted.push(character),
            true if was_hidden => {}
            true => redacted.push_str(REPLACEMENT),
        }
        was_hidden = hidden[at];
    }
    redacted
}

/// The texts by which a log may repeat a secret.
fn shapes(secret: &[u8]) -> Vec<Zeroizing<String>> {
    let text = Zeroizing::new(String::from_utf8_lossy(secret).into_owned());
    let whole = text.trim();
    if whole.len() < MIN_SECRET {
        return Vec::new();
    }
    let lines = whole.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE);
    let plain = [whole].into_iter().chain(lines).map(|text| Zeroizing::new(text.to_owned()));
    // Programs encode a value with and without its last line break.
    let encoded = [secret, secret.trim_ascii()].into_iter().flat_map(|secret| {
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .map(|base64| Zeroizing::new(base64.encode(secret)))
    });
    // `base64` breaks lines at 76 characters (RFC 2045), openssl at 64 (RFC 7468).
    let broken = [64, 76].into_iter().flat_map(|width| {
        let encoded = Zeroizing::new(STANDARD.encode(secret));
        let lines = encoded.as_bytes().chunks(width).filter(|line| line.len() >= MIN_LINE);
        lines.map(|line| Zeroizing::new(String::from_utf8_lossy(line).into_owned())).collect::<Vec<_>>()
    });
    let quoted = Zeroizing::new(Value::from(whole).to_string());
    let quoted = Zeroizing::new(quoted[1..quoted.len() - 1].to_owned());
    plain.chain(encoded).chain(broken).chain([quoted]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str, secrets: &[&str]) -> String {
        let secrets: Vec<_> =
            secrets.iter().map(|secret| Zeroizing::new(secret.as_bytes().to_vec())).collect();
        redact(text, &secrets)
    }

    #[test]
    fn a_log_holds_no_secret() {
        let secrets = ["hunter2", "hunter2-and-more", "a"];
        assert_eq!(redacted("at hunter2-and-more: hunter2\n", &secrets), "at (a secret): (a secret)\n");
    }

    #[test]
    fn a_line_of_a_secret_is_hidden() {
        let key = "-----BEGIN KEY-----\r\nMIIEvQIBADANBg\r\n  b0QWRtaW4xMjM=\r\n-----END KEY-----\r\n";
        let text = "bad key: b0QWRtaW4xMjM=\n{\"key\":\"-----BEGIN KEY-----\\nMIIEvQIBADANBg\\n\"}";
        assert_eq!(redacted(text, &[key]), "bad key: (a secret)\n{\"key\":\"(a secret)\\n(a secret)\\n\"}");
        assert_eq!(redacted(&key.replace('\r', ""), &[key]).matches("(a secret)").count(), 4);
    }

    #[test]
    fn a_secret_in_any_base64_alphabet_is_hidden() {
        // Its encodings have both characters in which the alphabets differ, and padding.
        let secret = "\u{ff}>>>\u{3f}\u{3f}p";
        let shapes =
            [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|base64| base64.encode(secret));
        assert!(shapes[0].contains(['+', '/']) && shapes[0].ends_with('='), "{shapes:?}");
        for shape in &shapes {
            assert_eq!(redacted(&format!("token={shape};"), &[secret]), "token=(a secret);");
            assert_eq!(redacted(&format!("token={shape};"), &[&format!("{secret}\n")]), "token=(a secret);");
        }
        // A value that is not text appears only in Base64.
        let binary = Zeroizing::new(vec![0xff, 0xfe, 0x00, 0x01, 0x80]);
        assert_eq!(redact("//4AAYA=", &[binary]), "(a secret)");
    }

    #[test]
    fn a_secret_in_json_or_broken_base64_is_hidden() {
        assert_eq!(redacted(r#"{"value": "a\"bcdef"}"#, &["a\"bcdef"]), r#"{"value": "(a secret)"}"#);
        let long =
            "a long secret of which base64 makes several lines, for it is longer than fifty-seven bytes";
        let encoded = STANDARD.encode(long);
        for width in [64, 76] {
            let (first, rest) = encoded.split_at(width);
            assert_eq!(redacted(&format!("{first}\n{rest}\n"), &[long]), "(a secret)\n(a secret)\n");
        }
    }

    #[test]
    fn overlapping_secrets_leave_no_half_of_one() {
        assert_eq!(redacted("abcdefghij", &["abcdefg", "defghij"]), "(a secret)");
        assert_eq!(redacted("the secret is hunter2", &["secret", "hunter2"]), "the (a secret) is (a secret)");
    }

    #[test]
    fn short_values_and_short_lines_are_not_hidden() {
        let text = "error: { name: true } in line 3 of a\n\nyYQ==";
        for secret in ["", "\n", "a", "in", " \n \n", "{\n  name:\n}\nlonger than most", "é"] {
            assert_eq!(redacted(text, &[secret]), text, "{secret:?}");
        }
        assert_eq!(redacted("ääää", &["äää"]), "(a secret)ä");
    }
}
