//! Where the time of calls goes, across all workers.
//!
//! A [`Profile`] is plain data: what was called, and when which stage of it was over. What is made of it:
//! - [`Profile::key_averages`]: a table, by function, worker, or what calls are called in torch
//! - [`Profile::write_chrome_trace`]: a timeline of all workers, for Perfetto and `chrome://tracing`
//! - [`Profile::write_report`]: a page with all of that, for a browser
//! - [`Profile::write_json`]: the data itself, for one's own tools
//!
//! and for these, [`Profile::labels`] and [`Profile::lanes`]. All of it takes any profile, wherever it was read from.
#![forbid(unsafe_code)]

// Reading order: what a profile is, how it comes to be, who is below whom in it, what things are called, where they are
// drawn, and what is written of it.
pub mod model;

mod offsets;
mod record;

pub mod label;
pub mod lanes;
mod tree;

mod files;
mod json;
mod report;
pub mod summary;
pub mod trace;

#[cfg(test)]
mod arbitrary;

// The public interface is:
pub use crate::label::Labels;
pub use crate::lanes::Lanes;
pub use crate::model::Profile;
pub use crate::record::{
    CALLS_KEPT_DEFAULT, InSpan, Profiling, Recorder, SpanGuard, record_function, record_future,
};
pub use crate::summary::KeyAverages;
