//! [`Span`]: a piece of work that a user has named.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::profile::NameId;
use super::tick::Tick;

/// Stands for one call or span of a profile. The upper 16 bits are the rank of the worker that made it, modulo 65,536.
///
/// Shown, and written in JSON, as the spans in logs and the Chrome trace have it: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub u64);

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for SpanId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self);
        }
        let digits = Cow::<'_, str>::deserialize(deserializer)?;
        u64::from_str_radix(&digits, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

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
