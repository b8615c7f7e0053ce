//! The shells of code-server, in a pod with the real one's label.

use crate::clients::wheel;
use crate::release::Devpi;
use serde_json::json;
use std::fs;
use thinkube_e2e::Run;

const HOME: &str = "/home/coder";
const OWN_LINE: &str = "alias mine='true'\n";

/// code-server as the shells see it: an empty volume as the home, and a line of the person's own in `.bashrc`.
fn code_server(release: &Devpi) {
    let image = release.cluster().shells_image().expect("the image is built");
    let authority =
        fs::read_to_string(release.cluster().authority().expect("the harness started the cluster"))
            .expect("readable");
    let objects = json!([
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "platform"}, "data": {"ca.crt": authority}},
        {"apiVersion": "v1", "kind": "Pod",
         "metadata": {"name": "code-server", "labels": {"app": "code-server"}},
         "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "securityContext": {"fsGroup": 1000},
            "containers": [{
                "name": "code-server", "image": image,
                "command": ["sh", "-c", format!("printf \"{OWN_LINE}\" > .bashrc && exec sleep infinity")],
                "env": [
                    {"name": "REQUESTS_CA_BUNDLE", "value": "/platform/ca.crt"},
                    {"name": "PIP_CERT", "value": "/platform/ca.crt"}
                ],
                "volumeMounts": [
                    {"name": "home", "mountPath": HOME},
                    {"name": "platform", "mountPath": "/platform"}
                ]
            }],
            "volumes": [
                {"name": "home", "emptyDir": {}},
                {"name": "platform", "configMap": {"name": "platform"}}
            ]
         }}
    ]);
    release.namespace().apply(objects).expect("applied");
    release
        .namespace()
        .run(&["wait", "--for=condition=Ready", "pod/code-server", "--timeout=90s"])
        .expect("it is ready");
}

fn in_shell(release: &Devpi, shell: &str, line: &str) -> Run {
    let namespace = release.namespace().name();
    release.kubectl(&["exec", "code-server", "-n", namespace, "--", shell, "-ic", line])
}

#[test]
fn every_shell_of_code_server_leads_to_the_index() {
    let Some(release) = Devpi::new() else { return };
    code_server(&release);
    let namespace = format!("code_server_namespace={}", release.namespace().name());
    let image = release.ready_image();
    let settings = [image.as_str(), "oauth2_proxy_enabled=false", &namespace, "devpi_index_name=wheels"];
    release.apply(&settings).ends_with(0);
    release
        .devpi_client_of(
            "wheels",
            &["upload", wheel(release.folder(), "thinkube_shell").to_str().expect("it is text")],
        )
        .ends_with(0);

    let api = release.api();
    for shell in ["bash", "zsh", "fish"] {
        let shown =
            in_shell(&release, shell, "echo $DEVPI_URL $DEVPI_INDEX $DEVPI_USERNAME").ends_with(0).stdout;
        assert_eq!(shown.trim(), format!("{api} {api}/root/wheels root"), "{shell}");
        // The client needs no `devpi use` with an address first.
        let used = in_shell(&release, shell, "devpi use").ends_with(0).stdout;
        assert!(used.contains(&format!("{api}/root/wheels")), "{shell}: {used}");
        let line = format!(
            "python3 -m pip install --quiet --no-cache-dir --index-url $DEVPI_INDEX/+simple/ --target $HOME/{shell} thinkube_shell"
        );
        in_shell(&release, shell, &line).ends_with(0);
        let module = format!("cat $HOME/{shell}/thinkube_shell.py");
        assert!(in_shell(&release, shell, &module).ends_with(0).stdout.contains("private"));
        // What a person chooses outranks the variable, which the client alone would follow.
        in_shell(&release, shell, &format!("devpi use {api}/root/pypi")).ends_with(0);
        let chosen = in_shell(&release, shell, "devpi use").ends_with(0).stdout;
        assert!(chosen.contains(&format!("{api}/root/pypi")), "{shell}: {chosen}");
        in_shell(&release, shell, "devpi use --delete").ends_with(0);
        let environment = in_shell(&release, shell, "env").ends_with(0).stdout;
        assert!(!environment.contains(&release.password), "{shell} has the password");
    }

    release.run(&["uninstall", &release.name, "--yes", "--delete-data"]).ends_with(0);
    for shell in ["bash", "zsh", "fish"] {
        assert_eq!(in_shell(&release, shell, "echo $DEVPI_URL").ends_with(0).stdout.trim(), "", "{shell}");
    }
    assert_eq!(in_shell(&release, "bash", "cat .bashrc").ends_with(0).stdout, OWN_LINE);
}
