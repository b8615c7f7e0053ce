//! Host names of external servers.
//!
//! reqwest's own `resolve` option is not used: with it, a name that DNS does not know cannot be told from another error.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Resolves the names of its map to their addresses, and every other name by the system.
pub(super) struct Resolver(pub(super) BTreeMap<String, IpAddr>);

/// DNS does not know a name.
#[derive(Debug)]
pub(super) struct NotResolved(pub(super) String);

impl fmt::Display for NotResolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotResolved {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let known = self.0.get(name.as_str()).copied();
        Box::pin(async move {
            // reqwest replaces port 0 by the port of the URL.
            let found: Addrs = match known {
                Some(address) => Box::new(std::iter::once(SocketAddr::new(address, 0))),
                None => match tokio::net::lookup_host((name.as_str(), 0)).await {
                    Ok(found) => Box::new(found.collect::<Vec<_>>().into_iter()),
                    Err(error) => return Err(Box::new(NotResolved(error.to_string())) as _),
                },
            };
            Ok(found)
        })
    }
}
