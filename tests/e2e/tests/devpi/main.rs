//! DevPI on a real node behind a real ingress, with a real registry and Keycloak, used by its real clients.

mod clients;
mod code_server;
mod dashboard;
mod dependencies;
mod discovery;
mod hosts;
mod image;
mod installer;
mod life;
mod original_volume;
mod passwords;
mod pypi_cache;
mod release;
mod sign_on;
mod workstation;
