//! The harness against this machine: clusters are started and taken down for real, under names of their own.
#![allow(clippy::print_stdout, reason = "a test that can't run on a machine says why")]

mod common;
mod control_plane;
mod interrupted;
mod node;
