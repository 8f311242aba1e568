//! Where the time of calls goes, across all workers.
#![forbid(unsafe_code)]

// Reading order: what a profile is.
pub mod model;

// The public interface is:
pub use crate::model::Profile;
