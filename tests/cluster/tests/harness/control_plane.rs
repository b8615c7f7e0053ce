//! The control plane alone, started for real on loopback beside any other cluster.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{ClusterGuard, admin, eventually, kubectl, servers, traces};
use thinkube_test_cluster::{
    Cluster, Error, Health, Node, Options, ServerState, cluster_names, down, pause, restart, resume, status,
};

#[test]
fn a_control_plane_comes_up_is_found_again_and_goes_without_a_trace() {
    let guard = ClusterGuard::new("cp");
    assert_eq!(traces(&guard), [].into(), "before");
    let Some(cluster) = guard.up(Node::Never) else { return };
    assert!(!cluster.has_node() && cluster.netns().is_none() && cluster.devpi_image().is_none());

    let begin = Instant::now();
    let again = guard.up(Node::Never).expect("the same cluster");
    assert!(begin.elapsed() < Duration::from_secs(1), "found again after {:?}", begin.elapsed());
    assert_eq!(again.kubeconfig(), cluster.kubeconfig());
    assert_eq!(
        Cluster::attach(guard.name()).expect("no error").expect("a cluster").kubeconfig(),
        cluster.kubeconfig()
    );

    let required = Options { name: guard.name().to_owned(), node: Node::Required, ..Options::default() };
    let required = Cluster::up(&required, &mut |_| ());
    assert!(matches!(required, Err(Error::NoNode(_))), "{required:?}");

    assert_eq!(status(guard.name()).expect("a status").health, Health::Running);
    let is_named = || cluster_names().expect("a list").iter().any(|name| name == guard.name());
    assert!(is_named(), "a running cluster is listed");
    let names = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    assert_eq!(servers(&guard), names.map(|name| (name, ServerState::Running)));
    assert!(!traces(&guard).is_empty(), "the traces of a running cluster are seen");

    guard.down();
    assert_eq!(traces(&guard), [].into(), "after");
    assert_eq!(status(guard.name()).expect("a status").health, Health::Absent);
    assert!(!is_named(), "a cluster that has gone is not listed");
    assert!(!down(guard.name(), &mut |_| ()).expect("down succeeds"), "down finds nothing the second time");
}

#[test]
fn a_server_that_has_ended_is_started_again_and_nothing_is_lost() {
    let guard = ClusterGuard::new("ended");
    let Some(cluster) = guard.up(Node::Never) else { return };
    admin(&cluster, &["create", "namespace", "of-the-first"], "");
    let state = status(guard.name()).expect("a status");
    let etcd = state.servers.iter().find(|server| server.name == "etcd").and_then(|server| server.pid);
    let etcd = etcd.expect("etcd runs").to_string();
    assert!(Command::new("kill").args(["-9", &etcd]).status().expect("kill").success());
    eventually("broken health", Duration::from_secs(10), || {
        status(guard.name()).expect("a status").health == Health::Broken
    });
    assert!(servers(&guard).contains(&("etcd", ServerState::Missing)));
    assert!(Cluster::attach(guard.name()).expect("no error").is_none());

    let cluster = guard.up(Node::Never).expect("the same cluster");
    assert!(admin(&cluster, &["get", "namespaces"], "").contains("of-the-first"));
}

#[test]
fn a_cluster_with_an_invalid_record_is_replaced() {
    let guard = ClusterGuard::new("record");
    let Some(cluster) = guard.up(Node::Never) else { return };
    admin(&cluster, &["create", "namespace", "of-the-first"], "");
    std::fs::write(guard.folder().join("state.json"), "{").expect("a file");
    assert_eq!(status(guard.name()).expect("a status").health, Health::Broken);

    let cluster = guard.up(Node::Never).expect("a new cluster");
    assert!(!admin(&cluster, &["get", "namespaces"], "").contains("of-the-first"));
}

#[test]
fn a_paused_server_does_nothing_and_a_restarted_one_is_another_process() {
    let guard = ClusterGuard::new("pause");
    let Some(cluster) = guard.up(Node::Never) else { return };
    let pid = |name: &str| {
        let state = status(guard.name()).expect("a status");
        state.servers.iter().find(|server| server.name == name).and_then(|server| server.pid)
    };

    pause(guard.name(), "kube-controller-manager").expect("a signal");
    eventually("a paused server", Duration::from_secs(5), || {
        servers(&guard).contains(&("kube-controller-manager", ServerState::Paused))
    });
    // Only the controller manager makes the ServiceAccount of a namespace.
    admin(&cluster, &["create", "namespace", "a"], "");
    let account = ["get", "serviceaccount", "default", "--namespace=a"];
    std::thread::sleep(Duration::from_secs(1));
    assert!(!kubectl(&cluster, cluster.kubeconfig(), &account, "").status.success());
    resume(guard.name(), "kube-controller-manager").expect("a signal");
    eventually("the ServiceAccount", Duration::from_secs(20), || {
        kubectl(&cluster, cluster.kubeconfig(), &account, "").status.success()
    });

    // What is paused when `up` is called goes on.
    pause(guard.name(), "kube-apiserver").expect("a signal");
    guard.up(Node::Never).expect("the same cluster");
    assert!(servers(&guard).iter().all(|(_, state)| *state == ServerState::Running));

    let before = pid("kube-apiserver");
    restart(guard.name(), "kube-apiserver").expect("a restart");
    assert!(before.is_some() && pid("kube-apiserver").is_some() && pid("kube-apiserver") != before);
    admin(&cluster, &["get", "namespace", "a"], "");

    let unknown = pause(guard.name(), "kubelet").expect_err("no such server").to_string();
    assert!(unknown.contains("kubelet") && unknown.contains("etcd, kube-apiserver"), "{unknown}");
    assert!(matches!(pause("t-unknown", "etcd"), Err(Error::NotRunning(_))));
}

/// Everything that can be listed, but what comes and goes by itself.
fn everything(cluster: &Cluster) -> BTreeSet<String> {
    let kinds = admin(cluster, &["api-resources", "--cached=false", "--verbs=list,delete", "-o", "name"], "");
    let by_themselves = ["events", "events.events.k8s.io", "leases.coordination.k8s.io"];
    let kinds: Vec<_> = kinds.lines().filter(|kind| !by_themselves.contains(kind)).collect();
    let paths = "jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}";
    let listed = admin(cluster, &["get", &kinds.join(","), "--all-namespaces", "-o", paths], "");
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn reset_removes_everything_in_spite_of_finalizers_and_webhooks() {
    let guard = ClusterGuard::new("reset");
    let Some(cluster) = guard.up(Node::Never) else { return };
    let before = everything(&cluster);
    let made = r#"{"apiVersion":"v1","kind":"List","items":[
        {"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}},
        {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"held","namespace":"a","finalizers":["x.test/held"]}},
        {"apiVersion":"v1","kind":"Service","metadata":{"name":"s","namespace":"a"},"spec":{"ports":[{"port":80}]}},
        {"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"default"}},
        {"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"r"}},
        {"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"xs.x.test"},
         "spec":{"group":"x.test","scope":"Namespaced","names":{"plural":"xs","kind":"X"},"versions":[{"name":"v1",
         "served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}]}"#;
    admin(&cluster, &["apply", "-f", "-"], made);
    admin(&cluster, &["wait", "--for=condition=Established", "crd/xs.x.test"], "");
    let custom = r#"{"apiVersion":"x.test/v1","kind":"X","metadata":{"name":"x","namespace":"a","finalizers":["x.test/held"]}}"#;
    admin(&cluster, &["apply", "-f", "-"], custom);
    // From here on nothing can be deleted in the ordinary way: no server answers this webhook.
    let webhook = r#"{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration",
        "metadata":{"name":"no"},"webhooks":[{"name":"no.x.test","sideEffects":"None","admissionReviewVersions":["v1"],
        "clientConfig":{"url":"https://127.0.0.1:1/"},"rules":[{"apiGroups":["*"],"apiVersions":["*"],
        "operations":["DELETE"],"resources":["*/*"]}]}]}"#;
    admin(&cluster, &["apply", "-f", "-"], webhook);
    eventually("a webhook that refuses", Duration::from_secs(20), || {
        let delete = ["delete", "secret", "s", "--namespace=default", "--dry-run=server"];
        !kubectl(&cluster, cluster.kubeconfig(), &delete, "").status.success()
    });
    assert!(everything(&cluster).len() > before.len() + 5);

    cluster.reset(&mut |_| ()).expect("a reset");
    let left = || everything(&cluster).symmetric_difference(&before).cloned().collect::<Vec<_>>();
    // What the controllers themselves make in the namespaces of every cluster may have to be made again.
    let begin = Instant::now();
    while !left().is_empty() && begin.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(left(), Vec::<String>::new());
    assert_eq!(status(guard.name()).expect("a status").health, Health::Running);

    // And the same can be made again, by the same servers.
    admin(&cluster, &["apply", "-f", "-"], made);
    admin(&cluster, &["delete", "secret", "s", "--namespace=default"], "");
    eventually("a ServiceAccount in the new namespace", Duration::from_secs(20), || {
        let account = ["get", "serviceaccount", "default", "--namespace=a"];
        kubectl(&cluster, cluster.kubeconfig(), &account, "").status.success()
    });
}

#[test]
fn rbac_pod_security_admission_policies_and_the_audit_log_are_on() {
    let guard = ClusterGuard::new("on");
    let Some(cluster) = guard.up(Node::Never) else { return };
    let before = cluster.audit_offset().expect("an audit log");

    // A user may do what a role lets its name or one of its groups do, and nothing else.
    admin(&cluster, &["create", "namespace", "a"], "");
    admin(
        &cluster,
        &["create", "role", "reader", "--namespace=a", "--verb=get,list", "--resource=configmaps"],
        "",
    );
    admin(
        &cluster,
        &["create", "rolebinding", "reader", "--namespace=a", "--role=reader", "--group=readers"],
        "",
    );
    let access = cluster.client_kubeconfig("jane:doe", &["others", "readers"]).expect("a kubeconfig");
    let whoami = kubectl(&cluster, &access, &["auth", "whoami", "-o", "json"], "");
    let whoami = String::from_utf8_lossy(&whoami.stdout).into_owned();
    assert!(["jane:doe", "others", "readers"].iter().all(|word| whoami.contains(word)), "{whoami}");
    assert!(kubectl(&cluster, &access, &["get", "configmaps", "--namespace=a"], "").status.success());
    let refused = kubectl(&cluster, &access, &["create", "configmap", "c", "--namespace=a"], "");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is forbidden"), "{refused:?}");
    assert!(matches!(
        cluster.client_kubeconfig("jane", &["a", "b", "c"]),
        Err(Error::Groups { given: 3, max: 2 })
    ));

    // Pod Security.
    admin(&cluster, &["label", "namespace", "a", "pod-security.kubernetes.io/enforce=restricted"], "");
    let privileged = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"a"},
        "spec":{"containers":[{"name":"c","image":"i","securityContext":{"privileged":true}}]}}"#;
    let refused = kubectl(&cluster, cluster.kubeconfig(), &["apply", "-f", "-"], privileged);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("violates PodSecurity"), "{refused:?}");

    // ValidatingAdmissionPolicy.
    let policy = r#"{"apiVersion":"v1","kind":"List","items":[
        {"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicy","metadata":{"name":"no-x"},
         "spec":{"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],
         "resources":["configmaps"]}]},"validations":[{"expression":"object.metadata.name != 'x'","message":"not x"}]}},
        {"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicyBinding",
         "metadata":{"name":"no-x"},"spec":{"policyName":"no-x","validationActions":["Deny"]}}]}"#;
    admin(&cluster, &["apply", "-f", "-"], policy);
    eventually("a denial by the policy", Duration::from_secs(20), || {
        let refused = kubectl(
            &cluster,
            cluster.kubeconfig(),
            &["create", "configmap", "x", "--namespace=a", "--dry-run=server"],
            "",
        );
        String::from_utf8_lossy(&refused.stderr).contains("not x")
    });

    // The audit log knows who wrote what, right after the answer.
    let mark = cluster.audit_offset().expect("an audit log");
    admin(&cluster, &["create", "configmap", "y", "--namespace=a"], "");
    let events = cluster.audit_events(mark).expect("events");
    let writes: Vec<_> =
        events.iter().filter(|event| event.is_write() && event.user == "thinkube-admin").collect();
    assert_eq!(writes.len(), 1, "{writes:?}");
    let write = writes[0];
    assert_eq!((write.verb.as_str(), write.resource.as_str(), write.code), ("create", "configmaps", 201));
    assert_eq!((write.namespace.as_str(), write.subresource.as_str()), ("a", ""));
    assert!(write.user_agent.starts_with("kubectl/v1.34"), "{}", write.user_agent);
    let all = cluster.audit_events(before).expect("events");
    assert!(
        all.iter().any(|event| event.user == "jane:doe" && event.code == 403),
        "the refusal is in the log"
    );

    // ServiceAccounts have tokens that the server takes, and a namespace comes to an end.
    let token = admin(&cluster, &["create", "token", "default", "--namespace=a"], "");
    assert_eq!(token.trim().split('.').count(), 3, "a JSON Web Token");
    admin(&cluster, &["delete", "namespace", "a", "--wait=true", "--timeout=60s"], "");
}

#[test]
fn names_that_could_not_be_a_cluster_are_refused() {
    for name in ["", "-a", "A", "1a", "a/b", "..", "a b", "abcdefghijklmnopqrstu"] {
        assert!(matches!(status(name), Err(Error::Name(_))), "{name}");
    }
}
