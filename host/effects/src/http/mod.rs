//! HTTP to external servers: to granted origins only, with limits on time and size, through no proxy.
//!
//! Every request of this crate goes through [`client::Http::exchange`].

pub(crate) mod auth;
pub(crate) mod client;
mod dns;
pub(crate) mod error;
pub(crate) mod probe;
pub(crate) mod response;
pub(crate) mod tls;
mod token_cache;

#[cfg(test)]
mod tests;
