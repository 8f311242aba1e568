//! Where the time of calls goes, across all workers.
//!
//! A [`Profile`] is plain data: what was called, and when which stage of it was over. [`Profile::labels`] names its calls
//! and spans as torch does, and [`Profile::lanes`] lays them out for a timeline. [`Profile::write_report`] makes a page of it,
//! for a browser.
#![forbid(unsafe_code)]

// Reading order: what a profile is, how it comes to be, who is below whom in it, what things are called, where they are
// drawn, and what is written of it.
pub mod model;

mod offsets;
mod record;

pub mod label;
pub mod lanes;
mod tree;

mod report;

#[cfg(test)]
mod arbitrary;

// The public interface is:
pub use crate::label::Labels;
pub use crate::lanes::Lanes;
pub use crate::model::Profile;
pub use crate::record::{
    CALLS_KEPT_DEFAULT, InSpan, Profiling, Recorder, SpanGuard, record_function, record_future,
};
