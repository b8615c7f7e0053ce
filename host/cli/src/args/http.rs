//! How the host finds and trusts external servers.

use crate::args::value::parse_resolve;
use clap::Args;
use std::net::IpAddr;
use std::path::PathBuf;
use thinkube_engine::HttpOptions;

#[derive(Debug, Clone, Args)]
pub(crate) struct HttpArgs {
    /// Also trust the certificate authorities in this file (PEM) for external servers
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Connect to an external server at this address instead of asking DNS
    #[arg(long, value_name = "HOST=ADDRESS", value_parser = parse_resolve)]
    pub resolve: Vec<(String, IpAddr)>,
}

impl HttpArgs {
    pub(crate) fn options(self) -> HttpOptions {
        HttpOptions {
            ca_file: self.ca_file,
            resolve: self.resolve.into_iter().collect(),
            ..HttpOptions::default()
        }
    }
}
