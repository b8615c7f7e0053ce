//! Effects on the operator's own machine, really had: files in a home, Python packages, images.

mod image;
mod support;
mod venv;
mod workstation;
