//! Images that are built, pushed and pulled.

use crate::fixtures::{PORT, apply, copy_secret, ingress, pod, run, service, wait};
use serde_json::{Value, json};
use std::fs;
use thinkube_e2e::{eventually, web};
use thinkube_test_cluster::{Addon, Buildah, Registry, TestNamespace};

/// Where Thinkube's installers find the login.
const PULL_SECRET: &str = "harbor-pull-secret";

/// An image that is like no other: a web server whose one page is the name of the namespace. Returns who has it and its
/// reference.
fn image(namespace: &TestNamespace, registry: &Registry) -> (Buildah, String) {
    let name = format!("{}/library/{}:1", registry.host, namespace.name());
    let base = namespace.cluster().toolbox_archive().expect("a node has the image");
    let recipe = format!(
        "FROM docker-archive:{}\nCOPY index.html /www/index.html\nCMD [\"httpd\", \"-f\", \"-p\", \"{PORT}\", \"-h\", \"/www\"]\n",
        base.display()
    );
    let buildah = Buildah::new(namespace.cluster()).expect("a temporary folder can be made");
    let built = buildah.build(&name, &recipe, &[("index.html", namespace.name())]);
    built.unwrap_or_else(|error| panic!("{error}"));
    (buildah, name)
}

/// A pod that asks the registry even where the node has the image.
fn web_server(name: &str, image: &str) -> Value {
    let mut pod = pod(name, image, &[]);
    pod["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
    pod
}

#[test]
fn a_push_needs_both_the_login_and_the_certificate() {
    let Some(namespace) = TestNamespace::with([Addon::Registry]) else { return };
    let registry = namespace.cluster().registry().expect("its own").expect("a registry");
    let (buildah, image) = image(&namespace, &registry);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let no_login = folder.path().join("no-login.json");
    fs::write(&no_login, r#"{"auths":{}}"#).expect("the folder is writable");
    let refused = buildah.push(&image, &image, &no_login, Some(&registry.certificates));
    let refused = refused.expect_err("a push without a login is refused").to_string();
    assert!(refused.contains("authentication required") || refused.contains("unauthorized"), "{refused}");
    let refused = buildah.push(&image, &image, &registry.auth_file, None);
    let refused = refused.expect_err("a push without the certificate is refused").to_string();
    assert!(refused.contains("certificate signed by unknown authority"), "{refused}");

    let pushed = buildah.push(&image, &image, &registry.auth_file, Some(&registry.certificates));
    let pushed = pushed.unwrap_or_else(|error| panic!("{error}"));
    let (_, digest) = pushed.split_once('@').expect("a digest");
    let manifest = format!("https://{}/v2/library/{}/manifests/{digest}", registry.host, namespace.name());
    let login = format!("{}:{}", registry.user, registry.password);
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    let found = web::curl(namespace.cluster(), &["--user", &login, "--header", accept, &manifest]);
    assert_eq!(found.expect("the server answers").with(200).header("docker-content-digest"), Some(digest));
    web::get(namespace.cluster(), &manifest).expect("the server answers").with(401);
}

#[test]
fn a_pod_pulls_by_digest_with_the_pull_secret_and_not_without() {
    let Some(namespace) = TestNamespace::with([Addon::Registry, Addon::Ingress]) else { return };
    let registry = namespace.cluster().registry().expect("its own").expect("a registry");
    let (buildah, image) = image(&namespace, &registry);
    let image = buildah.push(&image, &image, &registry.auth_file, Some(&registry.certificates));
    let image = image.unwrap_or_else(|error| panic!("{error}"));

    // First the one without, so that the node does not have the image.
    apply(&namespace, json!([web_server("stranger", &image)]));
    let waiting = "jsonpath={.status.containerStatuses[0].state.waiting}";
    eventually("refusal of the image", || {
        let why = run(&namespace, &["get", "pod", "stranger", "-o", waiting]);
        let refused = why.contains("ErrImagePull") || why.contains("ImagePullBackOff");
        if refused { Ok(()) } else { Err(why) }
    });

    copy_secret(&namespace, PULL_SECRET);
    let mut site = web_server("site", &image);
    site["spec"]["imagePullSecrets"] = json!([{ "name": PULL_SECRET }]);
    apply(&namespace, json!([site, service("site")]));
    wait(&namespace, "condition=Ready", "pod/site");
    let host = namespace.host("web");
    ingress(&namespace, "site", &host, &[]);
    let page = web::until(namespace.cluster(), 200, &[&format!("https://{host}/")]);
    assert_eq!(page.body, namespace.name(), "the page of the very image that was pushed");
}
