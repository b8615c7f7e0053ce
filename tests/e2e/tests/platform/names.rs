//! What a pod finds by name, and that nothing leads out.

use crate::fixtures::{apply, pod, printed, python, toolbox};
use serde_json::json;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;
use thinkube_test_cluster::{Addon, TestNamespace};

/// For each name its address, or why there is none; `slow` in front of what took longer than anybody should wait.
const NAMES: &str = "import socket, sys, time
for name in sys.argv[1:]:
    begin = time.monotonic()
    try: found = socket.getaddrinfo(name, 443, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    except socket.gaierror as error: found = 'none' if error.errno == socket.EAI_NONAME else str(error)
    print('slow' if time.monotonic() - begin > 2 else 'fast', found)
";

/// For each address how a connection to it goes.
const PACKETS: &str = "import socket, sys, time
for address in sys.argv[1:]:
    host, port = address.rsplit(':', 1)
    begin = time.monotonic()
    try:
        socket.create_connection((host, int(port)), timeout=10)
        found = 'open'
    except TimeoutError: found = 'silent'
    except OSError: found = 'refused'
    print('slow' if time.monotonic() - begin > 2 else 'fast', found)
";

fn asks(namespace: &TestNamespace, script: &str, arguments: &[&str]) -> String {
    let command = [&["python3", "-c", script], arguments].concat();
    apply(namespace, json!([pod("asks", python(namespace), &command)]));
    printed(namespace, "asks")
}

#[test]
fn a_pod_resolves_services_and_the_test_domain_and_no_other_name() {
    let Some(namespace) = TestNamespace::with([Addon::Node]) else { return };
    let door = namespace.cluster().address().expect("an address").to_string();
    let names =
        ["kubernetes.default", "kubernetes.default.svc.cluster.local", "auth.thinkube.test", "example.org"];
    let printed = asks(&namespace, NAMES, &names);
    let expected = ["fast 10.96.0.1", "fast 10.96.0.1", &format!("fast {door}"), "fast none"];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);

    // In the words of the protocol: the name does not exist, as opposed to a server that can't say.
    let script = "nslookup -type=a example.org. 2>&1; nslookup -type=a auth.thinkube.test. 2>&1";
    apply(&namespace, json!([pod("lookup", toolbox(&namespace), &["sh", "-c", script])]));
    let answers = crate::fixtures::printed(&namespace, "lookup");
    assert!(answers.contains("can't find example.org.: NXDOMAIN"), "{answers}");
    assert!(answers.contains(&format!("Address: {door}")), "{answers}");
}

#[test]
fn no_packet_of_a_pod_leaves_the_cluster_not_even_to_this_machine() {
    let Some(namespace) = TestNamespace::with([Addon::Node]) else { return };
    let inside = namespace.cluster().address().expect("an address");
    // A server listens at the machine's end of the link, so that only the way to it is closed.
    let listener = TcpListener::bind((own_end(inside), 0)).expect("the machine's end of the link");
    let own = listener.local_addr().expect("an address");
    TcpStream::connect(own).expect("this machine reaches itself");
    let apiserver = SocketAddr::new(inside, 6443);
    TcpStream::connect_timeout(&apiserver, Duration::from_secs(5)).expect("this machine reaches the cluster");

    // The second and the third are reserved for documentation: they lead nowhere on any network.
    let addresses =
        [apiserver.to_string(), "192.0.2.1:80".into(), "198.51.100.1:443".into(), own.to_string()];
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let printed = asks(&namespace, PACKETS, &addresses);
    assert_eq!(
        printed.lines().collect::<Vec<_>>(),
        ["fast open", "fast refused", "fast refused", "fast refused"]
    );
    drop(listener);
}

/// The address that this machine has towards the cluster.
fn own_end(inside: IpAddr) -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // No packet is sent by this.
    socket.connect((inside, 9)).expect("a route");
    socket.local_addr().expect("an address").ip()
}
