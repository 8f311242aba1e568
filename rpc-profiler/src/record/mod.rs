//! How profiles come to be.
//!
//! ```text
//!  caller                                    callee                            third worker
//!  MakingCall ── note: id, depth ──────────► ServingCall ─ Within ─► MakingCall ── note ──► ServingCall
//!      │                                         ▲ │  Gathered ◄────────┘ ◄──── note: times, ──┘
//!      │ ◄── note: times, what was gathered ─────┘ │                             what was gathered
//!      ▼                                           ▼ (server_profile)
//!     Log ── Profiling::finish ──► Profile        Log
//! ```
//! # Invariants (each named by a test; `cargo xtask tidy` checks that)
//! - **PR-1, off is off.** While nobody profiles, here or where a call comes from, nothing is recorded and no byte travels.
//! - **PR-2, bounded.** The log, what is gathered for a caller, and the names are bounded; what does not fit is counted.
//! - **PR-3, peers are not believed.** A note may be anything: it is taken as far as it is understood, and can neither fail
//!   the call nor cost more than its length.
//! - **PR-4, once.** A call that is recorded appears once in the profile of its caller, whatever becomes of it.
//! - **PR-5, below its call.** What a handler did while it served a call that is profiled is below that call, on
//!   whatever worker, and through whatever workers.

mod ambient;
mod clock;
mod gathered;
mod log;
mod making;
mod names;
mod notes;
mod profiling;
mod recorder;
mod serving;
mod span_guard;

pub use self::profiling::Profiling;
pub use self::recorder::{CALLS_KEPT_DEFAULT, Recorder};
pub use self::span_guard::{InSpan, SpanGuard, record_function, record_future};

#[cfg(test)]
mod tests;
