//! The network namespace of a cluster with a node, and the link between it and the machine.
//!
//! Its default route is `unreachable`, so that no packet of a pod can leave the machine. All ports are free in it, and its removal
//! also removes every iptables rule.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::content_hash::content_hash;
use crate::control_plane::apiserver::SERVICES;
use crate::error::Result;
use crate::paths::Layout;
use crate::process::run::{helper, run};
use crate::readiness::Readiness;
use crate::record::ClusterRecord;

/// The addresses of pods.
pub(crate) const PODS: &str = "10.244.0.0/24";
/// The bridge's address.
const PODS_GATEWAY: &str = "10.244.0.1/24";
/// The CNI plugin's bridge.
pub(crate) const BRIDGE: &str = "cni0";

/// The name under /run/netns.
pub(crate) fn netns(layout: &Layout) -> String {
    format!("thinkube-{}", layout.id())
}

/// The host's end of the link. The kernel allows 15 characters.
pub(crate) fn link(layout: &Layout) -> String {
    format!("tk{}", &content_hash(&[layout.root.as_os_str().as_encoded_bytes()])[..8])
}

/// Two neighbouring addresses of 10.200.0.0/16 that this machine does not use: the host's and the cluster's.
pub(crate) fn free_addresses(layout: &Layout) -> Result<(Ipv4Addr, Ipv4Addr)> {
    let used = ip(layout, &["-o", "-4", "addr", "show"])?;
    let used: BTreeSet<&str> =
        used.split_whitespace().filter_map(|word| word.split_once('/').map(|(address, _)| address)).collect();
    // The first pair for the default cluster, so that its address is always the same.
    let first = if layout.name == "default" {
        0
    } else {
        u16::from_str_radix(&content_hash(&[layout.name.as_bytes()])[..3], 16).unwrap_or(1)
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

/// Makes the namespace, the link and the pods' bridge.
pub(crate) fn make(layout: &Layout, host: Ipv4Addr, inside: Ipv4Addr) -> Result<()> {
    let (netns, link) = (netns(layout), link(layout));
    let (host, inside) = (format!("{host}/30"), inside.to_string());
    ip(layout, &["netns", "add", &netns])?;
    // Before the first link: the machine would be reachable by an IPv6 address, and a browser in here interrupts its requests
    // whenever a pod's link gets or loses one. Loopback keeps ::1. A kernel without IPv6 has no such setting.
    let _ = set(layout, "net/ipv6/conf/default/disable_ipv6", 1);
    ip(layout, &["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &netns])?;
    ip(layout, &["addr", "add", &host, "dev", &link])?;
    ip(layout, &["link", "set", &link, "up"])?;
    let within = |arguments: &[&str]| ip(layout, &[&["-n", &netns], arguments].concat());
    within(&["link", "set", "lo", "up"])?;
    within(&["addr", "add", &format!("{inside}/30"), "dev", "eth0"])?;
    within(&["link", "set", "eth0", "up"])?;
    within(&["route", "add", "unreachable", "default"])?;
    // Before the first pod: without a route to Services, which leads over the bridge, the node's own processes never reach the
    // rule that replaces a Service's address with a pod's.
    within(&["link", "add", BRIDGE, "type", "bridge"])?;
    within(&["addr", "add", PODS_GATEWAY, "dev", BRIDGE])?;
    within(&["link", "set", BRIDGE, "up"])?;
    within(&["route", "add", SERVICES, "dev", BRIDGE, "src", &inside])?;
    reject_packets(layout)?;
    let settings = [
        ("net/ipv4/ip_forward", 1),
        // Packets between two pods must pass iptables, or a pod cannot reach a Service on its own node.
        ("net/bridge/bridge-nf-call-iptables", 1),
        // No limit, so that each of many packets to unreachable addresses is refused at once.
        ("net/ipv4/icmp_ratelimit", 0),
    ];
    settings.into_iter().try_for_each(|(setting, value)| set(layout, setting, value))
}

/// Refuses packets to addresses that no Service has, and connections to the machine.
fn reject_packets(layout: &Layout) -> Result<()> {
    // A packet to such an address would wait on the bridge for seconds, above all to a DNS server that does not run. A packet
    // to a Service has another destination when it reaches this rule.
    for chain in ["FORWARD", "OUTPUT"] {
        run(within_namespace(layout, "iptables").args(["-w", "-A", chain, "-d", SERVICES, "-j", "REJECT"]))?;
    }
    // No pod may reach a server of the machine. The rule in `mangle` drops what kube-proxy accepts before the others: a Service
    // that leads to the machine.
    let new = ["-o", "eth0", "-m", "conntrack", "--ctstate", "NEW", "-j"];
    for (place, verdict) in [
        (&["-A", "FORWARD"][..], "REJECT"),
        (&["-A", "OUTPUT"], "REJECT"),
        (&["-t", "mangle", "-A", "POSTROUTING"], "DROP"),
    ] {
        run(within_namespace(layout, "iptables").arg("-w").args(place).args(new).arg(verdict))?;
    }
    Ok(())
}

/// Sets a kernel setting of the namespace.
fn set(layout: &Layout, setting: &str, value: u8) -> Result<()> {
    let write = format!("echo {value} > /proc/sys/{setting}");
    run(within_namespace(layout, "sh").args(["-c", &write])).map(drop)
}

fn within_namespace(layout: &Layout, program: &str) -> Command {
    let mut command = helper("nsenter", layout);
    command.arg(format!("--net=/run/netns/{}", netns(layout))).args(["--", program]);
    command
}

/// Runs a check in the cluster's network namespace, where Services have addresses. In a thread of its own, because a thread may
/// not be able to leave the namespace.
pub(crate) fn within(record: &ClusterRecord, check: impl FnOnce() -> Readiness + Send) -> Readiness {
    let Some(netns) = record.netns_file() else { return check() };
    let enter = move || -> io::Result<Readiness> {
        let file = File::open(netns)?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(check())
    };
    match thread::scope(|scope| scope.spawn(enter).join()) {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Readiness::NotReady(format!("the network namespace: {error}")),
        Err(_) => Readiness::NotReady("the thread of the check panicked".to_owned()),
    }
}

/// Whether the namespace exists; a reboot removes it.
pub(crate) fn exists(layout: &Layout) -> bool {
    Path::new("/run/netns").join(netns(layout)).exists()
}

/// Removes link and namespace, if they exist. [`leftovers`] lists what is left.
pub(crate) fn remove(layout: &Layout) {
    // The link first: the removal of the namespace also removes it, but later.
    let _ = ip(layout, &["link", "del", &link(layout)]);
    if exists(layout) {
        let _ = ip(layout, &["netns", "del", &netns(layout)]);
    }
}

/// Those of link and namespace that exist.
pub(crate) fn leftovers(layout: &Layout) -> Vec<String> {
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
