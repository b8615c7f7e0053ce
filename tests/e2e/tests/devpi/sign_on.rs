//! People log in to the dashboard.

use crate::dashboard::Dashboard;
use crate::release::Devpi;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use thinkube_e2e::browser::Browser;
use thinkube_e2e::keycloak::{claims, data};
use thinkube_e2e::web;

/// The proxy's image cannot be pulled: what the proxy would be given is proven against Keycloak alone.
#[test]
fn the_planned_client_signs_people_in_while_the_dashboard_is_closed() {
    let Some(release) = Devpi::new() else { return };
    let cluster = release.cluster();
    let Some(browser) = Browser::open(cluster) else { return };
    let image = release.ready_image();
    let redis = format!("oauth2_proxy_redis_image={}", cluster.valkey_image().expect("the image is built"));
    let settings = [image.as_str(), redis.as_str(), "oauth2_proxy_image=registry.invalid/oauth2-proxy:1"];
    let applied = release.plugin(&["apply", "--yes", "-o", "json", "--no-wait"], &settings).ends_with(0);

    let client = release.client().expect("the client was made");
    let callback = format!("{}/oauth2/callback", release.dashboard());
    assert_eq!(client["redirectUris"], json!([callback]));
    let secret = release.secret("oauth2-proxy", "client-secret");
    assert_eq!(release.secret("oauth2-proxy", "client-id"), release.name);
    // 32 bytes, this release's own.
    let cookie = release.secret("oauth2-proxy", "cookie-secret");
    assert_eq!(URL_SAFE_NO_PAD.decode(cookie.trim_end_matches('=')).expect("base64url").len(), 32);

    // RFC 7636, appendix B.
    let (verifier, challenge) =
        ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let keycloak = cluster.keycloak().expect("the harness started the cluster").expect("it exists");
    let protocol = format!("{}/realms/{}/protocol/openid-connect", keycloak.url, keycloak.realm);
    let login = |more: &str| {
        format!(
            "{protocol}/auth?response_type=code&scope=openid&state=st&client_id={}&redirect_uri={callback}{more}",
            release.name
        )
    };
    browser.go(&login(&format!("&code_challenge={challenge}&code_challenge_method=S256")));
    browser.fill("#username", &keycloak.user);
    browser.fill("#password", &keycloak.user_password);
    browser.click("#kc-login");
    let address = browser.arrives_at(&callback);
    let fields = [
        "grant_type=authorization_code".to_owned(),
        format!("client_id={}", release.name),
        format!("client_secret={secret}"),
        format!("redirect_uri={callback}"),
        format!("code={}", web::parameter(&address, "code")),
        format!("code_verifier={verifier}"),
    ];
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let url = format!("{protocol}/token");
    let tokens = web::curl(cluster, &[&[url.as_str()][..], &data(&fields)].concat())
        .expect("the server answers")
        .with(200)
        .json();
    let claims = claims(&tokens["access_token"]);
    // oauth2-proxy demands itself in the audience.
    assert!(claims["aud"].to_string().contains(&release.name), "{claims}");
    assert_eq!(claims["preferred_username"], keycloak.user.as_str());
    // Without the proof that PKCE wants Keycloak gives no code.
    let refused = web::get(cluster, &login("")).expect("the server answers");
    assert!(refused.header("location").is_some_and(|to| to.contains("error=invalid_request")), "{refused:?}");

    // Without the proxy no person comes in.
    let closed = web::get(cluster, &format!("{}/", release.dashboard())).expect("the server answers");
    assert!(closed.status >= 400, "{closed:?}");
    for text in [&applied.stdout, &applied.stderr] {
        assert!(!text.contains(&secret) && !text.contains(&cookie));
    }

    // The same by the Gateway API, where the original has no login.
    let gateway = [&settings[..], &["routing=gateway"]].concat();
    release.plugin(&["apply", "--yes", "--no-wait"], &gateway).ends_with(0);
    web::until(cluster, 200, &[&format!("{}/+api", release.api())]);
    let closed = web::until(cluster, 503, &[&format!("{}/", release.dashboard())]);
    assert!(!closed.body.contains("devpi"), "{closed:?}");
    assert!(release.left().iter().all(|left| !left.starts_with("ingress")), "{:?}", release.left());

    release.run(&["uninstall", &release.name, "--yes", "--delete-data"]).ends_with(0);
    assert!(release.client().is_none(), "the original never takes its client away");
}

/// What a person, a stranger and a client that lies see of the dashboard.
fn the_dashboard_is_for_people_who_log_in(routing: &'static str) {
    let Some(dashboard) = Dashboard::open(routing) else { return };
    dashboard.is_healthy();
    dashboard.sends_strangers_to_the_login();
    dashboard.refuses_a_wrong_password_and_people_of_another_realm();

    // A link into the dashboard survives the login.
    let page = dashboard.url("/root/stable?from=a-link");
    dashboard.log_in_at(&page);
    dashboard.browser.go(&dashboard.url("/"));
    assert!(dashboard.browser.text("body").contains("root/stable"), "{}", dashboard.browser.text("body"));
    dashboard.keep_a_picture("dashboard");
    let session = dashboard.session();
    dashboard.knows_the_person(&session);
    dashboard.log_tells_of_the_login_and_of_no_secret(&session);

    dashboard.is_applied_again_without_a_write_or_a_failed_request(&session);
    dashboard.believes_no_identity_headers_of_a_client(&session);
    dashboard.ends_the_session_at_the_logout(&session);
}

#[test]
fn behind_an_ingress_the_dashboard_is_for_people_who_log_in() {
    the_dashboard_is_for_people_who_log_in("routing=ingress");
}

#[test]
fn behind_a_gateway_the_dashboard_is_for_people_who_log_in() {
    the_dashboard_is_for_people_who_log_in("routing=gateway");
}

/// What becomes of a session when Keycloak, the session store or the cookie secret goes.
fn a_session_lasts_as_long_as_its_store_and_its_cookie_secret(routing: &'static str) {
    let Some(dashboard) = Dashboard::open(routing) else { return };
    dashboard.log_in_at(&dashboard.url("/"));
    let session = dashboard.session();
    assert_ne!(dashboard.stored_sessions(), 0);
    dashboard.keeps_the_session_while_keycloak_is_out_of_reach(&session);
    let session = dashboard.loses_the_session_with_the_store(&session);
    dashboard.loses_the_session_with_the_cookie_secret(&session);
    dashboard.goes_with_the_release();
}

#[test]
fn behind_an_ingress_a_session_needs_its_store_and_its_cookie_secret() {
    a_session_lasts_as_long_as_its_store_and_its_cookie_secret("routing=ingress");
}

#[test]
fn behind_a_gateway_a_session_needs_its_store_and_its_cookie_secret() {
    a_session_lasts_as_long_as_its_store_and_its_cookie_secret("routing=gateway");
}
