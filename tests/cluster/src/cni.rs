//! The pods' network: one bridge, addresses from one range.

use serde_json::json;

use crate::error::Result;
use crate::network::{BRIDGE, PODS};
use crate::paths::{self, Layout};

/// The folder with the one configuration.
pub(crate) fn configure(layout: &Layout) -> Result<()> {
    let list = json!({
        "cniVersion": "0.4.0",
        "name": name(layout),
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": true,
                // A pod must reach the node's address as well as its neighbours.
                "ipMasq": true,
                // A pod must reach itself by its own Service.
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    // By default in /var/lib/cni, where it would outlive the cluster.
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

/// The network's name; the results that CNI keeps in /var/lib/cni begin with it.
pub(crate) fn name(layout: &Layout) -> String {
    format!("thinkube-{}", layout.id())
}
