//! Rules for names, one function for each rule, so that two crates cannot disagree about one name.

/// Longest name of a release, in characters. It is Helm's limit.
///
/// The host makes Secrets and a Lease called `release-NAME`, and a label of a DNS name has at most 63 characters. Ten
/// characters also leave plugins room for suffixes of their own.
pub const MAX_RELEASE_NAME: usize = 53;

/// Whether `name` is a DNS label (RFC 1123): 1 to 63 of `a-z`, `0-9` and `-`, without `-` at either end.
///
/// ```
/// assert!(thinkube_plan::is_dns_label("stage-1"));
/// assert!(!thinkube_plan::is_dns_label("Stage.1"));
/// ```
pub fn is_dns_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Whether `name` is a DNS label of RFC 1035: one of RFC 1123 that begins with a letter. Plural names and versions of custom
/// resources must be such labels.
pub fn is_rfc1035_label(name: &str) -> bool {
    is_dns_label(name) && name.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Whether `name` is a DNS subdomain (RFC 1123): DNS labels with dots between them, at most 253 characters.
pub fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_label)
}

/// Whether `name` can name a release: a DNS label of at most [`MAX_RELEASE_NAME`] characters.
pub fn is_release_name(name: &str) -> bool {
    is_dns_label(name) && name.len() <= MAX_RELEASE_NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_label_has_small_letters_digits_and_inner_hyphens() {
        for (name, valid) in
            [("a", true), ("stage-1", true), ("1a", true), ("", false), ("-a", false), ("a-", false)]
        {
            assert_eq!(is_dns_label(name), valid, "{name}");
        }
        for wrong in ["A", "a.b", "a/b", "ä"] {
            assert!(!is_dns_label(wrong), "{wrong}");
        }
        assert!(is_dns_label(&"a".repeat(63)) && !is_dns_label(&"a".repeat(64)));
    }

    #[test]
    fn an_rfc_1035_label_begins_with_a_letter() {
        assert!(is_rfc1035_label("deployments") && is_rfc1035_label("v1beta1") && is_rfc1035_label("a-1"));
        for wrong in ["", "1a", "a-", "A", "a.b", "a/b", "a?b", "a#", "..", &"a".repeat(64)] {
            assert!(!is_rfc1035_label(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_dns_subdomain_is_labels_with_dots_between_them() {
        assert!(is_dns_subdomain("cert-manager.io") && is_dns_subdomain("3scale.net"));
        for wrong in ["", ".", "..", "a..b", "a.b/", "a.-b", "a.b?", "A.b", "a.b#", &"a.".repeat(127)] {
            assert!(!is_dns_subdomain(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_release_name_leaves_room_for_the_names_made_from_it() {
        for good in ["devpi", "a", "a-1", &"a".repeat(53)] {
            assert!(is_release_name(good), "{good}");
            assert!(is_dns_label(&format!("release-{good}")), "{good}");
        }
        for wrong in ["", "-a", "a-", "A", "a.b", "a/b", &"a".repeat(54)] {
            assert!(!is_release_name(wrong), "{wrong}");
        }
    }
}
