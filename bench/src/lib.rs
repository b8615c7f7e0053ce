//! Figures of the host beside bare wasmtime.
