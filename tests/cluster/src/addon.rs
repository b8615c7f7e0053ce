//! What a cluster can have beside its control plane.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An addon that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Addon {
    /// A node that runs pods: containerd, kubelet and kube-proxy, with cluster DNS and a volume provisioner.
    Node,
    /// An image registry with TLS and credentials, in the place of Harbor.
    Registry,
    /// An ingress controller for the class `nginx` and for the Gateway API, with a wildcard certificate.
    Ingress,
    /// Keycloak with the realm `thinkube` and a user, behind the ingress.
    Keycloak,
}

impl Addon {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Node, Self::Registry, Self::Ingress, Self::Keycloak];

    fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Registry => "registry",
            Self::Ingress => "ingress",
            Self::Keycloak => "keycloak",
        }
    }

    /// The addon and those that it depends on.
    fn with_dependencies(self) -> &'static [Self] {
        match self {
            Self::Node => &[Self::Node],
            Self::Registry => &[Self::Node, Self::Registry],
            Self::Ingress => &[Self::Node, Self::Ingress],
            Self::Keycloak => &[Self::Node, Self::Ingress, Self::Keycloak],
        }
    }
}

/// These addons and those that they depend on.
pub(crate) fn closure<'a>(addons: impl IntoIterator<Item = &'a Addon>) -> BTreeSet<Addon> {
    addons.into_iter().flat_map(|addon| addon.with_dependencies()).copied().collect()
}

impl fmt::Display for Addon {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Addon {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|addon| addon.name() == text);
        found.ok_or_else(|| format!("unknown addon `{text}`; expected one of: {known}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keycloak_brings_the_ingress_and_the_node_that_it_depends_on() {
        assert_eq!(closure(&[Addon::Keycloak]), [Addon::Node, Addon::Ingress, Addon::Keycloak].into());
        assert_eq!(closure(&[]), [].into());
    }

    #[test]
    fn an_unknown_addon_is_refused_with_the_list_of_addons() {
        for addon in Addon::ALL {
            assert_eq!(addon.to_string().parse(), Ok(addon));
        }
        assert!("harbor".parse::<Addon>().is_err_and(|error| error.contains("registry")));
    }
}
