//! What a cluster can have beside its control plane.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A part that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What runs pods: containerd, kubelet and kube-proxy, with cluster DNS and a provisioner of volumes.
    Node,
    /// A registry of images with TLS and a login, standing in for Harbor.
    Registry,
    /// An ingress controller for the class `nginx` and for the Gateway API, with a wildcard certificate.
    Ingress,
    /// Keycloak with the realm `thinkube` and a user, behind the ingress.
    Keycloak,
}

impl Part {
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

    /// It and the parts without which it is of no use.
    fn with_needs(self) -> &'static [Self] {
        match self {
            Self::Node => &[Self::Node],
            Self::Registry => &[Self::Node, Self::Registry],
            Self::Ingress => &[Self::Node, Self::Ingress],
            Self::Keycloak => &[Self::Node, Self::Ingress, Self::Keycloak],
        }
    }
}

/// These parts and all that they need.
pub(crate) fn closure<'a>(parts: impl IntoIterator<Item = &'a Part>) -> BTreeSet<Part> {
    parts.into_iter().flat_map(|part| part.with_needs()).copied().collect()
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|part| part.name() == text)
            .ok_or_else(|| format!("`{text}` is no part; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keycloak_brings_the_ingress_and_the_node_that_it_stands_on() {
        assert_eq!(closure(&[Part::Keycloak]), [Part::Node, Part::Ingress, Part::Keycloak].into());
        assert_eq!(closure(&[]), [].into());
    }

    #[test]
    fn a_part_is_read_by_its_name_and_another_word_is_told_what_there_is() {
        for part in Part::ALL {
            assert_eq!(part.to_string().parse(), Ok(part));
        }
        assert!("harbor".parse::<Part>().is_err_and(|error| error.contains("registry")));
    }
}
