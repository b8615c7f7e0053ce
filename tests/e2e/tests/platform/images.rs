//! The images that the harness makes when a test asks for them.

use crate::fixtures::{apply, pod, printed, run, toolbox, wait};
use serde_json::{Value, json};
use thinkube_test_cluster::{Addon, Buildah, TestNamespace, push_archive};

/// Valkey as the original's role starts it, as any user and with a read-only root; and its Service.
pub(crate) fn valkey(namespace: &TestNamespace, name: &str) -> Value {
    let image = namespace.cluster().valkey_image().unwrap_or_else(|error| panic!("{error}: {error:?}"));
    let mut pod = pod(name, &image, &["valkey-server", "--save", "", "--appendonly", "no"]);
    let container = &mut pod["spec"]["containers"][0];
    container["readinessProbe"] =
        json!({ "exec": { "command": ["sh", "-c", "valkey-cli ping"] }, "periodSeconds": 1 });
    container["securityContext"] = json!({ "runAsNonRoot": true, "runAsUser": 12345, "runAsGroup": 12345,
        "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": 6379 }] }
    });
    json!([pod, service])
}

#[test]
fn valkey_runs_as_any_user_and_keeps_what_another_pod_gives_it() {
    let Some(namespace) = TestNamespace::with([Addon::Node]) else { return };
    apply(&namespace, valkey(&namespace, "store"));
    wait(&namespace, "condition=Ready", "pod/store");
    assert_eq!(run(&namespace, &["exec", "store", "--", "id", "-u"]).trim(), "12345");
    // As busybox says it, so that the server's own client does not speak for the server.
    let script = "for n in 1 2 3 4 5 6 7 8 9 10; do \
        printf 'SET key kept\\r\\nGET key\\r\\nQUIT\\r\\n' | nc -w 5 store 6379 && break; sleep 1; done";
    apply(&namespace, json!([pod("other", toolbox(&namespace), &["sh", "-c", script])]));
    let printed = printed(&namespace, "other");
    assert_eq!(printed.lines().collect::<Vec<_>>(), ["+OK", "$4", "kept", "+OK"], "{printed}");
    let version = run(&namespace, &["exec", "store", "--", "valkey-server", "--version"]);
    assert!(version.contains("Valkey server v="), "{version}");
}

/// Makes a package as pip takes it; the cluster has no index to ask.
const WHEEL: &str = "import zipfile
with zipfile.ZipFile('/tmp/greets-1.0-py3-none-any.whl', 'w') as wheel:
    wheel.writestr('greets.py', 'def main(): print(\"installed\")\\n')
    wheel.writestr('greets-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: greets\\nVersion: 1.0\\n')
    wheel.writestr('greets-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr('greets-1.0.dist-info/entry_points.txt', '[console_scripts]\\ngreets = greets:main\\n')
    wheel.writestr('greets-1.0.dist-info/RECORD', '')
";

#[test]
fn an_image_built_on_the_python_image_has_the_packages_of_pip() {
    let Some(namespace) = TestNamespace::with([Addon::Registry]) else { return };
    let cluster = namespace.cluster();
    let registry = cluster.registry().expect("its own").expect("a registry");
    let base = cluster.python_archive().unwrap_or_else(|error| panic!("{error}: {error:?}"));
    let name = format!("library/{}:3.12-slim", namespace.name());
    let base = push_archive(cluster, &base, &name).unwrap_or_else(|error| panic!("{error}: {error:?}"));
    let expected = format!("{}/library/{}@sha256:", registry.host, namespace.name());
    assert!(base.starts_with(&expected), "{base}");

    let buildah = Buildah::new(cluster).expect("a temporary folder can be made");
    buildah
        .pull(&base, &registry.auth_file, &registry.certificates)
        .unwrap_or_else(|error| panic!("{error}"));
    let recipe = format!(
        "FROM {base}\nCOPY wheel.py /tmp/\nRUN python /tmp/wheel.py && pip install --no-index /tmp/*.whl && greets\nCMD [\"greets\"]\n"
    );
    let built = format!("{}/library/{}-built:1", registry.host, namespace.name());
    buildah.build(&built, &recipe, &[("wheel.py", WHEEL)]).unwrap_or_else(|error| panic!("{error}"));
    let pushed = buildah.push(&built, &built, &registry.auth_file, Some(&registry.certificates));
    let pushed = pushed.unwrap_or_else(|error| panic!("{error}"));

    crate::fixtures::copy_secret(&namespace, "harbor-pull-secret");
    let mut greets = pod("greets", &pushed, &[]);
    greets["spec"]["imagePullSecrets"] = json!([{ "name": "harbor-pull-secret" }]);
    greets["spec"]["securityContext"] = json!({ "runAsNonRoot": true, "runAsUser": 1000 });
    apply(&namespace, json!([greets]));
    assert_eq!(printed(&namespace, "greets"), "installed\n");
}
