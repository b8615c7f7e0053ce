//! The public index through DevPI: a site inside the cluster stands in for it, and is then stopped.

use crate::clients::wheel;
use crate::discovery::control_finds_everything_that_the_document_names;
use crate::release::Devpi;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use thinkube_e2e::{eventually, web};

const PORT: u16 = 8080;

/// A package site as PEP 503 describes it, served by a pod, with its Service.
fn public_index(release: &Devpi, packages: &[&str]) -> Value {
    let folder = release.path("public");
    fs::create_dir(&folder).expect("the folder is writable");
    let file = |package: &str| format!("{package}-1.0-py3-none-any.whl");
    let list = packages.iter().map(|name| format!("<a href=\"{name}/\">{name}</a>\n")).collect::<String>();
    let mut script =
        format!("mkdir -p /tmp/www/simple && cd /tmp/www/simple && echo '{list}' > index.html\n");
    let mut files = serde_json::Map::new();
    for name in packages {
        let module = name.replace('-', "_");
        let content = fs::read(wheel(&folder, &module)).expect("readable");
        let wheel = file(&module);
        script.push_str(&format!(
            "mkdir {name} && cp /site/{wheel} {name} && echo '<a href=\"{wheel}\">{wheel}</a>' > {name}/index.html\n"
        ));
        files.insert(wheel, STANDARD.encode(content).into());
    }
    script.push_str(&format!("exec httpd -f -p {PORT} -h /tmp/www"));
    let image = release.cluster().toolbox_image().expect("a node has the image");
    json!([
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "public"}, "binaryData": files},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "public"},
         "spec": {"selector": {"app": "public"}, "ports": [{"port": PORT}]}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "public", "labels": {"app": "public"}},
         "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "main", "image": image, "command": ["sh", "-c", script],
                "readinessProbe": {"httpGet": {"path": "/simple/", "port": PORT}, "periodSeconds": 1},
                "volumeMounts": [{"name": "site", "mountPath": "/site"}]
            }],
            "volumes": [{"name": "site", "configMap": {"name": "public"}}]
         }}
    ])
}

fn installed(folder: &Path, module: &str) -> bool {
    fs::read_to_string(folder.join(format!("{module}.py"))).is_ok_and(|text| text.contains("private"))
}

/// The lines of the original's README for when something is wrong, and how long its Job is kept.
fn the_commands_for_trouble_show_something(release: &Devpi) {
    let shows = |line: &str, expected: &str| {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        let at = arguments.iter().position(|word| *word == "--").unwrap_or(arguments.len());
        arguments.splice(at..at, ["-n", &release.name]);
        let printed = release.kubectl(&arguments).ends_with(0).stdout;
        assert!(printed.contains(expected), "`{expected}` is not in what kubectl {line} says: {printed}");
    };
    shows("get pods", "devpi-");
    shows("get pods -l app=devpi", "Running");
    shows("logs deploy/devpi", "devpi-server");
    shows("get ingress devpi-http-ingress", &release.name);
    shows("get ingress devpi-api-ingress", &format!("{}-api", release.name));
    shows("get job devpi-init -o jsonpath={.spec.ttlSecondsAfterFinished}", "300");
    shows("logs job/devpi-init", "create index root/stable: done");
    shows("exec deploy/devpi -- bash -c id", "uid=1000(devpi)");
}

#[test]
fn a_public_package_is_kept_and_served_when_the_public_index_is_gone() {
    let Some(release) = Devpi::new() else { return };
    release.namespace().apply(public_index(&release, &["kept-package", "other-package"])).expect("applied");
    release.apply(&[&release.ready_image(), "oauth2_proxy_enabled=false"]).ends_with(0);
    the_commands_for_trouble_show_something(&release);
    control_finds_everything_that_the_document_names(&release);

    release
        .namespace()
        .run(&["wait", "--for=condition=Ready", "pod/public", "--timeout=300s"])
        .expect("it is ready");
    let site =
        format!("mirror_url=http://public.{}.svc.cluster.local:{PORT}/simple/", release.namespace().name());
    release.devpi_client(&["index", "root/pypi", &site, "mirror_cache_expiry=1"]).ends_with(0);
    // The server may still have what it asked of the public index that it cannot reach.
    eventually("kept-package through root/stable", || {
        let run = release.pip_install("root/stable", "kept-package", "first");
        if run.code == 0 { Ok(()) } else { Err(run.stderr) }
    });
    assert!(installed(&release.path("first"), "kept_package"));
    let list = format!("{}/root/stable/+simple/", release.api());
    assert!(
        web::get(release.cluster(), &list)
            .expect("the server answers")
            .with(200)
            .body
            .contains("kept-package")
    );

    release.namespace().run(&["delete", "pod", "public", "--wait=true"]).expect("deleted");
    release.pip_install("root/stable", "kept-package", "second").ends_with(0);
    assert!(installed(&release.path("second"), "kept_package"));
    // The site is deleted: no request for this package came before.
    assert_ne!(release.pip_install("root/stable", "other-package", "third").code, 0);
}
