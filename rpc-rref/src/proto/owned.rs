//! One value on its owner.

use std::collections::BTreeSet;

use rpc_core::WorkerId;

use super::ids::Registration;

/// Who keeps the value alive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owned {
    pub(super) phase: Phase,
    /// Handles on this worker.
    pub(super) handles: u32,
    /// Handles sent and not adopted.
    pub(super) pins: u32,
    /// The users that are listed.
    pub(super) users: BTreeSet<WorkerId>,
    /// Users that registered before the value was created.
    pub(super) parked: Vec<(WorkerId, Registration)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Its creation is on its way.
    Expected,
    /// It was asked for; whether its function has returned is not this protocol's business.
    Held,
    /// Its creation will not come. It stays until its users have learned that by asking for it.
    NotCreated,
}

impl Owned {
    pub(super) fn new(phase: Phase) -> Self {
        Self { phase, handles: 0, pins: 0, users: BTreeSet::new(), parked: Vec::new() }
    }

    /// Forgets a user, also one that waits for the creation. Whether there was one.
    pub(super) fn remove_user(&mut self, user: WorkerId) -> bool {
        let parked = self.parked.len();
        self.parked.retain(|(waiting, _)| *waiting != user);
        self.users.remove(&user) || self.parked.len() < parked
    }

    /// Whether nobody needs it.
    pub(super) fn is_free(&self) -> bool {
        self.handles == 0 && self.pins == 0 && self.users.is_empty() && self.parked.is_empty()
    }
}
