//! What a plan does outside the cluster: resources behind HTTP APIs, image builds, files on an operator's workstation.
//!
//! No room here knows Kubernetes. Permissions were granted before; every room checks them again before it acts, because a
//! record of another host can call it too.

mod error;
mod external;
mod fs;
mod http;
mod image;
mod process;
#[cfg(test)]
mod testing;
mod workstation;

pub use error::Error;
pub use external::{
    ExternalAction, ExternalOutcome, ExternalRemoval, ExternalResource, ExternalState, ObservedExternal,
};
pub use fs::beneath::Obstacle;
pub use http::client::{Http, HttpOptions};
pub use http::probe::{probe, validate_probe};
pub use image::git::Commit;
pub use image::{
    Image, ImageAction, ImageEvent, ImageEvents, ImageOptions, ImageOutcome, ImageState, Images,
    ObservedImage, require_image_builder,
};
pub use workstation::{
    DiffLine, SkipReason, Skipped, Workstation, WorkstationAction, WorkstationChange, WorkstationEntry,
    WorkstationEvent, WorkstationEvents, WorkstationRelease, WorkstationReport, WorkstationState,
    WorkstationStatus,
};
