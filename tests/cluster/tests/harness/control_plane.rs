//! The control plane alone, started for real on loopback beside any other cluster.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{Guard, admin, eventually, kubectl, traces};
use thinkube_test_cluster::{Cluster, Error, Health, Node, Options, down, status};

#[test]
fn a_control_plane_comes_up_is_found_again_and_goes_without_a_trace() {
    let guard = Guard::new("cp");
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

    let required = Cluster::up(&Options { name: guard.name().to_owned(), node: Node::Required }, &mut |_| ());
    assert!(matches!(required, Err(Error::NoNode(_))), "{required:?}");

    let state = status(guard.name()).expect("a status");
    assert_eq!(
        (state.health, state.running.len(), state.missing.len()),
        (Health::Running, 4, 0),
        "{state:?}"
    );
    assert!(!traces(&guard).is_empty(), "the traces of a running cluster are seen");

    guard.down();
    assert_eq!(traces(&guard), [].into(), "after");
    assert_eq!(status(guard.name()).expect("a status").health, Health::Absent);
    assert!(!down(guard.name(), &mut |_| ()).expect("down succeeds"), "down finds nothing the second time");
}

#[test]
fn a_broken_cluster_is_started_anew() {
    let guard = Guard::new("broken");
    let Some(cluster) = guard.up(Node::Never) else { return };
    admin(&cluster, &["create", "namespace", "of-the-first"], "");
    let state = status(guard.name()).expect("a status");
    let (_, etcd) = state.running.iter().find(|(name, _)| name == "etcd").expect("etcd runs");
    assert!(Command::new("kill").args(["-9", &etcd.to_string()]).status().expect("kill").success());
    eventually("broken health", Duration::from_secs(10), || {
        status(guard.name()).expect("a status").health == Health::Broken
    });
    assert!(Cluster::attach(guard.name()).expect("no error").is_none());

    let cluster = guard.up(Node::Never).expect("a new cluster");
    assert!(!admin(&cluster, &["get", "namespaces"], "").contains("of-the-first"));
}

#[test]
fn rbac_pod_security_admission_policies_and_the_audit_log_are_on() {
    let guard = Guard::new("on");
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
