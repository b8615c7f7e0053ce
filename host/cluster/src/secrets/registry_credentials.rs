//! The login to a registry, as a Secret of the cluster holds it.

use crate::Error;
use crate::api::client::Cluster;
use crate::discovery::{ApiResource, check_name};
use crate::secrets::compose::value_of;
use thinkube_plan::{ObjectRef, SecretText};

/// Of Kubernetes: a Secret for registries, and its one key.
const TYPE: &str = "kubernetes.io/dockerconfigjson";
const KEY: &str = ".dockerconfigjson";

impl Cluster {
    /// The text of the `.dockerconfigjson` that a Secret holds; None where there is no such Secret, or it is of another
    /// type.
    ///
    /// # Errors
    /// Why the Secret could not be read.
    pub async fn docker_config(&self, secret: &ObjectRef) -> Result<Option<SecretText>, Error> {
        let namespace = secret.namespace.as_deref().unwrap_or_default();
        check_name("namespace", namespace)?;
        let found = self.get(&ApiResource::secret(), Some(namespace), &secret.name).await?;
        let found = found.filter(|found| found["type"] == TYPE);
        let bytes = found.and_then(|found| value_of(&found, KEY));
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()).map(SecretText::new))
    }
}
