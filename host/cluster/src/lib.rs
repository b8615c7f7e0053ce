//! Speaks to the cluster: server-side apply, inventory, journal, waiting, probes.
