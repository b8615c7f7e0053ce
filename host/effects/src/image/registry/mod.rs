//! Registries of images, by the OCI distribution API.

pub(super) mod client;
#[cfg(test)]
mod tests;
