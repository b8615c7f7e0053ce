//! The objects of DevPI, one function each. Values are those of the Ansible component (*the original*) unless a comment gives
//! the reason for a difference.

mod discovery;
mod routes;
mod server;
mod sign_on;

pub(crate) use discovery::discovery;
pub(crate) use routes::{api_route, dashboard_route, login_route, nginx_headers};
pub(crate) use server::{
    bootstrap, deployment, image, namespace, password_reset, pvc, root_password, service,
};
pub(crate) use sign_on::{keycloak_client, new_cookie_secret, oauth2_proxy, proxy_workload, session_store};

/// The Secret with root's password, and its key.
pub(crate) const ROOT_SECRET: &str = "devpi-root";
pub(crate) const ROOT_SECRET_KEY: &str = "password";
pub(crate) const PASSWORD_VARIABLE: &str = "DEVPI_PASSWORD";
/// The image's entrypoint listens on this port only.
pub(crate) const PORT: u16 = 3141;
pub(crate) const PULL_SECRET: &str = "harbor-pull-secret";
const PROXY: &str = "oauth2-proxy";
