//! CNI, the network of pods: one bridge with one range of addresses.

use serde_json::json;

use crate::error::Result;
use crate::node::network::{BRIDGE, PODS};
use crate::paths::{self, Layout};

/// Writes the configuration.
pub(crate) fn configure(layout: &Layout) -> Result<()> {
    let list = json!({
        "cniVersion": "0.4.0",
        "name": name(layout),
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": true,
                // For the way from a pod to the node's address.
                "ipMasq": true,
                // For the way from a pod to itself by its Service.
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    // The default is /var/lib/cni, which would outlive the cluster.
                    "dataDir": layout.path("cni/addresses"),
                    "ranges": [[{ "subnet": PODS }]],
                    "routes": [{ "dst": "0.0.0.0/0" }]
                }
            },
            { "type": "portmap", "capabilities": { "portMappings": true } }
        ]
    });
    paths::write(&layout.path("cni/net.d/10-thinkube.conflist"), list.to_string())
}

/// The network's name, with which the names of CNI's results in /var/lib/cni begin.
pub(crate) fn name(layout: &Layout) -> String {
    format!("thinkube-{}", layout.id())
}
