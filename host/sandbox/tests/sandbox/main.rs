//! The sandbox against components that run: one plugin that misbehaves as it is told, and components made by hand
//! for what no compiler would emit.

mod hostile;
mod loading;
mod raw;
mod support;
