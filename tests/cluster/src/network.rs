//! The network namespace that everything of a cluster with a node runs in, and the one link into it.
//!
//! Its default route is `unreachable`: no packet of a pod can leave the machine, whatever a test does. All ports are
//! free in it, and every iptables rule goes with it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::apiserver::SERVICES;
use crate::error::Result;
use crate::hash;
use crate::paths::Layout;
use crate::process::{Answer, helper, run};
use crate::state::Record;

/// Pods get their addresses from here.
pub(crate) const PODS: &str = "10.244.0.0/24";
/// The bridge's address.
const PODS_GATEWAY: &str = "10.244.0.1/24";
/// The bridge that the CNI plugin puts pods on.
pub(crate) const BRIDGE: &str = "cni0";

/// The name under /run/netns.
pub(crate) fn netns(layout: &Layout) -> String {
    format!("thinkube-{}", layout.id())
}

/// The host's end of the link. The kernel allows 15 characters.
pub(crate) fn link(layout: &Layout) -> String {
    format!("tk{}", &hash(&[layout.root.as_os_str().as_encoded_bytes()])[..8])
}

/// Two neighbouring addresses of 10.200.0.0/16 that this machine does not use: the host's and the cluster's.
pub(crate) fn free_addresses(layout: &Layout) -> Result<(Ipv4Addr, Ipv4Addr)> {
    let used = ip(layout, &["-o", "-4", "addr", "show"])?;
    let used: BTreeSet<&str> =
        used.split_whitespace().filter_map(|word| word.split_once('/').map(|(address, _)| address)).collect();
    // The usual cluster has the first pair, so that people learn one address; another name starts at a place of its own.
    let first = if layout.name == "default" {
        0
    } else {
        u16::from_str_radix(&hash(&[layout.name.as_bytes()])[..3], 16).unwrap_or(1)
    };
    let pairs = (0..=0x3fff_u16).map(|n| (first + n) & 0x3fff).map(pair);
    let free = pairs.into_iter().find(|(host, inside)| {
        !used.contains(host.to_string().as_str()) && !used.contains(inside.to_string().as_str())
    });
    Ok(free.unwrap_or_else(|| pair(0)))
}

/// The n-th network of four addresses.
fn pair(n: u16) -> (Ipv4Addr, Ipv4Addr) {
    let base = u32::from(Ipv4Addr::new(10, 200, 0, 0)) + 4 * u32::from(n);
    (Ipv4Addr::from(base + 1), Ipv4Addr::from(base + 2))
}

pub(crate) fn make(layout: &Layout, host: Ipv4Addr, inside: Ipv4Addr) -> Result<()> {
    let (netns, link) = (netns(layout), link(layout));
    let (host, inside) = (format!("{host}/30"), inside.to_string());
    ip(layout, &["netns", "add", &netns])?;
    let set = |setting: &str, value: u8| {
        let write = format!("echo {value} > /proc/sys/{setting}");
        let mut command = helper("nsenter", layout);
        command.arg(format!("--net=/run/netns/{netns}")).args(["--", "sh", "-c", &write]);
        run(&mut command)
    };
    // Before there is a link but loopback, which keeps ::1: by an address that IPv6 gives itself the machine could be
    // reached; and a browser in here breaks off what it does whenever a pod's link gets or loses one. A kernel without IPv6
    // has no such setting.
    let _ = set("net/ipv6/conf/default/disable_ipv6", 1);
    ip(layout, &["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &netns])?;
    ip(layout, &["addr", "add", &host, "dev", &link])?;
    ip(layout, &["link", "set", &link, "up"])?;
    let within = |arguments: &[&str]| ip(layout, &[&["-n", &netns], arguments].concat());
    within(&["link", "set", "lo", "up"])?;
    within(&["addr", "add", &format!("{inside}/30"), "dev", "eth0"])?;
    within(&["link", "set", "eth0", "up"])?;
    within(&["route", "add", "unreachable", "default"])?;
    // Before the first pod, because the route to the Services leads over the bridge: without a route the node's own
    // processes never get as far as the rule that turns a Service's address into a pod's.
    within(&["link", "add", BRIDGE, "type", "bridge"])?;
    within(&["addr", "add", PODS_GATEWAY, "dev", BRIDGE])?;
    within(&["link", "set", BRIDGE, "up"])?;
    within(&["route", "add", SERVICES, "dev", BRIDGE, "src", &inside])?;
    // An address in that range that is no Service's would be looked for on the bridge, for seconds; above all the DNS server
    // that pods are told of where none runs. What is a Service's has another destination by the time it comes here.
    for chain in ["FORWARD", "OUTPUT"] {
        let reject = ["-w", "-A", chain, "-d", SERVICES, "-j", "REJECT"];
        let mut command = helper("nsenter", layout);
        command.arg(format!("--net=/run/netns/{netns}")).args(["--", "iptables"]).args(reject);
        run(&mut command)?;
    }
    // What is in here answers the machine and asks it nothing: no pod reaches a server of the machine's. It is told so at
    // once; and what kube-proxy accepts before these rules, a Service that leads there, is dropped at the very end.
    let new = ["-o", "eth0", "-m", "conntrack", "--ctstate", "NEW", "-j"];
    for (place, verdict) in [
        (&["-A", "FORWARD"][..], "REJECT"),
        (&["-A", "OUTPUT"], "REJECT"),
        (&["-t", "mangle", "-A", "POSTROUTING"], "DROP"),
    ] {
        let mut command = helper("nsenter", layout);
        command.arg(format!("--net=/run/netns/{netns}")).args(["--", "iptables", "-w"]);
        run(command.args(place).args(new).arg(verdict))?;
    }
    let settings = [
        ("net/ipv4/ip_forward", 1),
        // Traffic between two pods of the bridge must pass iptables, or a pod can't reach a Service on its own node.
        ("net/bridge/bridge-nf-call-iptables", 1),
        // Without a limit: who tries many unreachable addresses is told so at once each time, and need not wait.
        ("net/ipv4/icmp_ratelimit", 0),
    ];
    for (setting, value) in settings {
        set(setting, value)?;
    }
    Ok(())
}

/// Does something in the cluster's network namespace, where Services have addresses and loopback is its own. The thread
/// that did it ends there: it could not come back for certain.
pub(crate) fn within(record: &Record, ask: impl FnOnce() -> Answer + Send) -> Answer {
    let Some(netns) = record.netns_file() else { return ask() };
    let enter = move || -> io::Result<Answer> {
        let file = File::open(netns)?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(ask())
    };
    match thread::scope(|scope| scope.spawn(enter).join()) {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::NotYet(format!("the network namespace: {error}")),
        Err(_) => Answer::NotYet("the thread that asked is gone".to_owned()),
    }
}

/// The namespace exists; it does not outlive the machine's end.
pub(crate) fn is_there(layout: &Layout) -> bool {
    Path::new("/run/netns").join(netns(layout)).exists()
}

/// Removes link and namespace; says nothing when there are none. What is left is found by `left`.
pub(crate) fn remove(layout: &Layout) {
    // The link first: with the namespace it would go too, but some time later.
    let _ = ip(layout, &["link", "del", &link(layout)]);
    if is_there(layout) {
        let _ = ip(layout, &["netns", "del", &netns(layout)]);
    }
}

/// What is there of link and namespace.
pub(crate) fn left(layout: &Layout) -> Vec<String> {
    let link = Path::new("/sys/class/net").join(link(layout));
    let netns = Path::new("/run/netns").join(netns(layout));
    [link, netns].iter().filter(|path| path.exists()).map(|path| path.display().to_string()).collect()
}

fn ip(layout: &Layout, arguments: &[&str]) -> Result<String> {
    run(helper("ip", layout).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_networks_do_not_overlap() {
        assert_eq!(pair(0), (Ipv4Addr::new(10, 200, 0, 1), Ipv4Addr::new(10, 200, 0, 2)));
        assert_eq!(pair(1), (Ipv4Addr::new(10, 200, 0, 5), Ipv4Addr::new(10, 200, 0, 6)));
        assert_eq!(pair(0x3fff).1, Ipv4Addr::new(10, 200, 255, 254));
    }
}
