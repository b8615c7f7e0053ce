//! The path from a plugin to a running release, one function a stage.
