//! A secret input that the operator keeps in the cluster.

use crate::Error;
use crate::api::client::Cluster;
use crate::discovery::{ApiResource, check_name};
use crate::secrets::compose::value_of;
use thinkube_plan::{SecretKey, SecretText};
use zeroize::Zeroizing;

impl Cluster {
    /// The text of one key of a Secret, read with the operator's rights. None: there is no such Secret, or no such key in
    /// it, or it is no text.
    ///
    /// # Errors
    /// [`Error::Forbidden`], and why the cluster could not be read.
    pub async fn secret_text(&self, at: &SecretKey) -> Result<Option<SecretText>, Error> {
        check_name("namespace", &at.namespace)?;
        check_name("Secret", &at.name)?;
        let secret = self.get(&ApiResource::secret(), Some(&at.namespace), &at.name).await?;
        let value: Option<Zeroizing<Vec<u8>>> = secret.and_then(|secret| value_of(&secret, &at.key));
        Ok(value
            .and_then(|value| std::str::from_utf8(&value).ok().map(|text| SecretText::new(text.to_owned()))))
    }
}
