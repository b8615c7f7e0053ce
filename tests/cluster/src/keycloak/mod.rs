//! Keycloak, the identity provider of the platform: one realm with one user. The installer of a service makes its client.
//!
//! The distribution comes from Maven Central, and is started once when it is put into the cache. Every cluster begins with the
//! result of that start: the database with the realm, the realm as a document for `reset`, and an archive of loaded classes. So
//! a cluster waits 4 s for Keycloak instead of 12. The realm's signing keys are the same in all clusters of this machine; each
//! cluster has its own passwords.

pub(crate) mod admin;
pub(crate) mod distribution;
pub(crate) mod seed;
pub(crate) mod server;

use crate::error::Result;
use crate::password;
use crate::paths::Layout;

/// Its address for browsers, pods and tests.
pub(crate) const URL: &str = "https://auth.thinkube.test";

/// The one realm beside `master`.
pub(crate) const REALM: &str = "thinkube";

/// The administrator: realm and name.
pub(crate) const ADMIN: (&str, &str) = ("master", "admin");

/// The realm's one user: realm and name.
pub(crate) const USER: (&str, &str) = (REALM, "tester");

/// The namespace and the Service.
pub(crate) const NAME: &str = "keycloak";

/// Keycloak's address and credentials.
#[derive(Debug, Clone)]
pub struct Keycloak {
    /// Its `https` address.
    pub url: String,
    /// The realm of Thinkube's users.
    pub realm: String,
    /// The administrator's name, in the realm `master`.
    pub admin: String,
    /// The administrator's password; each cluster has its own.
    pub admin_password: String,
    /// The name of the realm's one user.
    pub user: String,
    /// That user's password; each cluster has its own.
    pub user_password: String,
}

pub(crate) fn access(layout: &Layout) -> Result<Keycloak> {
    let folder = layout.path(NAME);
    Ok(Keycloak {
        url: URL.to_owned(),
        realm: REALM.to_owned(),
        admin: ADMIN.1.to_owned(),
        admin_password: password::password(&folder.join("admin-password"))?,
        user: USER.1.to_owned(),
        user_password: password::password(&folder.join("user-password"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::domain::DOMAIN;

    #[test]
    fn keycloak_has_a_name_of_the_test_domain() {
        assert_eq!(URL, format!("https://auth.{DOMAIN}"));
    }
}
