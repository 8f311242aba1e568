//! One value on a user.

use rpc_core::WorkerId;

use super::Why;
use super::ids::{Registration, Transfer};

/// What this worker has of another's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Used {
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
    /// The owner lists this worker, or will before it can free the value.
    Listed,
    /// It is of no use.
    Failed(Why),
}

impl Used {
    pub(super) fn new(phase: Phase) -> Self {
        Self { phase, handles: 1, pins: 0 }
    }

    /// Whether nothing here needs the entry any more (RC-2).
    pub(super) fn is_done(&self) -> bool {
        let settled = matches!(self.phase, Phase::Listed | Phase::Failed(_));
        self.handles == 0 && self.pins == 0 && settled
    }
}
