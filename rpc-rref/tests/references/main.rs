//! References between workers over a network in memory, on a paused clock.
//!
//! The files `t_*` have a test for each row of the matrix that a protocol of references has to pass, by its
//! number: T1 to T17. What a network of links and frames cannot do to a message (repeat it on one link, let
//! it overtake another in its lane) is done to tables and streams in the crate's own tests; here is what comes
//! nearest: a link that is lost with what was on it, or a request made by hand.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod borrowing;
mod closed;
mod codecs;
mod common;
mod containers;
mod counter;
mod creation;
mod cuts;
mod destructors;
mod foreign;
mod forged;
mod functions;
mod guarded;
mod holes;
mod identity;
mod load;
mod methods;
mod partitions;
mod raw;
mod review;
mod self_calls;
mod t_calls;
mod t_creation;
mod t_deaths;
mod t_endings;
mod t_shapes;
mod t_sharing;
mod unsent;
mod values;
