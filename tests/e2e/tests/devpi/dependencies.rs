//! What DevPI depends on.

use crate::release::Devpi;
use thinkube_e2e::{command, devpi, finish, skip};
use thinkube_test_cluster::{Cluster, Node, Options, down, shared_cluster};

#[test]
fn what_devpi_depends_on_is_missed_before_anything_is_changed() {
    let Some(release) = Devpi::new() else { return };
    let image = release.ready_image();
    for (setting, check, code) in [
        ("keycloak_realm=nowhere", "keycloak", 6),
        ("harbor_registry=auth.thinkube.test", "harbor", 6),
        ("tls_source_secret=default/nothing", "acme-certificates", 6),
        ("harbor_pull_secret=default/thinkube-test-tls", "registry-credentials", 6),
        ("gateway_name=nothing", "ingress", 6),
    ] {
        let error = release.apply(&[&image, "routing=gateway", setting]).ends_with(code).stderr;
        assert!(error.contains(check), "{setting}: {error}");
        release.assert_nothing_made();
    }
}

/// A control plane without a node, an ingress or a platform; taken down when it is dropped.
struct Bare {
    cluster: Cluster,
    name: String,
}

impl Bare {
    fn up() -> Self {
        // The runner finds it by this form of name when the test is killed.
        let name = format!("t-bare-{}", std::process::id());
        let options = Options { name: name.clone(), node: Node::Never, ..Options::default() };
        let cluster = Cluster::up(&options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"));
        Self { cluster, name }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let gone = down(&self.name, &mut |_| ());
        assert!(gone.is_ok() || std::thread::panicking(), "{gone:?}");
    }
}

#[test]
fn on_a_cluster_without_a_node_or_a_platform_every_dependency_is_named() {
    let Some(cluster) = shared_cluster() else { return };
    if !cluster.is_own() {
        return skip("a control plane of its own is started beside the harness's cluster only");
    }
    let bare = Bare::up();
    let mut apply = command(&["apply"]);
    apply.arg(devpi()).args(["--yes", "--set", "domain_name=thinkube.test", "--release", "devpi"]);
    apply.env("KUBECONFIG", bare.cluster.kubeconfig()).env("ADMIN_PASSWORD", "canary-bare");
    let refused = finish(&mut apply).ends_with(6).stderr;
    for check in [
        "A node accepts pods",
        "The certificate names devpi.thinkube.test and devpi-api.thinkube.test",
        "The IngressClass nginx exists",
        "Keycloak has the realm thinkube",
        "The registry harbor.thinkube.test answers",
        "The registry credentials exist",
    ] {
        assert!(refused.contains(check), "`{check}` is not in {refused}");
    }
    let mut namespaces = bare.cluster.command(bare.cluster.kubectl());
    namespaces.args(["get", "namespace", "devpi", "thinkube-system", "--ignore-not-found", "-o", "name"]);
    assert_eq!(finish(&mut namespaces).ends_with(0).stdout, "");
}
