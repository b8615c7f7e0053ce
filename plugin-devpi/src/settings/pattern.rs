//! Regular expressions of settings. Each excludes whatever a shell, a URL or CEL could read as more than text.

/// A DNS label: RFC 1123, at most 63 characters. DNS and certificates allow no longer label.
macro_rules! label {
    () => {
        "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
    };
}
/// The name of most objects: labels of any length; `length` limits the whole to 253 characters.
macro_rules! subdomain {
    () => {
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
    };
}
/// RFC 1123, like the hosts of an Ingress.
macro_rules! host {
    () => {
        concat!(label!(), r"(\.", label!(), ")*")
    };
}
macro_rules! registry {
    () => {
        concat!(host!(), "(:[0-9]{1,5})?")
    };
}
/// The origin of a URL, with capital letters too.
macro_rules! origin {
    () => {
        r"https://[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*(:[0-9]{1,5})?"
    };
}

pub(super) const HOST: &str = concat!("^", host!(), "$");
pub(super) const DNS_LABEL: &str = concat!("^", label!(), "$");
/// RFC 1035: the name of a Service begins with a letter.
pub(super) const SERVICE: &str = "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$";
pub(super) const SUBDOMAIN: &str = concat!("^", subdomain!(), "$");
/// NAMESPACE/NAME.
pub(super) const SECRET: &str = concat!("^", label!(), "/", subdomain!(), "$");
/// Narrower than devpi, which allows spaces: the name becomes part of URLs and of pip's configuration.
pub(super) const INDEX: &str = r"^[A-Za-z0-9][A-Za-z0-9._-]*$";
pub(super) const REGISTRY: &str = concat!("^", registry!(), "$");
pub(super) const PROJECT: &str = r"^[a-z0-9]+([._-][a-z0-9]+)*$";
/// With its registry, because nodes resolve a short name differently.
pub(super) const IMAGE: &str = concat!(
    "^",
    registry!(),
    r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@sha256:[0-9a-f]{64})?$"
);
pub(super) const TAG: &str = "^[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}$";
pub(super) const QUANTITY: &str = r"^[1-9][0-9]*([kMGTPE]|[KMGTPE]i)?$";
/// Without a trailing slash, so that paths can be appended.
pub(super) const URL: &str = concat!("^", origin!(), "(/[A-Za-z0-9._~-]+)*$");
pub(super) const GIT: &str = concat!("^(", origin!(), "|file://)(/[A-Za-z0-9._~-]+)+$");
pub(super) const REVISION: &str = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$";
/// An absolute path without `.` and `..`; hidden folders are allowed.
pub(super) const PATH: &str = r"^(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*)+$";
pub(super) const DOCKERFILE: &str = r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$";
/// A user, a client or a realm whose name needs no escaping.
pub(super) const NAME: &str = r"^[A-Za-z0-9][A-Za-z0-9._-]*$";
