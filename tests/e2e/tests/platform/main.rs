//! The platform that the cluster stands in for: what a service finds on it, asked as services and people ask it. Each test
//! has a namespace of its own; none ends or stops a server, because all of them share the cluster.

mod browser;
mod fixtures;
mod images;
mod ingress;
mod names;
mod registry;
mod sign_in;
mod single_sign_on;
mod storage;
mod workloads;
