//! Carries out what a plan wants outside the cluster: resources behind HTTP APIs, image builds, files in the operator's
//! home. Nothing here names Kubernetes; what a step may do was granted before, and is checked here once more.

mod compare;
mod error;
mod external;
#[cfg(test)]
mod external_tests;
#[cfg(test)]
mod fake;
mod folder;
mod home;
mod http;
#[cfg(test)]
mod http_tests;
mod image;
mod probe;
mod process;
mod token;

pub use error::Error;
pub use external::{Action, Outcome, Removed, Seen, State};
pub use folder::Obstacle;
pub use home::{
    DiffLine, SkipReason, Skipped, Workstation, WorkstationAction, WorkstationChange, WorkstationEntry,
    WorkstationEvent, WorkstationEvents, WorkstationRelease, WorkstationReport, WorkstationState,
    WorkstationStatus,
};
pub use http::{Http, HttpOptions};
pub use image::{
    Commit, Image, ImageAction, ImageEvent, ImageEvents, ImageOptions, ImageOutcome, ImageSeen, ImageState,
    Images, image_builder,
};
