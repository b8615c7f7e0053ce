//! Effects on the operator's own machine, really had: files in a home, Python packages, images.

mod home;
mod image;
mod python;
mod support;
