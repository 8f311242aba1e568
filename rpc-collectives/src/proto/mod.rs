//! Operations of whole teams, as pure state machines: no clock, no task, no socket.
//!
//! A *line* is a kind of operation of a team of workers under a tag. A program runs the operations of a line one after
//! the other, or several at a time, and each worker counts its own. So an operation has a name that all members give it
//! without having agreed on it: the line, and the count. The *leader* is the member with the smallest name.
//!
//! ```text
//!  follower                    leader                     follower
//!     |------- Join(value) ---->|                            |
//!     |                         |<------ Join(value) --------|    a request that waits for its answer
//!     |                      its own Join                    |    a request to itself
//!     |<------ all values ------|------- all values -------->|
//! ```
//! What can go wrong ends an operation for all members, with one [`Failure`](Failed):
//! - a member has waited for long enough (the leader holds the time of each), or has given up and says so (`Leave`);
//! - a member that has not come is found to be dead, to have left, to serve no collectives, or to be past the
//!   operation. The leader's worker finds out by a request that waits (`Watch`) to each member that is missing, itself
//!   among them: soon after the first `Join`, whoever's that is. Its own program may come much later.
//!
//! A member whose link is lost sends its `Join` again; the leader takes it in place of the first one. If the operation has
//! ended well meanwhile, it was the answer that was lost: it is given again if its values are few enough to have been
//! kept, and otherwise the member is told that there was one.
//!
//! # Invariants (each named by a test)
//! - **CL-1, whole or nothing.** An operation that ends well gives one value of each member, and each was given for this
//!   very operation: not for one before or after it, nor for one of another team, kind or tag.
//! - **CL-2, one end.** An operation ends once, the same way for all. Whoever comes later is told how it ended, and their
//!   value goes nowhere.
//! - **CL-3, all are named.** A failure names every member that had not come, and nobody else.
//! - **CL-4, nothing stays.** What has ended holds no value, but the few of [`limits`], in which there are no references;
//!   who is refused leaves no trace; all bounds hold.
//! - **CL-5, own counts.** The n-th operation of a line at one member meets the n-th at each other, whatever became of
//!   those before.
//! - **CL-6, past is past.** A worker is past an operation only if its program has begun and ended it.
//! - **CL-7, nobody waits in vain.** As soon as a member cannot come any more, those who wait are told, without any of their
//!   time having to pass, and whether the leader's program has come or not.
//!
//! CL-7 needs that somebody looks for as long as anybody waits: one of the requests that wait does, and the next one if it
//! ends (`serve.rs`).
//! CL-2 holds for as long as the end is remembered ([`limits`]). One that comes later still finds members that do not
//! come: they are past it, which ends it again.
//!
//! # Why the count is each worker's own
//! A number that the leader gave out would cost a round trip before each operation. Own counts go wrong only where
//! programs run different numbers of operations, and then some member has not come, which is an error that names it.
//! torch writes names and count into one text, in which `worker0, worker1` with 10 and `worker0, worker11` with 0 are
//! the same.

mod leader;
mod line;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use rpc_core::WorkerId;

pub(crate) use self::leader::{Before, Cause, End, Failed, Joined, Leader, Values};
pub(crate) use self::line::{Lines, Standing};

pub(crate) mod limits {
    //! Bounds of one worker's part.

    /// Operations under way of which this worker is the leader.
    pub(crate) const OPEN_MAX: usize = 1_024;
    /// Of those, such as one member has come to. So a program gone wild leaves room for the others.
    pub(crate) const OPEN_PER_MEMBER_MAX: usize = 256;
    /// Failures that are remembered.
    pub(crate) const FAILED_MAX: usize = 64;
    /// Good ends that are remembered.
    pub(crate) const WHOLE_MAX: usize = 256;
    /// The values of one of them, in bytes, if they are kept for a member whose answer is lost with its link.
    pub(crate) const KEPT_EACH_BYTES_MAX: u64 = 64 << 10;
    /// Those of all of them.
    pub(crate) const KEPT_BYTES_MAX: u64 = 1 << 20;
    /// Lines that this worker counts.
    pub(crate) const LINES_MAX: usize = 4_096;
    /// Requests to watch that wait here.
    pub(crate) const WATCHES_MAX: usize = 4_096;
    /// Length of a tag, in bytes.
    pub(crate) const TAG_BYTES_MAX: usize = 127;
}

/// What the members do together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum What {
    /// Each gives a value, and gets those of all.
    AllGather,
    /// Nobody goes on before all have come.
    Barrier,
}

impl What {
    pub(crate) const ALL: [Self; 2] = [Self::AllGather, Self::Barrier];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AllGather => "all_gather",
            Self::Barrier => "barrier",
        }
    }
}

/// Operations of one kind, team and tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) what: What,
    /// In ascending order, each once.
    pub(crate) members: Box<[WorkerId]>,
    pub(crate) tag: Box<str>,
}

/// Which operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// From 0. First, since that is what most differ in.
    pub(crate) count: u64,
    pub(crate) line: Line,
}

impl Line {
    pub(crate) fn has(&self, worker: WorkerId) -> bool {
        self.members.binary_search(&worker).is_ok()
    }

    /// Whether what has come from the network is one.
    pub(crate) fn is_valid(&self) -> bool {
        let ascending = self.members.windows(2).all(|pair| pair[0] < pair[1]);
        ascending && !self.members.is_empty() && self.tag.len() <= limits::TAG_BYTES_MAX
    }
}

/// What a member gives.
pub(crate) trait Value {
    /// How many bytes it takes to keep it; `None` if it must not be kept, because something else hangs on it.
    fn kept_bytes(&self) -> Option<u64>;
}

/// Why a member does not come any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It cannot be reached.
    Died { reason: String },
    /// It has left the group.
    Departed,
    /// It serves no collectives.
    NotServed,
    /// Its program has ended the operation.
    Past,
}

/// A bound that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) bound: &'static str,
    pub(crate) limit: usize,
}
