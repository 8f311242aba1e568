//! [`Span`]: a piece of work that a user has named.

use serde::{Deserialize, Serialize};

use super::profile::NameId;
use super::tick::Tick;

/// Stands for one call or span of a profile. The upper 16 bits are the rank of the worker that made it, modulo 65,536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpanId(pub u64);

/// A span of the user's own, from `record_function`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Span {
    /// Which one.
    pub id: SpanId,
    /// The span in which it began, or the call in whose handler.
    pub parent: Option<SpanId>,
    /// Rank of the worker that did it.
    pub worker: u32,
    /// What the user called it.
    pub name: NameId,
    /// How many calls and spans it is in.
    pub depth: u16,
    /// When it began.
    pub began: Tick,
    /// When it ended.
    pub ended: Tick,
}

impl Span {
    /// A span without a parent.
    pub const fn new(id: SpanId, worker: u32, name: NameId, began: Tick, ended: Tick) -> Self {
        Self { id, parent: None, worker, name, depth: 0, began, ended }
    }
}
