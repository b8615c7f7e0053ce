//! A real node: pods, volumes, Services, no way out, and nothing left.

use std::fs;
use std::time::Duration;

use crate::common::{ClusterGuard, admin, machine, traces};
use thinkube_test_cluster::{Cluster, Health, Node, status};

const ROLLOUT_TIMEOUT: &str = "--timeout=120s";

fn devpi(image: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"List","items":[
        {{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{{"name":"data"}},
          "spec":{{"accessModes":["ReadWriteOnce"],"resources":{{"requests":{{"storage":"5Gi"}}}}}}}},
        {{"apiVersion":"v1","kind":"Service","metadata":{{"name":"devpi"}},
          "spec":{{"selector":{{"app":"devpi"}},"ports":[{{"port":3141}}]}}}},
        {{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"devpi"}},
          "spec":{{"selector":{{"matchLabels":{{"app":"devpi"}}}},"strategy":{{"type":"Recreate"}},
            "template":{{"metadata":{{"labels":{{"app":"devpi"}}}},"spec":{{
              "securityContext":{{"runAsNonRoot":true,"runAsUser":1000,"runAsGroup":1000,"fsGroup":1000,
                "seccompProfile":{{"type":"RuntimeDefault"}}}},
              "containers":[{{"name":"devpi","image":"{image}",
                "securityContext":{{"allowPrivilegeEscalation":false,"capabilities":{{"drop":["ALL"]}}}},
                "env":[{{"name":"DEVPISERVER_SERVERDIR","value":"/devpi/server"}},
                       {{"name":"DEVPISERVER_ROOT_PASSWD","value":"a-password"}},
                       {{"name":"DEVPI_OUTSIDE_URL","value":"https://packages.thinkube.test"}},
                       {{"name":"DEVPI_EXTRA_ARGS","value":"--restrict-modify=root --request-timeout=7"}}],
                "readinessProbe":{{"httpGet":{{"path":"/","port":3141}},"periodSeconds":1}},
                "volumeMounts":[{{"name":"data","mountPath":"/devpi"}}]}}],
              "volumes":[{{"name":"data","persistentVolumeClaim":{{"claimName":"data"}}}}]}}}}}}}}]}}"#
    )
}

fn install(cluster: &Cluster, namespace: &str, image: &str) {
    admin(cluster, &["create", "namespace", namespace], "");
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    admin(cluster, &["label", "namespace", namespace, enforce], "");
    admin(cluster, &["apply", "--namespace", namespace, "-f", "-"], &devpi(image));
    admin(cluster, &["rollout", "status", "deployment/devpi", "--namespace", namespace, ROLLOUT_TIMEOUT], "");
}

fn python(cluster: &Cluster, namespace: &str, script: &str) -> String {
    let pod = ["exec", "deployment/devpi", "--namespace", namespace, "--", "python3", "-c", script];
    admin(cluster, &pod, "")
}

#[test]
fn two_clusters_with_nodes_stand_side_by_side_and_one_of_them_goes_alone() {
    let (left, right) = (ClusterGuard::new("left"), ClusterGuard::new("right"));
    let Some(first) = left.up(Node::Required) else { return };
    let second = right.up(Node::Required).expect("a second cluster");
    assert_ne!(first.address().expect("an address"), second.address().expect("an address"));
    for (cluster, namespace) in [(&first, "one"), (&second, "two")] {
        install(cluster, namespace, cluster.devpi_image().expect("an image"));
    }
    left.down();
    assert_eq!(traces(&left), [].into());
    assert!(python(&second, "two", "print('alive')").contains("alive"));
    assert_eq!(status(right.name()).expect("a status").health, Health::Running);
}

#[test]
fn a_node_runs_devpi_on_a_volume_and_nothing_of_it_is_left_afterwards() {
    let guard = ClusterGuard::new("node");
    let before = machine();
    let Some(cluster) = guard.up(Node::Required) else { return };
    let image = cluster.devpi_image().expect("an image of DevPI").to_owned();
    let digest = cluster.devpi_image_digest().expect("its digest").to_owned();
    assert!(digest.starts_with("thinkube.test/library/devpi@sha256:"), "{digest}");

    assert!(
        traces(&guard).iter().any(|trace| trace.starts_with("link")),
        "the link of a running cluster is seen"
    );
    install(&cluster, "one", &image);
    // fsGroup makes the volume writable for uid 1000; the server's secret file is its own alone.
    let modes = python(
        &cluster,
        "one",
        "import os; print([oct(os.stat(p).st_mode & 0o777) for p in ['/devpi/server', '/devpi/server/secret']])",
    );
    assert_eq!(modes.trim(), "['0o700', '0o600']");
    // By the Service's address from a pod, by its address from the node's namespace, and through the apiserver.
    let address = admin(
        &cluster,
        &["get", "service", "devpi", "--namespace=one", "-o", "jsonpath={.spec.clusterIP}"],
        "",
    );
    let get = format!(
        "import urllib.request as u; print(u.build_opener(u.ProxyHandler({{}})).open('http://{address}:3141/+api', \
         timeout=10).read().decode())"
    );
    assert!(python(&cluster, "one", &get).contains("https://packages.thinkube.test"), "the outside URL");
    let inside =
        cluster.command(cluster.kubectl()).args(["version"]).output().expect("kubectl in the namespace");
    assert!(inside.status.success(), "{inside:?}");
    let proxied =
        admin(&cluster, &["get", "--raw=/api/v1/namespaces/one/services/devpi:3141/proxy/+api"], "");
    assert!(proxied.contains("apiconfig"), "{proxied}");
    assert!(admin(&cluster, &["logs", "deployment/devpi", "--namespace=one"], "").contains("Serving on"));

    // The root password was set at the first start.
    let login = "import json, urllib.request as u\n\
        def status(password):\n\
        \x20   body = json.dumps({'user': 'root', 'password': password}).encode()\n\
        \x20   request = u.Request('http://127.0.0.1:3141/+login', body, {'Content-Type': 'application/json'})\n\
        \x20   try: return u.build_opener(u.ProxyHandler({})).open(request, timeout=10).status\n\
        \x20   except u.HTTPError as error: return error.code\n\
        import urllib.error; u.HTTPError = urllib.error.HTTPError\n\
        print(status('a-password'), status(''))";
    assert_eq!(python(&cluster, "one", login).trim(), "200 401");

    // No way out: neither a packet nor a name. The addresses are those that are reserved for documentation.
    let way_out = "import socket\n\
        def tries(what):\n\
        \x20   try: socket.create_connection(what, timeout=5); return 'out'\n\
        \x20   except OSError: return 'in'\n\
        print(tries(('192.0.2.1', 80)), tries(('198.51.100.1', 443)))";
    assert_eq!(python(&cluster, "one", way_out).trim(), "in in");
    let routes = cluster.command("ip").args(["route", "get", "192.0.2.1"]).output().expect("ip");
    assert!(!routes.status.success(), "{routes:?}");

    // A public name does not exist, which is answered at once; the cluster's own names do.
    let name = "import socket, time\n\
        begin = time.time()\n\
        def tries(name):\n\
        \x20   try: return socket.getaddrinfo(name, 443)[0][4][0]\n\
        \x20   except OSError: return 'none'\n\
        print(tries('example.org'), tries('packages.thinkube.test'), tries('devpi.one.svc'), time.time() - begin < 2)";
    let front_door = cluster.address().expect("an address").to_string();
    assert_eq!(python(&cluster, "one", name).trim(), format!("none {front_door} {address} True"));

    // A volume is deleted with its PVC; by digest the same image starts.
    let volumes = guard.folder().join("volumes");
    assert_eq!(fs::read_dir(&volumes).expect("a folder").count(), 1);
    admin(&cluster, &["delete", "namespace", "one", "--wait=true", ROLLOUT_TIMEOUT], "");
    crate::common::eventually("no volume", Duration::from_secs(30), || {
        admin(&cluster, &["get", "persistentvolumes", "-o", "name"], "").is_empty()
            && fs::read_dir(&volumes).expect("a folder").count() == 0
    });
    install(&cluster, "two", &digest);

    // After the reset the same pod starts on an empty volume.
    cluster.reset(&mut |_| ()).expect("a reset");
    assert_eq!(fs::read_dir(&volumes).expect("a folder").count(), 0);
    crate::common::eventually("no pod", Duration::from_secs(10), || {
        admin(&cluster, &["get", "pods", "--all-namespaces", "-o", "name"], "").is_empty()
    });
    install(&cluster, "two", &image);

    // With the pod running: an orderly end of everything is not to be had.
    guard.down();
    assert_eq!(traces(&guard), [].into());
    // Clusters of other tests come and go at the same time, and so do pods of the cluster that all tests share.
    let of_others = ["thinkube-t-", "/t-", "link tk", "/cluster/default/"];
    let left: Vec<_> = machine()
        .difference(&before)
        .filter(|name| of_others.iter().all(|mark| !name.contains(mark)))
        .cloned()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
