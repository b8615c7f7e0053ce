//! What DevPI depends on.

use crate::release::Release;

#[test]
fn what_devpi_depends_on_is_missed_before_anything_is_changed() {
    let Some(release) = Release::new() else { return };
    let image = release.ready_image();
    let none = || {
        release.kubectl(&[
            "get",
            "namespace",
            &release.name,
            &release.home(),
            "--ignore-not-found",
            "-o",
            "name",
        ])
    };
    for (setting, check, code) in [
        ("keycloak_realm=nowhere", "keycloak", 6),
        ("harbor_registry=auth.thinkube.test", "harbor", 6),
        ("tls_source_secret=default/nothing", "acme-certificates", 6),
        ("harbor_pull_secret=default/thinkube-test-tls", "registry-credentials", 6),
        ("gateway_name=nothing", "ingress", 6),
    ] {
        let error = release.apply(&[&image, "routing=gateway", setting]).ends_with(code).stderr;
        assert!(error.contains(check), "{setting}: {error}");
        assert_eq!(none().stdout, "", "{setting} has changed something");
    }
}
