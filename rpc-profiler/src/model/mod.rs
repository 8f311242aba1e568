//! What a profile is: plain data, for one's own tools too.
//!
//! ```text
//! Profile ─┬─ workers: who they are, and what their clocks are off
//!          ├─ names: of functions, operations and spans, referred to by index
//!          ├─ calls: who called whom, and when which stage was over
//!          └─ spans: pieces of work that users have named
//! ```
//! All times are on the clock of the worker that recorded ([`Profile::home`]): those of other workers have been moved by
//! what their clocks are off, which is known as well as [`ClockOffset::error_ns`] says.
//!
//! Calls and spans form trees by [`SpanId`]: what a handler did is below the call that it served.

mod call;
mod lookup;
mod machine;
mod profile;
mod span;
mod tick;
mod worker;

pub use self::call::{Call, CallTimes, Stage, Traffic};
pub use self::lookup::{CallRef, Node};
pub use self::machine::MachineId;
pub use self::profile::{NameId, Profile};
pub use self::span::{Span, SpanId};
pub use self::tick::Tick;
pub use self::worker::{ClockOffset, Worker};
