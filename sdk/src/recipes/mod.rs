//! What many services need, ready to put into a plan.

mod keycloak;

pub use keycloak::KeycloakClient;
