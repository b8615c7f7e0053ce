//! The host's command line against a real cluster. Each test has a release, a namespace and a home of its own.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::ops::Deref;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use thinkube_e2e::release::Release;
use thinkube_e2e::{Run, devpi, finish, python, root};
use thinkube_test_cluster::AuditEvent;

/// A password that only its Secret may hold.
const CANARY: &str = "canary-5e1f0c";

/// A release of DevPI in a cluster that may have no node, and a platform's namespace with the Secrets that it copies.
struct Devpi {
    release: Release,
    platform: String,
}

impl Deref for Devpi {
    type Target = Release;

    fn deref(&self) -> &Release {
        &self.release
    }
}

impl Devpi {
    /// `None` without a cluster.
    fn new(test: &str) -> Option<Self> {
        let mut release = Release::in_shared_cluster(test)?.env("ADMIN_PASSWORD", CANARY);
        let platform = release.create_namespace("platform");
        for (name, secret_type, data) in [
            ("tls", "kubernetes.io/tls", json!({"tls.crt": "a certificate", "tls.key": "a key"})),
            ("pull", "kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "{}"})),
        ] {
            release.kubectl_apply(
                &json!({"apiVersion": "v1", "kind": "Secret", "type": secret_type, "stringData": data,
                "metadata": {"name": name, "namespace": platform}}),
            );
        }
        Some(Self { release, platform })
    }

    /// The arguments that name the plugin, the release and its settings.
    fn with_inputs<'a>(&'a self, before: &[&'a str], after: &[&'a str]) -> Vec<String> {
        let component = devpi().to_str().expect("a path of the workspace is text");
        let mut arguments: Vec<String> = before.iter().map(ToString::to_string).collect();
        arguments.extend(
            [component, "--release", &self.name, "--set", "domain_name=example.com"].map(str::to_owned),
        );
        arguments.extend(["--set".to_owned(), format!("devpi_namespace={}", self.name)]);
        // An image that cannot be had: what is asked here needs no running pod, and a dozen of them need a machine.
        for setting in [
            "devpi_image=registry.invalid/devpi:1",
            "oauth2_proxy_enabled=false",
            "harbor_registry=registry.invalid",
        ] {
            arguments.extend(["--set".to_owned(), setting.to_owned()]);
        }
        for setting in [("tls_source_secret", "tls"), ("harbor_pull_secret", "pull")] {
            arguments.extend(["--set".to_owned(), format!("{}={}/{}", setting.0, self.platform, setting.1)]);
        }
        if before == ["apply"] {
            // No node, ingress or registry is needed here.
            arguments.push("--ignore-preflight-errors=all".to_owned());
        }
        arguments.extend(after.iter().map(ToString::to_string));
        arguments
    }

    fn plugin(&self, before: &[&str], after: &[&str]) -> Run {
        let arguments = self.with_inputs(before, after);
        self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Applies everything and waits for nothing, which works without a node and starts no pod that matters.
    fn apply(&self) -> Run {
        self.plugin(&["apply"], &["--yes", "--no-wait", "-o", "json"])
    }

    /// Everything of this release that is in the cluster, as `kind/name`.
    fn all_objects(&self) -> BTreeSet<String> {
        let kinds = "configmaps,secrets,services,persistentvolumeclaims,deployments,jobs,ingresses,leases";
        let mut found = BTreeSet::new();
        for namespace in [&self.name, &self.state_namespace()] {
            let listed = self.kubectl(&["get", kinds, "-n", namespace, "-o", "name"]).ends_with(0).stdout;
            found.extend(
                listed
                    .lines()
                    .filter(|line| !line.contains("kube-root-ca.crt"))
                    .map(|line| format!("{namespace}/{line}").replace(&self.name, "NAME")),
            );
        }
        found
    }
}

#[test]
fn a_second_apply_sends_no_write() {
    let Some(release) = Devpi::new("twice") else { return };
    assert_eq!(release.apply().ends_with(0).json()["changed"], true);
    let mark = release.audit_mark();
    let second = release.apply().ends_with(0).json();
    assert_eq!(second["changed"], false);
    release.assert_no_writes_since(mark);
    // The test can fail: a change of one setting is seen as writes by the same means.
    let changed = release.plugin(&["apply"], &["--yes", "--no-wait", "--set", "devpi_index_name=other"]);
    changed.ends_with(0);
    assert!(!release.writes_since(mark).is_empty());
}

#[test]
fn the_label_of_the_applyset_lists_every_object() {
    let Some(release) = Devpi::new("label") else { return };
    let applied = release.apply().ends_with(0).json()["release"].clone();
    let selector =
        format!("applyset.kubernetes.io/part-of={}", applied["applysetId"].as_str().expect("an id"));
    let kinds = "namespaces,configmaps,secrets,services,persistentvolumeclaims,deployments,jobs,ingresses";
    let listed = release.kubectl(&["get", kinds, "-A", "-l", &selector, "-o", "name"]).ends_with(0).stdout;
    assert_eq!(listed.lines().count() as u64, applied["objects"].as_u64().expect("a number"), "{listed}");
}

#[test]
fn uninstall_leaves_nothing_but_the_volume_and_says_so() {
    let Some(release) = Devpi::new("leaves") else { return };
    release.apply().ends_with(0);
    let printed = release.uninstall(&[]).stdout;
    assert!(printed.contains("devpi-data-pvc") && printed.contains("kept"), "{printed}");
    let left: Vec<String> = release.all_objects().into_iter().collect();
    assert_eq!(left, ["NAME/persistentvolumeclaim/devpi-data-pvc"]);
    let nothing = release.run(&["uninstall", &release.name, "--yes", "-o", "json"]).ends_with(3).error();
    assert_eq!(nothing["error"]["kind"], "no-release");
}

#[test]
fn a_volume_that_was_kept_is_taken_up_again() {
    let Some(release) = Devpi::new("again") else { return };
    release.apply().ends_with(0);
    let uid = |release: &Devpi| {
        release
            .kubectl(&["get", "pvc", "devpi-data-pvc", "-n", &release.name, "-o", "jsonpath={.metadata.uid}"])
            .ends_with(0)
            .stdout
    };
    let before = uid(&release);
    release.uninstall(&[]);
    release.apply().ends_with(0);
    assert_eq!(uid(&release), before);
}

#[test]
fn delete_data_takes_the_volume_and_the_namespace_too() {
    let Some(release) = Devpi::new("data") else { return };
    release.apply().ends_with(0);
    release.uninstall(&["--delete-data"]);
    assert_eq!(release.all_objects(), BTreeSet::new());
    assert_ne!(release.kubectl(&["get", "namespace", &release.name]).code, 0);
}

#[test]
fn plan_on_a_cluster_shows_each_field_that_differs_and_writes_nothing() {
    let Some(release) = Devpi::new("diff") else { return };
    let mark = release.audit_mark();
    let fresh = release.plugin(&["plan"], &["--cluster", "--exit-code", "-o", "json"]).ends_with(7).json();
    assert!(
        fresh["changes"].as_array().expect("it is a list").iter().all(|change| change["action"] == "create")
    );
    release.assert_nothing_changed_since(mark);

    release.apply().ends_with(0);
    release.plugin(&["plan"], &["--cluster", "--exit-code"]).ends_with(0);
    // Another host is another origin to connect to: what was granted is where the setting says.
    let another = ["--cluster", "-o", "json", "--set", "devpi_api_hostname=api.example.com"];
    let other = release.plugin(&["plan"], &another);
    assert!(other.stderr.contains("follows its settings"), "{}", other.stderr);
    assert!(other.stderr.contains("connect to https://api.example.com"), "{}", other.stderr);
    let changes = other.ends_with(0).json()["changes"].clone();
    let changed: Vec<&Value> = changes
        .as_array()
        .expect("it is a list")
        .iter()
        .filter(|change| change["action"] == "update")
        .collect();
    let paths: Vec<&str> = changed
        .iter()
        .flat_map(|change| change["fields"].as_array().expect("it is a list"))
        .map(|field| field["path"].as_str().expect("it is text"))
        .collect();
    assert!(paths.iter().any(|path| path.contains("env[DEVPI_OUTSIDE_URL].value")), "{paths:?}");
    assert!(paths.iter().any(|path| path.contains("rules") && path.contains("host")), "{paths:?}");
}

#[test]
fn grants_for_one_namespace_do_not_let_a_release_move_to_another() {
    let Some(release) = Devpi::new("moved") else { return };
    release.apply().ends_with(0);
    let other_namespace = ["--set", "devpi_namespace=kube-system", "-o", "json"];
    let error =
        release.plugin(&["plan"], &[&["--cluster"], &other_namespace[..]].concat()).ends_with(4).error();
    assert_eq!(error["error"]["kind"], "moved");
    let agreed = [&["--cluster", "--grant-requested"], &other_namespace[..]].concat();
    assert_eq!(release.plugin(&["plan"], &agreed).ends_with(0).json()["plan"]["namespace"], "kube-system");
}

#[test]
fn a_change_by_another_manager_is_reported_as_a_conflict() {
    let Some(release) = Devpi::new("drift") else { return };
    release.apply().ends_with(0);
    let patch = r#"{"data":{"service.yaml":"changed"}}"#;
    release
        .kubectl(&["patch", "configmap", "thinkube-service-config", "-n", &release.name, "-p", patch])
        .ends_with(0);
    let run = release.plugin(&["apply"], &["--yes", "--no-wait", "-o", "json"]).ends_with(1).error();
    let message = run["error"]["message"].as_str().expect("a message");
    assert!(message.contains("thinkube-service-config") && message.contains("kubectl"), "{message}");
}

#[test]
fn the_secret_is_in_its_secret_and_nowhere_else() {
    let Some(release) = Devpi::new("canary") else { return };
    let mark = release.audit_mark();
    let mut printed = String::new();
    for run in [
        release.plugin(&["plan"], &["--cluster"]),
        release.plugin(&["apply"], &["--yes", "--no-wait"]),
        release.plugin(&["plan"], &["--cluster", "-o", "json"]),
        release.run(&["status", &release.name]),
        release.run(&["status", &release.name, "-o", "json"]),
        release.run(&["check", &release.name]),
    ] {
        printed.push_str(&run.stdout);
        printed.push_str(&run.stderr);
    }
    let encoded = release
        .kubectl(&["get", "secret", "devpi-root", "-n", &release.name, "-o", "jsonpath={.data.password}"])
        .ends_with(0)
        .stdout;
    assert!(!encoded.is_empty());
    for namespace in [&release.name, &release.state_namespace()] {
        let kinds = "configmaps,deployments,services,ingresses,leases,events,pods";
        printed
            .push_str(&release.kubectl(&["get", kinds, "-n", namespace, "-o", "json"]).ends_with(0).stdout);
    }
    printed.push_str(&format!("{:?}", release.cluster().audit_events(mark).expect("there is an audit log")));
    assert!(!printed.contains(CANARY), "the secret's text was found");
    assert!(!printed.contains(&encoded), "the secret's text was found in base64");
}

#[test]
fn a_check_names_a_secret_that_differs_from_the_one_it_mirrors() {
    let Some(release) = Devpi::new("stale") else { return };
    release.apply().ends_with(0);
    let checked = || {
        let outcomes = release.run(&["check", &release.name, "-o", "json"]).json();
        let outcomes = outcomes.as_array().expect("it is a list").iter();
        let name = format!("copy/{}/harbor-pull-secret", release.name);
        let of = |outcome: &&Value| outcome["name"] == name.as_str();
        outcomes.clone().find(of).expect("a mirror has an outcome").clone()
    };
    assert_eq!(checked()["status"], "passed");
    let other = r#"{"stringData": {".dockerconfigjson": "{\"auths\": {}}"}}"#;
    release.kubectl(&["patch", "secret", "pull", "-n", &release.platform, "--patch", other]).ends_with(0);
    let stale = checked();
    assert_eq!((&stale["status"], &stale["severity"]), (&json!("failed"), &json!("warning")));
    let source = format!("Secret {}/pull has another value", release.platform);
    assert!(stale["message"].as_str().is_some_and(|message| message.starts_with(&source)), "{stale}");
    release.apply().ends_with(0);
    assert_eq!(checked()["status"], "passed");
}

#[test]
fn a_namespace_that_is_stuck_terminating_is_told_and_nothing_is_changed() {
    let Some(release) = Devpi::new("stuck") else { return };
    release.kubectl(&["create", "namespace", &release.name]).ends_with(0);
    release.kubectl_apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "holds",
        "namespace": release.name, "finalizers": ["example.org/holds"]}}));
    release.kubectl(&["delete", "namespace", &release.name, "--wait=false"]).ends_with(0);
    let mark = release.audit_mark();
    let error = release.apply().ends_with(1).error();
    let message = error["error"]["message"].as_str().expect("a message");
    assert!(message.contains(&release.name) && message.contains("being deleted"), "{message}");
    release.assert_no_writes_since(mark);
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    release.kubectl(&["patch", "configmap", "holds", "-n", &release.name, "-p", patch]).ends_with(0);
}

#[test]
fn rights_that_lack_one_kind_are_told_before_anything_is_written() {
    let Some(release) = Devpi::new("rights") else { return };
    let user = format!("user-{}", release.name);
    let rules = json!([
        {"apiGroups": [""], "resources": ["namespaces", "configmaps", "secrets", "services", "persistentvolumeclaims", "pods",
            "events", "services/proxy", "nodes"], "verbs": ["*"]},
        {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["*"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["*"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingressclasses"], "verbs": ["get", "list"]},
        {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get", "list"]},
    ]);
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": user},
        "rules": rules});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": user}, "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user}});
    release.kubectl_apply(&role);
    release.kubectl_apply(&binding);
    let kubeconfig = release.cluster().client_kubeconfig(&user, &[]).expect("a certificate");
    let arguments = release.with_inputs(&["apply"], &["--yes", "--no-wait", "-o", "json"]);
    let mut command = release.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mark = release.audit_mark();
    let error = finish(command.env("KUBECONFIG", kubeconfig)).ends_with(1).error();
    let message = error["error"]["message"].as_str().expect("a message");
    assert_eq!(error["error"]["kind"], "forbidden", "{message}");
    assert!(message.contains("ingresses") && message.contains(&user), "{message}");
    let reviews = |event: &AuditEvent| event.resource == "selfsubjectaccessreviews";
    assert_eq!(
        release.writes_since(mark).into_iter().filter(|event| !reviews(event)).collect::<Vec<_>>(),
        []
    );
    release.kubectl(&["delete", "clusterrole,clusterrolebinding", &user]);
}

#[test]
fn an_object_of_another_owner_is_not_adopted_unless_it_is_named() {
    let Some(release) = Devpi::new("owner") else { return };
    release.kubectl(&["create", "namespace", &release.name]).ends_with(0);
    release.kubectl_apply(&json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "thinkube-service-config", "namespace": release.name}, "data": {"mine": "yes"}}));
    let error = release.apply().ends_with(4).error();
    assert_eq!(error["error"]["kind"], "not-owned");
    let adopt = format!("ConfigMap/{}/thinkube-service-config", release.name);
    release.plugin(&["apply"], &["--yes", "--no-wait", "--adopt", &adopt]).ends_with(0);
    let mine =
        ["get", "configmap", "thinkube-service-config", "-n", &release.name, "-o", "jsonpath={.data.mine}"];
    assert_eq!(release.kubectl(&mine).ends_with(0).stdout, "yes");
}

#[test]
fn a_host_that_is_killed_at_any_moment_leaves_what_the_next_one_finishes() {
    let Some(release) = Devpi::new("killed") else { return };
    let arguments = release.with_inputs(&["apply"], &["--yes", "--no-wait", "--quiet"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for milliseconds in [60, 120, 180, 240, 320, 420] {
        let mut host = release
            .command(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(milliseconds));
        host.kill().expect("it can be killed");
        host.wait().expect("the process ends");
    }
    let begin = Instant::now();
    let finished = release.apply().ends_with(0).json();
    assert!(begin.elapsed() < Duration::from_secs(60), "the dead host's Lease must expire");
    assert_eq!(finished["release"]["phase"], "deployed");
    release.uninstall(&["--delete-data"]);
    assert_eq!(release.all_objects(), BTreeSet::new());
}

#[test]
fn an_interrupted_apply_says_so_and_the_record_does_too() {
    let Some(release) = Devpi::new("ctrlc") else { return };
    // No pod of this image starts, so the apply waits for the Deployment until it is interrupted.
    let arguments = release.with_inputs(&["apply"], &["--yes", "-o", "json"]);
    let mut command = release.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mut host = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut printed = String::new();
    let mut lines = BufReader::new(host.stderr.take().expect("it is piped")).lines();
    while !printed.contains("waiting for Deployment") {
        printed.push_str(&lines.next().unwrap_or_else(|| panic!("it ended: {printed}")).expect("it is text"));
    }
    finish(Command::new("kill").args(["-INT", &host.id().to_string()])).ends_with(0);
    let rest: Vec<String> = lines.map(|line| line.expect("it is text")).collect();
    assert_eq!(host.wait().expect("the process ends").code(), Some(130));
    assert!(rest.last().is_some_and(|line| line.contains("interrupted")), "{rest:?}");
    let status = release.run(&["status", &release.name, "-o", "json"]).ends_with(0).json();
    assert_eq!(status["phase"], "interrupted");
    // The host released the Lease, so the next one need not wait for its expiry.
    release.uninstall(&["--delete-data"]);
    assert_eq!(release.all_objects(), BTreeSet::new());
}

#[test]
fn facts_recorded_from_a_cluster_give_the_same_plan_without_it() {
    let Some(release) = Devpi::new("facts") else { return };
    let file = release.path("facts.json");
    let (file, component) = (file.to_str().expect("it is text"), python().to_str().expect("it is text"));
    let inputs = [
        "plan",
        component,
        "--release",
        &release.name,
        "--set",
        "image=registry.invalid/shell:1",
        "-o",
        "json",
    ];
    let live =
        release.run(&[&inputs[..], &["--cluster", "--record-facts", file]].concat()).ends_with(0).json();
    let replayed = release.run(&[&inputs[..], &["--facts", file]].concat()).ends_with(0).json();
    assert_eq!(live["digest"], replayed["digest"]);
    assert_eq!(live["facts"].as_array().map(Vec::len), Some(1));
}

#[test]
fn kubectl_finds_the_host_as_a_plugin() {
    let Some(release) = Devpi::new("kubectl") else { return };
    let folder = thinkube_e2e::host().parent().expect("it is in a folder").to_owned();
    let path = std::env::join_paths(
        std::iter::once(folder).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut kubectl = Command::new(release.cluster().kubectl());
    kubectl
        .args(["thinkube", "status"])
        .env("PATH", path.expect("a path"))
        .env("KUBECONFIG", release.cluster().kubeconfig());
    kubectl.env("THINKUBE_STATE_NAMESPACE", release.state_namespace()).current_dir(root());
    assert_eq!(finish(&mut kubectl).ends_with(0).stdout, "no releases are installed\n");
}
