//! Figures of the host beside bare wasmtime: see `benches/` and the README beside this crate.
