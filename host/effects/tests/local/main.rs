//! Effects on the operator's own machine, really had: files in a home, Python packages, images.

mod home;
mod python;
mod support;
