//! The commands of a developer of this project.
fn main() {}
