//! What workers report of values that are still held, at shutdown and on demand.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod common;
mod cycles;
mod demand;
mod leaks;
