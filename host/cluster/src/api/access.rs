//! Access reviews before the first write, so that a missing right is reported before anything is changed.

use crate::api::client::Client;
use crate::api::concurrency::MAX_CONCURRENT;
use crate::api::resource::ApiResource;
use crate::error::Error;
use futures::stream::{self, StreamExt as _};
use std::collections::BTreeSet;

/// What RBAC must allow: the resource, its namespace (None: the whole cluster), the verb.
pub(crate) type Access = (ApiResource, Option<String>, &'static str);

/// Checks that RBAC allows all of `wanted`, and reports every refusal.
///
/// # Errors
/// [`ApiError::Forbidden`](crate::ApiError::Forbidden), or why a review failed.
pub(crate) async fn require(client: &Client, wanted: BTreeSet<Access>) -> Result<(), Error> {
    let reviews = stream::iter(wanted).map(|(kind, namespace, verb)| async move {
        if client.is_allowed(verb, kind.group(), &kind.plural, namespace.as_deref()).await? {
            return Ok(());
        }
        Err(Error::from(client.forbidden_error(verb, &kind, namespace.as_deref()).await))
    });
    let answers: Vec<Result<(), Error>> = reviews.buffered(MAX_CONCURRENT).collect().await;
    Error::several(answers.into_iter().filter_map(Result::err).collect())
}
