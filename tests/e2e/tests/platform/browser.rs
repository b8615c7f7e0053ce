//! People who sign in by Keycloak.

use crate::fixtures::{PAGE, ingress, open_site};
use thinkube_e2e::browser::Browser;
use thinkube_e2e::keycloak::{self, Admin, data};
use thinkube_e2e::web;
use thinkube_test_cluster::{Addon, TestNamespace};

#[test]
fn a_person_signs_in_and_the_site_gets_a_token_with_the_name() {
    let Some(namespace) = TestNamespace::with([Addon::Keycloak]) else { return };
    let cluster = namespace.cluster();
    let Some(browser) = Browser::open(cluster) else { return };
    open_site(&namespace, "site");
    let host = namespace.host("web");
    ingress(&namespace, "site", &host, &[]);
    let callback = format!("https://{host}/");
    web::until(cluster, 200, &[&callback]);
    let keycloak = cluster.keycloak().expect("the harness's own cluster").expect("it has Keycloak");
    let client = Admin::of(cluster).client(namespace.name(), &callback);

    let protocol = format!("{}/realms/{}/protocol/openid-connect", keycloak.url, keycloak.realm);
    let login = format!(
        "{protocol}/auth?response_type=code&scope=openid&state=st-1&nonce=no-1&client_id={}&redirect_uri={callback}",
        namespace.name()
    );
    browser.go(&login);
    browser.fill("#username", &keycloak.user);
    browser.fill("#password", "not the password");
    browser.click("#kc-login");
    assert!(browser.text("#input-error-username").contains("Invalid"), "a wrong password is told");
    assert!(browser.address().starts_with(&keycloak.url), "and leads nowhere");
    browser.fill("#password", &keycloak.user_password);
    browser.click("#kc-login");
    let address = browser.arrives_at(&callback);
    assert_eq!(browser.text("body"), PAGE);
    assert_eq!(web::parameter(&address, "state"), "st-1");

    let exchange = |secret: &str| {
        let fields = [
            "grant_type=authorization_code".to_owned(),
            format!("client_id={}", namespace.name()),
            format!("client_secret={secret}"),
            format!("redirect_uri={callback}"),
            format!("code={}", web::parameter(&address, "code")),
        ];
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let url = format!("{protocol}/token");
        web::curl(cluster, &[&[url.as_str()][..], &data(&fields)].concat()).expect("the server answers")
    };
    exchange("not the secret").with(401);
    let tokens = exchange(&client.secret).with(200).json();
    let claims = keycloak::claims(&tokens["id_token"]);
    assert_eq!(claims["preferred_username"], keycloak.user.as_str(), "{claims}");
    assert_eq!(claims["iss"], format!("{}/realms/{}", keycloak.url, keycloak.realm), "{claims}");
    assert_eq!((&claims["aud"], &claims["nonce"]), (&namespace.name().into(), &"no-1".into()), "{claims}");
    let bearer = format!("Authorization: Bearer {}", tokens["access_token"].as_str().expect("a token"));
    let who = web::curl(cluster, &["--header", &bearer, &format!("{protocol}/userinfo")]);
    assert_eq!(
        who.expect("the server answers").with(200).json()["preferred_username"],
        keycloak.user.as_str()
    );
    // A code is good once.
    exchange(&client.secret).with(400);

    // A signed-in person is not asked again; a deleted client signs no person in.
    browser.go(&login);
    browser.arrives_at(&callback);
    client.delete();
    web::get(cluster, &login).expect("the server answers").with(400);
}

#[test]
fn a_browser_that_does_not_know_the_authority_shows_no_page() {
    let Some(namespace) = TestNamespace::with([Addon::Ingress]) else { return };
    let Some(browser) = Browser::of_a_stranger(namespace.cluster()) else { return };
    open_site(&namespace, "site");
    let host = namespace.host("web");
    ingress(&namespace, "site", &host, &[("ssl-redirect", "false")]);
    web::until(namespace.cluster(), 200, &[&format!("https://{host}/")]);
    browser.go(&format!("https://{host}/"));
    let shown = browser.text("body");
    assert!(shown.contains("ERR_CERT_AUTHORITY_INVALID") && !shown.contains(PAGE), "{shown}");
    // Not for want of a way there.
    browser.go(&format!("http://{host}/"));
    assert_eq!(browser.text("body"), PAGE);
}
