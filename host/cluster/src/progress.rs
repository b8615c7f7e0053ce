//! What a long call reports while it runs.

use std::time::Duration;
use thinkube_plan::{Action, Change, ObjectRef};

/// One report of a long call. Its texts may come from a plugin or a server: print them as `Untrusted`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Progress {
    /// The release's record was written, with every object that may exist from now on.
    Recorded {
        /// The release.
        release: String,
        /// Its revision.
        revision: u32,
        /// The number of objects in the inventory.
        objects: usize,
    },
    /// A stage begins.
    StageStarted {
        /// Its name.
        stage: String,
        /// The number of its objects.
        objects: usize,
        /// The number of objects that the apply writes.
        writes: usize,
    },
    /// A stage was skipped, because its `skip-if` holds.
    StageSkipped {
        /// Its name.
        stage: String,
    },
    /// An object was applied, or needs no write.
    Applied {
        /// The object.
        object: ObjectRef,
        /// What was done.
        action: Action,
    },
    /// An object of another owner is used.
    Used {
        /// The object.
        object: ObjectRef,
        /// Why the release does not own it.
        why: String,
    },
    /// Objects are not ready. Reported again only when a reason changes.
    Waiting {
        /// Each with its reason.
        objects: Vec<(ObjectRef, String)>,
    },
    /// An object is ready.
    Ready {
        /// The object.
        object: ObjectRef,
        /// The time since the wait began.
        after: Duration,
    },
    /// The deletion of an object begins.
    Deleting {
        /// The object.
        object: ObjectRef,
    },
    /// An object was deleted.
    Deleted {
        /// The object.
        object: ObjectRef,
    },
    /// An object is kept.
    Kept {
        /// The object.
        object: ObjectRef,
        /// Why.
        why: String,
    },
    /// A file in a pod was changed or needs no change, or the step has no pod.
    PodFile(Change),
    /// A request is sent again.
    Retrying {
        /// The request.
        what: String,
        /// The answer, or why there is none.
        why: String,
        /// The pause.
        after: Duration,
    },
    /// The server warns (RFC 9111 code 299), for example of a deprecated API.
    Warning(String),
}

/// Takes the reports.
pub type ProgressSink<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Takes reports and drops them.
pub(crate) fn ignore(_: Progress) {}
