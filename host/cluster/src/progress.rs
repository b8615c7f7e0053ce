use std::time::Duration;
use thinkube_plan::{Action, Change, ObjectRef};

/// What a person who watches is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The release's record was written: everything that may exist from now on is in it.
    Recorded {
        /// The release.
        release: String,
        /// Its revision.
        revision: u32,
        /// How many objects the inventory holds.
        objects: usize,
    },
    /// A stage begins.
    StageStarted {
        /// Its name.
        stage: String,
        /// How many objects it has.
        objects: usize,
        /// How many of them need a write.
        writes: usize,
    },
    /// A stage was found done.
    StageSkipped {
        /// Its name.
        stage: String,
    },
    /// An object is as the plan wants it.
    Applied {
        /// The object.
        object: ObjectRef,
        /// What was done.
        action: Action,
    },
    /// An object of somebody else is used as it is.
    Used {
        /// The object.
        object: ObjectRef,
        /// Why it is not the release's.
        why: String,
    },
    /// What is not ready yet; said again only when it changes.
    Waiting {
        /// Each with the reason.
        objects: Vec<(ObjectRef, String)>,
    },
    /// An object is ready.
    Ready {
        /// The object.
        object: ObjectRef,
        /// Since the wait began.
        after: Duration,
    },
    /// An object's deletion is asked for.
    Deleting {
        /// The object.
        object: ObjectRef,
    },
    /// An object is gone.
    Deleted {
        /// The object.
        object: ObjectRef,
    },
    /// An object stays.
    Kept {
        /// The object.
        object: ObjectRef,
        /// Why.
        why: String,
    },
    /// Something was done to a file in a pod, or was found needless; or there is no pod.
    PodFile(Change),
    /// The server was asked and is asked again.
    Retrying {
        /// What was asked.
        what: String,
        /// What it answered.
        why: String,
        /// The pause.
        after: Duration,
    },
    /// The server warns (RFC 9111 code 299), for example of a deprecated API.
    Warning(String),
}

/// Where events go.
pub type Events<'a> = &'a (dyn Fn(Event) + Send + Sync);

pub(crate) fn quiet(_: Event) {}
