//! The access tokens of one run, in memory only.

use std::collections::HashMap;
use std::time::Duration;
use thinkube_plan::SecretText;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A token is not used in its last seconds, because it must be valid until the server has read the request.
const EXPIRY_MARGIN: Duration = Duration::from_secs(5);

/// The token URL, the client, the user and the secret input of a token.
pub(super) type TokenKey = [String; 4];

/// Tokens by what they were requested with. A caller holds the lock while it requests a token, so that steps that run
/// together share one.
#[derive(Default)]
pub(super) struct TokenCache(pub(super) Mutex<HashMap<TokenKey, Token>>);

#[derive(Clone)]
pub(super) struct Token {
    text: SecretText,
    /// None: the server does not tell.
    expires: Option<Instant>,
}

impl Token {
    /// `lifetime` in seconds.
    pub(super) fn new(text: SecretText, lifetime: Option<u64>) -> Self {
        // A lifetime that no clock can hold has no end.
        let expires = lifetime.and_then(|life| Instant::now().checked_add(Duration::from_secs(life)));
        Self { text, expires }
    }

    pub(super) fn text(&self) -> &SecretText {
        &self.text
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.expires.is_none_or(|expires| Instant::now() + EXPIRY_MARGIN < expires)
    }
}
