//! The origin of a URL, as the permission gate compares it. The HTTP client parses with the same crate (`url`), so the gate
//! and the client cannot read one URL in two ways.

use url::Url;

/// The origin of an HTTP URL: `SCHEME://HOST`, and the port unless it is the scheme's default. None for any other text, and
/// for a URL with user information, because `https://granted.example@evil.example` only looks like the granted origin.
///
/// ```
/// use thinkube_plan::origin;
/// assert_eq!(origin("https://A.example:8443/x?y").as_deref(), Some("https://a.example:8443"));
/// assert_eq!(origin("https://granted.example@evil.example"), None);
/// assert_eq!(origin("ftp://a.example"), None);
/// ```
pub fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    (matches!(url.scheme(), "http" | "https") && !has_user).then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_in_one_spelling() {
        for (url, expected) in [
            ("https://a.io", Some("https://a.io")),
            ("HTTPS://A.io:443/x#y", Some("https://a.io")),
            ("http://a.io:8080", Some("http://a.io:8080")),
            ("https://a.io\\@b.io/", Some("https://a.io")),
            ("https://a.io@b.io/", None),
            ("https://:x@b.io/", None),
            ("https://", None),
            ("a.io", None),
            ("", None),
        ] {
            assert_eq!(origin(url).as_deref(), expected, "{url}");
        }
    }
}
