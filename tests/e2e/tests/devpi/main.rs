//! DevPI on a real node behind a real ingress, with a real registry and Keycloak, used by its real clients.

mod clients;
mod dependencies;
mod life;
mod release;
mod sign_on;
