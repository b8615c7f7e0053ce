//! Tests of the host against a real cluster.
