//! [`Worker`]: a worker that took part in what was recorded.

use serde::{Deserialize, Serialize};

use super::machine::MachineId;

/// A worker of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Worker {
    /// Its rank.
    pub rank: u32,
    /// Its name.
    pub name: String,
    /// What its clock is off.
    pub clock: ClockOffset,
    /// On which machine it is, if it has told.
    #[serde(default)]
    pub machine: Option<MachineId>,
}

impl Worker {
    /// A worker of which no more is known.
    pub fn new(rank: u32, name: impl Into<String>, clock: ClockOffset) -> Self {
        Self { rank, name: name.into(), clock, machine: None }
    }
}

/// What the clock of a worker is off from that of the worker that recorded: nothing, where both are on one
/// [machine](Worker::machine), or what round trips of calls allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClockOffset {
    /// How much more it shows, in nanoseconds, as far as that is known. It has been taken off all times.
    pub offset_ns: i64,
    /// How far from that the true offset can be, in nanoseconds. `None` if nothing is known: no call has gone there and
    /// come back. The worker's times are as its own clock has them then.
    pub error_ns: Option<u64>,
}

impl ClockOffset {
    /// That of the worker that recorded.
    pub const EXACT: Self = Self { offset_ns: 0, error_ns: Some(0) };

    /// An offset that is known to `error_ns`.
    pub const fn new(offset_ns: i64, error_ns: Option<u64>) -> Self {
        Self { offset_ns, error_ns }
    }
}
