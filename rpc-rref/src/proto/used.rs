//! One value on a user.

use rpc_core::WorkerId;

use super::Why;
use super::ids::{Registration, Transfer};

/// What this worker has of another's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Used<U> {
    /// The driver's.
    pub(super) data: U,
    pub(super) phase: Phase,
    /// Handles on this worker.
    pub(super) handles: u32,
    /// Handles sent and not adopted.
    pub(super) pins: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// This worker asked for the value; the answer is not there.
    Creating,
    /// The owner has not answered; these wait to be told `Adopted`.
    Registering { id: Registration, waiting: Vec<(WorkerId, Transfer)> },
    /// The owner lists this worker, or will before it can free the value. By registration, unless this
    /// worker created the value.
    Listed { by: Option<Registration> },
    /// It is of no use. The owner may list this worker all the same.
    Failed { why: Why, listed: bool },
}

impl<U> Used<U> {
    /// With one handle.
    pub(super) fn new(phase: Phase, data: U) -> Self {
        Self { data, phase, handles: 1, pins: 0 }
    }
}
