//! Runs plugins: engine, limits, compiled-component cache, calls.
