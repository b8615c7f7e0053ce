//! A secret input that the operator stores in the cluster.

use crate::api::client::Client;
use crate::api::resource::{ApiResource, check_name};
use crate::error::Error;
use crate::secrets::value::value_of;
use thinkube_plan::{SecretKey, SecretText};

/// The value of one key of a Secret. None: the Secret or the key does not exist, or the value is not UTF-8.
pub(crate) async fn secret_text(client: &Client, key: &SecretKey) -> Result<Option<SecretText>, Error> {
    check_name("Namespace", &key.namespace)?;
    check_name("Secret", &key.name)?;
    let secret = client.get(&ApiResource::secret(), Some(&key.namespace), &key.name).await?;
    let value = secret.and_then(|secret| value_of(&secret, &key.key));
    Ok(value.and_then(|value| Some(SecretText::new(std::str::from_utf8(&value).ok()?.to_owned()))))
}
