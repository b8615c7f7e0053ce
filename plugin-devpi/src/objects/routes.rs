//! The routes to the dashboard, the API and the login.

use super::server::server_url;
use super::sign_on::oauth2_proxy;
use super::{PORT, PROXY};
use crate::settings::{RoutingKind, Settings};
use serde_json::json;
use thinkube_sdk::recipes::Route;
use thinkube_sdk::{Object, template};

/// The server builds its links with this header, so a client that can set it can redirect the links.
const OUTSIDE_URL: &str = "X-Outside-URL";

/// The route for browsers. The original never reads oauth2_proxy_enabled and always asks the proxy.
pub(crate) fn dashboard_route(settings: &Settings) -> Object {
    let behind = settings.oauth2_proxy_enabled && settings.routing == RoutingKind::Gateway;
    let backend = if behind { (PROXY, 80) } else { ("devpi", PORT) };
    let route = route(settings, "devpi-http", &settings.devpi_dashboard_hostname, backend);
    let route = if settings.oauth2_proxy_enabled {
        route.guarded_by(&oauth2_proxy(settings))
    } else {
        route.auth_url(&always_allowed_url(settings))
    };
    route.request_header(OUTSIDE_URL, settings.dashboard()).object(&settings.routing())
}

/// A URL that answers every request with 200 and without the header [`OUTSIDE_URL`].
fn always_allowed_url(settings: &Settings) -> String {
    format!("{}/+authcheck", server_url(settings))
}

/// The route to the login. None behind a Gateway, where every request of the host goes to the proxy.
pub(crate) fn login_route(settings: &Settings) -> Option<Object> {
    let route = (settings.oauth2_proxy_enabled && settings.routing == RoutingKind::Ingress).then(|| {
        let host = &settings.devpi_dashboard_hostname;
        Route::new(&settings.devpi_namespace, PROXY, host, (PROXY, 80)).path("/oauth2")
    });
    route.map(|route| route.tls(&settings.tls_secret_name).object(&settings.routing()))
}

/// The route for pip and devpi, which cannot log in with a browser.
pub(crate) fn api_route(settings: &Settings) -> Object {
    route(settings, "devpi-api", &settings.devpi_api_hostname, ("devpi", PORT))
        .auth_url(&always_allowed_url(settings))
        .request_header(OUTSIDE_URL, settings.api())
        .object(&settings.routing())
}

/// The headers of the original, for an ingress-nginx whose ConfigMap names this one as `proxy-set-headers`. The original
/// names it in an annotation that ingress-nginx does not have.
pub(crate) fn nginx_headers(settings: &Settings) -> Option<Object> {
    let named = settings.nginx_headers_config_map && settings.routing == RoutingKind::Ingress;
    named.then(|| {
        Object::of(&template(
            stringify!(
                {
                  "apiVersion": "v1",
                  "kind": "ConfigMap",
                  "metadata": {"name": "nginx-headers", "namespace": "${namespace}"},
                  "data": {
                    "X-Real-IP": "$remote_addr",
                    "X-Forwarded-For": "$proxy_add_x_forwarded_for",
                    "X-Forwarded-Proto": "$scheme",
                    "X-Forwarded-Host": "$host",
                    "X-Outside-URL": "https://$host"
                  }
                }
            ),
            &json!({"namespace": settings.devpi_namespace}),
        ))
    })
}

fn route(settings: &Settings, name: &str, host: &str, backend: (&str, u16)) -> Route {
    Route::new(&settings.devpi_namespace, name, host, backend).tls(&settings.tls_secret_name).body_size("50m")
}
