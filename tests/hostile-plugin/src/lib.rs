//! A plugin that misbehaves in every way the sandbox must survive.
