//! What a run reports while it works.

use crate::outcome::CheckOutcome;
use thinkube_cluster::Progress as ClusterProgress;
use thinkube_effects::ImageEvent;
use thinkube_plan::Change;

/// What happens during a run, for a caller that shows it.
#[derive(Debug, Clone)]
pub enum Event {
    /// The cluster crate has taken a step.
    Cluster(ClusterProgress),
    /// A check has ended.
    Checked(CheckOutcome),
    /// A step on an external resource or an image has ended, with what was done.
    Changed(Change),
    /// An image is being built.
    Building(ImageEvent),
}

/// Receives events. Must not block: it is called between two requests.
pub(crate) type Events<'a> = &'a (dyn Fn(Event) + Send + Sync);
