//! The typed plan of a release: canonical bytes, digest, diff, grants.
