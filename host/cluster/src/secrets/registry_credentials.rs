//! The credentials of a registry, as a Secret of the cluster holds them.

use crate::api::client::Client;
use crate::api::resource::{ApiResource, check_name};
use crate::error::Error;
use crate::secrets::value::value_of;
use thinkube_plan::{ObjectRef, SecretText};

/// The type of Kubernetes for registry credentials, and its only key.
const TYPE: &str = "kubernetes.io/dockerconfigjson";
const KEY: &str = ".dockerconfigjson";

/// The `.dockerconfigjson` of a Secret. None: the Secret does not exist, or has another type.
pub(crate) async fn docker_config(client: &Client, secret: &ObjectRef) -> Result<Option<SecretText>, Error> {
    let namespace = secret.namespace.as_deref().unwrap_or_default();
    check_name("Namespace", namespace)?;
    let found = client.get(&ApiResource::secret(), Some(namespace), &secret.name).await?;
    let bytes = found.filter(|found| found["type"] == TYPE).and_then(|found| value_of(&found, KEY));
    Ok(bytes.and_then(|bytes| Some(SecretText::new(std::str::from_utf8(&bytes).ok()?.to_owned()))))
}
