//! What every run needs beside its plan: the cluster, the plugin, the values, cancellation and the sink of events.

use crate::event::{Event, Events};
use thinkube_cluster::{Cluster, Progress as ClusterProgress};
use thinkube_effects::HttpOptions;
use thinkube_plan::SecretInputs;
use thinkube_sandbox::Plugin;
use tokio_util::sync::CancellationToken;

/// What a run works with.
#[derive(Clone)]
pub struct Session<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The plugin, for checks that it evaluates itself. None: such a check is unknown.
    pub plugin: Option<&'a Plugin>,
    /// How external servers are found and trusted. The plan's permissions decide which ones are called.
    pub http: &'a HttpOptions,
    /// The values of secret inputs.
    pub secrets: &'a SecretInputs,
    /// Ends the run early when it is cancelled.
    pub cancel: CancellationToken,
    /// Receives what happens.
    pub events: Events<'a>,
}

impl<'a> Session<'a> {
    /// A session without a plugin, that is never cancelled and reports nothing.
    pub fn new(cluster: &'a Cluster, http: &'a HttpOptions, secrets: &'a SecretInputs) -> Self {
        Self { cluster, plugin: None, http, secrets, cancel: CancellationToken::new(), events: &|_| () }
    }

    /// What the cluster crate reports to.
    pub(crate) fn cluster_events(&self) -> impl Fn(ClusterProgress) + Send + Sync + use<'a> {
        let events = self.events;
        move |event| events(Event::Cluster(event))
    }
}
