//! Single sign-on: the client in Keycloak, the OAuth2 proxy and its session store.

use super::server::{KEYCLOAK_CA, server_url};
use super::{PROXY, PULL_SECRET};
use crate::KEYCLOAK_PASSWORD;
use crate::settings::{RoutingKind, SessionStoreKind, Settings};
use thinkube_sdk::recipes::{KeycloakClient, OAuth2Proxy, SessionStore};
use thinkube_sdk::{Encoding, ObjectRef, Secret, TypeMeta};

/// The original creates the client once and never updates it, so that a changed host name breaks the login.
pub(crate) fn keycloak_client(settings: &Settings) -> KeycloakClient {
    KeycloakClient::new(
        &settings.keycloak_url,
        &settings.keycloak_realm,
        &settings.oauth2_proxy_client_id,
        (&settings.admin_username, KEYCLOAK_PASSWORD),
        &[&settings.oauth2_proxy_redirect_url],
    )
    .field("baseUrl", settings.dashboard().into())
}

/// None if the cookie holds the sessions.
pub(crate) fn session_store(settings: &Settings) -> Option<SessionStore> {
    (settings.oauth2_proxy_session_store_type == SessionStoreKind::Redis).then(|| {
        SessionStore::new(
            &settings.devpi_namespace,
            &settings.oauth2_proxy_redis_service,
            &settings.oauth2_proxy_redis_image,
            Some(PULL_SECRET.to_owned()),
        )
    })
}

pub(crate) fn oauth2_proxy(settings: &Settings) -> OAuth2Proxy {
    let client = &settings.oauth2_proxy_client_id;
    let issuer = format!("{}/realms/{}", settings.keycloak_url, settings.keycloak_realm);
    let mut proxy = OAuth2Proxy::new(&settings.devpi_namespace, &settings.oauth2_proxy_image, client, client)
        .provider(&settings.oauth2_proxy_provider, &issuer)
        .redirect(&settings.oauth2_proxy_redirect_url, &settings.domain_name)
        .pull_secret(PULL_SECRET);
    if let Some(store) = session_store(settings) {
        proxy = proxy.session_store(&store.url());
    }
    if settings.keycloak_ca_secret.is_some() {
        proxy = proxy.provider_ca(KEYCLOAK_CA);
    }
    // A Gateway cannot ask the proxy about a request, which left the original's dashboard open. So the proxy forwards.
    if settings.routing == RoutingKind::Gateway { proxy.upstream(&server_url(settings)) } else { proxy }
}

/// A new cookie secret for the proxy. People must log in again.
pub(crate) fn new_cookie_secret(settings: &Settings) -> Secret {
    Secret::new(&settings.devpi_namespace, PROXY).rotated("cookie-secret", 32, Encoding::Base64url)
}

pub(crate) fn proxy_workload(settings: &Settings) -> ObjectRef {
    TypeMeta::new("apps/v1", "Deployment").namespaced(&settings.devpi_namespace, PROXY)
}
