//! [`Counts`]: how much there is in a table, for who asks.

use rpc_core::WorkerId;

use super::Table;
use crate::proto::{owned, used};

/// How much there is in a [`Table`], from [`Table::counts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Values of this worker's, those in the next two numbers included.
    pub owned: u64,
    /// Of these, those whose creation is still on its way.
    pub owned_expected: u64,
    /// Of these, those that have no value and never will.
    pub owned_failed: u64,
    /// Handles on this worker to its own values.
    pub owned_handles: u64,
    /// Other workers' values that this one has to do with, those in the next three numbers included.
    pub used: u64,
    /// Of these, those that this worker asked for and whose creation is not confirmed.
    pub used_creating: u64,
    /// Of these, those whose owner has not confirmed this worker's handles.
    pub used_registering: u64,
    /// Of these, those that are of no use.
    pub used_failed: u64,
    /// Handles on this worker to other workers' values.
    pub used_handles: u64,
    /// Handles that were sent and have not been taken over by who got them.
    pub travelling: u64,
    /// By worker, in the order of the ranks.
    pub peers: Vec<PeerCounts>,
}

/// What a table has to do with one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCounts {
    /// Values of this worker's that the peer is listed for.
    pub lent: u64,
    /// Values of the peer's that this worker has to do with.
    pub used: u64,
}

impl<O, U> Table<O, U> {
    /// Counts everything. Takes a step for each value.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { travelling: self.pins as u64, ..Counts::default() };
        counts.peers.resize(self.workers as usize, PeerCounts::default());
        for (_, owned) in self.owned.iter() {
            counts.owned += 1;
            counts.owned_handles += u64::from(owned.handles);
            match owned.phase {
                owned::Phase::Expected => counts.owned_expected += 1,
                owned::Phase::Failed(_) => counts.owned_failed += 1,
                owned::Phase::Held => {}
            }
            for user in owned.users.as_slice() {
                counts.of(*user, |peer| &mut peer.lent);
            }
        }
        for (rref, used) in self.used.iter() {
            counts.used += 1;
            counts.used_handles += u64::from(used.handles);
            match used.phase {
                used::Phase::Creating => counts.used_creating += 1,
                used::Phase::Registering { .. } => counts.used_registering += 1,
                used::Phase::Failed { .. } => counts.used_failed += 1,
                used::Phase::Listed { .. } => {}
            }
            counts.of(rref.owner, |peer| &mut peer.used);
        }
        counts
    }
}

impl Counts {
    fn of(&mut self, peer: WorkerId, which: impl FnOnce(&mut PeerCounts) -> &mut u64) {
        if let Some(peer) = self.peers.get_mut(peer.0 as usize) {
            *which(peer) += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_handles_are_counted_by_what_has_become_of_them() {
        let mut table: Table<(), ()> = Table::new(WorkerId(0), 3);
        let own = table.own(());
        table.clone_handle(own);
        let theirs = table.create(WorkerId(2), ()).unwrap();
        let counts = table.counts();
        assert_eq!((counts.owned, counts.owned_handles), (1, 2));
        assert_eq!((counts.used, counts.used_creating, counts.used_handles), (1, 1, 1));
        assert_eq!((counts.peers[2].used, counts.peers[1]), (1, PeerCounts::default()));
        table.drop_handle(own);
        table.drop_handle(own);
        assert_eq!((table.counts().owned, theirs.owner), (0, WorkerId(2)));
    }
}
