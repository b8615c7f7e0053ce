//! Judges settings and plans with no cluster: schemas, CEL expectations.
