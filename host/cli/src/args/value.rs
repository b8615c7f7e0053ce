//! Parsers for values of options.

use std::net::IpAddr;
use std::time::Duration;
use thinkube_engine::model::is_dns_label;

const MAX_TIMEOUT_SECONDS: u64 = 86_400;

/// `NAME=VALUE`.
pub(crate) fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// `HOST=ADDRESS`.
pub(crate) fn parse_resolve(text: &str) -> Result<(String, IpAddr), String> {
    let expected = "expected HOST=ADDRESS";
    let (host, address) = text.split_once('=').filter(|(host, _)| !host.is_empty()).ok_or(expected)?;
    let address = address.parse().map_err(|_| format!("`{address}` is not a valid IP address"))?;
    Ok((host.to_owned(), address))
}

/// A whole number of seconds, minutes (`m`) or hours (`h`), at most a day.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number with s, m or h, for example 90s".to_owned();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| expected())?;
    let seconds = match unit {
        "" | "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| (1..=MAX_TIMEOUT_SECONDS).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(expected)
}

/// A Kubernetes version, `MAJOR.MINOR`.
pub(crate) fn parse_version(text: &str) -> Result<String, String> {
    let number =
        |part: &str| !part.is_empty() && part.len() < 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((major, minor)) if number(major) && number(minor) => Ok(text.to_owned()),
        _ => Err("expected MAJOR.MINOR, for example 1.34".to_owned()),
    }
}

/// A namespace: a DNS label (RFC 1123).
pub(crate) fn parse_namespace(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err("expected a DNS label (RFC 1123): a-z, 0-9 and `-`, at most 63 characters".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        assert_eq!(parse_time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "0s", "-1s", "5d", "1000h", "99999999999999999999s"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_for_a_host_is_an_ip_address() {
        assert_eq!(parse_resolve("a.test=10.0.0.1"), Ok(("a.test".into(), IpAddr::from([10, 0, 0, 1]))));
        for wrong in ["", "a.test", "=10.0.0.1", "a.test=", "a.test=b.test"] {
            assert!(parse_resolve(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn versions_and_namespaces_are_checked() {
        assert_eq!(parse_version("1.34"), Ok("1.34".into()));
        assert!(parse_namespace("a-b").is_ok() && parse_namespace("A B").is_err());
        for wrong in ["", "1", "1.", "v1.34", "1.34.4", "banana"] {
            assert!(parse_version(wrong).is_err(), "{wrong}");
        }
    }
}
