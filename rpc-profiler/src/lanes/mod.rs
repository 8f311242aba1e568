//! [`Lanes`]: rows of a timeline.
//!
//! A worker does many things at once, and a timeline draws one thing beside another only in different rows. Each call is
//! drawn as two slices: the caller's part on the caller, and the handler's part on the callee. A span is one slice.
//!
//! Slices of one lane nest properly or do not overlap at all, which trace viewers ask for. What was done in a span or a
//! handler is drawn below it, in its lane, as long as nothing else is there; of several things at once all but the first
//! are in lanes of their own. A worker's lanes are in two groups: what it did by itself, and what it did for others.
//!
//! Takes O(n log n) for n slices, whatever their shape.

mod group;
mod place;
mod slice;

pub(crate) use self::slice::Interval;
pub use self::slice::{Part, Slice};

use crate::model::Profile;
use crate::tree::Tree;

/// All slices of a profile, in lanes.
///
/// ```
/// # use rpc_profiler::model::{NameId, Span, SpanId, Tick};
/// # use rpc_profiler::Profile;
/// let [t1, t2, t3, t4] = [1, 2, 3, 4].map(Tick::from_unix_ns);
/// let mut profile = Profile::new(0, t1, t4);
/// profile.spans.push(Span::new(SpanId(1), 0, NameId(0), t1, t3));
/// profile.spans.push(Span::new(SpanId(2), 0, NameId(0), t2, t4)); // overlaps the first one
///
/// let lanes = profile.lanes();
/// assert_eq!(lanes.workers[0].own, 2);
/// assert_eq!(lanes.workers[0].slices.iter().map(|slice| slice.lane).collect::<Vec<_>>(), [0, 1]);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lanes {
    /// Workers of the profile and all that its calls and spans name, by rank.
    pub workers: Vec<WorkerLanes>,
}

/// The slices of one worker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerLanes {
    /// Its rank.
    pub rank: u32,
    /// How many lanes show what it did by itself: those from 0 on.
    pub own: u32,
    /// How many lanes show what it did for others: those from [`own`](Self::own) on.
    pub serving: u32,
    /// By the time at which they begin, longer ones first; what a slice is in comes before it.
    pub slices: Vec<Slice>,
}

impl Profile {
    /// Where to draw what, in a timeline.
    pub fn lanes(&self) -> Lanes {
        Lanes::of_tree(self, &Tree::new(self))
    }
}

#[cfg(test)]
mod tests;
