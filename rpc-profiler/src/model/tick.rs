//! [`Tick`]: a moment.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// A moment in nanoseconds since the Unix epoch, as the clock of one worker has it. Differences are exact to what the
/// system's monotonic clock gives; the epoch is read once for each worker.
///
/// In JSON it is a whole number, of which JavaScript and jq keep what is left of it after some 200 ns; differences from the
/// profile's own `began` are exact if they are taken of whole numbers.
///
/// Never zero, so that `Option<Tick>` is as small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tick(NonZeroU64);

impl Tick {
    /// The moment `ns` nanoseconds after the Unix epoch, which itself counts as one later.
    pub const fn from_unix_ns(ns: u64) -> Self {
        match NonZeroU64::new(ns) {
            Some(ns) => Self(ns),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// In nanoseconds since the Unix epoch.
    pub const fn unix_ns(self) -> u64 {
        self.0.get()
    }

    /// Nanoseconds from `earlier` to this; 0 if that is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    /// This moment on a clock that shows `ns` more.
    #[must_use]
    pub const fn shifted(self, ns: i64) -> Self {
        Self::from_unix_ns(self.0.get().saturating_add_signed(ns))
    }
}
