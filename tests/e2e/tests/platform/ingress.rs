//! The front doors: Ingresses of the class `nginx` and routes of the Gateway.

use crate::fixtures::{PAGE, PORT, apply, ingress, open_site, plain_ingress, pod, printed, python, run};
use serde_json::json;
use std::fs::File;
use thinkube_e2e::{eventually, web};
use thinkube_test_cluster::{Addon, TestNamespace};

const MEGABYTE: u64 = 1024 * 1024;

/// A client in a pod that verifies TLS, once with the authority and once without.
const CLIENT: &str = "import ssl, sys, urllib.request
def page(**trust):
    context = ssl.create_default_context(**trust)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try: return opener.open(sys.argv[1], timeout=20).read().decode()
    except OSError as error: return str(error)
print('with:', page(cafile='/authority/ca.crt'))
print('without:', page())
";

#[test]
fn a_site_is_reached_by_name_over_https_from_the_node_and_from_a_pod() {
    let Some(namespace) = TestNamespace::with([Addon::Ingress]) else { return };
    open_site(&namespace, "site");
    let host = namespace.host("web");
    let url = format!("https://{host}/");
    ingress(&namespace, "site", &host, &[]);
    assert_eq!(web::until(namespace.cluster(), 200, &[&url]).body, PAGE);

    let authority = namespace.cluster().authority().expect("the harness's own cluster");
    let authority = std::fs::read_to_string(authority).expect("a certificate");
    let mut client = pod("client", python(&namespace), &["python3", "-c", CLIENT, &url]);
    client["spec"]["volumes"] = json!([{ "name": "authority", "configMap": { "name": "authority" } }]);
    client["spec"]["containers"][0]["volumeMounts"] =
        json!([{ "name": "authority", "mountPath": "/authority" }]);
    let trust = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "authority" },
        "data": { "ca.crt": authority } });
    apply(&namespace, json!([trust, client]));
    let printed = printed(&namespace, "client");
    assert!(printed.contains(&format!("with: {PAGE}")), "{printed}");
    assert!(printed.contains("without: ") && printed.contains("CERTIFICATE_VERIFY_FAILED"), "{printed}");
}

#[test]
fn a_client_without_the_authority_does_not_trust_the_certificate() {
    let Some(namespace) = TestNamespace::with([Addon::Ingress]) else { return };
    open_site(&namespace, "site");
    let host = namespace.host("web");
    let url = format!("https://{host}/");
    ingress(&namespace, "site", &host, &[]);
    web::until(namespace.cluster(), 200, &[&url]);

    let mut stranger = namespace.cluster().command("curl");
    stranger.env_remove("CURL_CA_BUNDLE").env_remove("SSL_CERT_FILE").arg(&url);
    assert_eq!(web::ask(&mut stranger).expect_err("a refusal").code, web::UNTRUSTED);
    // The certificate is for names of the domain alone, so no other name leads here by mistake.
    let other = "site.example.org";
    let resolve = format!("{other}:443:{}", namespace.cluster().address().expect("an address"));
    let refused = web::curl(namespace.cluster(), &["--resolve", &resolve, &format!("https://{other}/")]);
    assert_eq!(refused.expect_err("a refusal").code, web::UNTRUSTED);
}

#[test]
fn http_is_sent_to_https_unless_the_ingress_says_otherwise() {
    let Some(namespace) = TestNamespace::with([Addon::Ingress]) else { return };
    open_site(&namespace, "site");
    let [sent, open, forced] = ["sent", "open", "forced"].map(|what| namespace.host(what));
    ingress(&namespace, "sent", &sent, &[("ssl-redirect", "true")]);
    ingress(&namespace, "open", &open, &[("ssl-redirect", "false")]);
    let plain = plain_ingress("forced", &forced, &[("force-ssl-redirect", "true")]);
    apply(&namespace, json!([plain]));

    let cluster = namespace.cluster();
    for host in [&sent, &forced] {
        let answer = web::until(cluster, 308, &[&format!("http://{host}/some/page?a=b")]);
        let target = format!("https://{host}/some/page?a=b");
        assert_eq!(answer.header("location"), Some(target.as_str()));
    }
    assert_eq!(web::until(cluster, 200, &[&format!("https://{sent}/")]).body, PAGE);
    assert_eq!(web::until(cluster, 200, &[&format!("http://{open}/")]).body, PAGE);
    assert_eq!(web::until(cluster, 200, &[&format!("https://{open}/")]).body, PAGE);
}

#[test]
fn a_route_of_the_gateway_leads_to_a_site_as_an_ingress_does() {
    let Some(namespace) = TestNamespace::with([Addon::Ingress]) else { return };
    open_site(&namespace, "site");
    let host = namespace.host("api");
    let route = |name: &str, listener: &str| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": { "name": name },
            "spec": {
                "parentRefs": [{ "name": "thinkube-gateway", "namespace": "gateway-system", "sectionName": listener }],
                "hostnames": [host],
                "rules": [{ "backendRefs": [{ "name": "site", "port": PORT }] }]
            }
        })
    };
    apply(&namespace, json!([route("secure", "https")]));
    let accepted = "jsonpath={.status.parents[0].conditions[?(@.type==\"Accepted\")].status}";
    eventually("accepted route", || {
        let printed = run(&namespace, &["get", "httproute", "secure", "-o", accepted]);
        if printed == "True" { Ok(()) } else { Err(printed) }
    });
    assert_eq!(web::until(namespace.cluster(), 200, &[&format!("https://{host}/")]).body, PAGE);
    // It was given to one listener, and the other does not have it.
    web::get(namespace.cluster(), &format!("http://{host}/")).expect("the server answers").with(404);
    apply(&namespace, json!([route("plain", "http")]));
    assert_eq!(web::until(namespace.cluster(), 200, &[&format!("http://{host}/")]).body, PAGE);
}

#[test]
fn a_body_may_have_the_size_of_the_annotation_and_by_default_a_megabyte() {
    let Some(namespace) = TestNamespace::with([Addon::Ingress]) else { return };
    open_site(&namespace, "site");
    let [large, usual] = ["large", "usual"].map(|what| namespace.host(what));
    ingress(&namespace, "large", &large, &[("proxy-body-size", "50m")]);
    ingress(&namespace, "usual", &usual, &[]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sends = |host: &str, megabytes: u64, status: u16| {
        let file = folder.path().join(megabytes.to_string());
        File::create(&file)
            .and_then(|file| file.set_len(megabytes * MEGABYTE))
            .expect("the folder is writable");
        let body = format!("@{}", file.display());
        let url = format!("https://{host}/cgi-bin/size");
        let header = "Content-Type: application/octet-stream";
        web::until(namespace.cluster(), status, &["--header", header, "--data-binary", &body, &url]).body
    };
    assert_eq!(sends(&large, 40, 200).trim(), (40 * MEGABYTE).to_string());
    sends(&large, 60, 413);
    assert_eq!(sends(&usual, 1, 200).trim(), MEGABYTE.to_string());
    sends(&usual, 2, 413);
}
