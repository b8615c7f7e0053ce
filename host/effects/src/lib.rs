//! External resources behind HTTP APIs, image builds, and files in an operator's home directory.
//!
//! No room here knows Kubernetes. The engine checks grants before it calls a room, and every room checks them again before it
//! acts. A resource is observed, ensured and removed: [`ExternalResource`], [`Images`], [`WorkstationRelease`].

mod external;
mod fs;
mod http;
mod image;
mod lines;
mod process;
#[cfg(test)]
mod testing;
mod workstation;

pub use external::error::Error as ExternalError;
pub use external::{
    ExternalAction, ExternalOutcome, ExternalRemoval, ExternalResource, ExternalState, ObservedExternal,
};
pub use fs::entry::Obstacle;
pub use http::auth::AuthError;
pub use http::client::{Http, HttpOptions};
pub use http::error::Error as HttpError;
pub use http::probe::{probe, validate_probe};
pub use http::response::ResponseError;
pub use image::build_dir::BuildDirError;
pub use image::error::Error as ImageError;
pub use image::registry::error::RegistryError;
pub use image::source::Commit;
pub use image::source::error::SourceError;
pub use image::{
    Image, ImageAction, ImageEvent, ImageEvents, ImageOptions, ImageOutcome, ImageState, Images,
    ObservedImage, require_image_builder,
};
pub use process::Error as ProgramError;
pub use workstation::Workstation;
pub use workstation::change::{
    DiffLine, SkipReason, Skipped, WorkstationAction, WorkstationChange, WorkstationEntry, WorkstationEvent,
    WorkstationEvents, WorkstationReport, WorkstationState, WorkstationStatus,
};
pub use workstation::error::Error as WorkstationError;
pub use workstation::release::WorkstationRelease;
