//! What of a table matters for its future: states of the model that differ in nothing else are one.

use std::hash::{Hash, Hasher};

use rpc_core::WorkerId;

use super::Table;
use crate::proto::ids::{RRefId, Registration, Transfer};
use crate::proto::used::Phase;

/// Other names for workers, and for what they count. Tables do nothing with either but compare them, so a
/// table under other names behaves the same.
#[derive(Clone, Copy, Debug)]
pub(in crate::proto) struct Names<'a> {
    /// All tables, by worker.
    pub(in crate::proto) tables: &'a [&'a Table<bool, ()>],
    /// The workers that count, in the order of their new names.
    pub(in crate::proto) order: &'a [WorkerId],
}

impl Names<'_> {
    pub(in crate::proto) fn worker(&self, id: WorkerId) -> Option<usize> {
        self.order.iter().position(|other| *other == id)
    }

    fn table(&self, id: WorkerId) -> &Table<bool, ()> {
        self.tables[id.0 as usize]
    }

    fn sent(&self, from: WorkerId, to: WorkerId) -> u64 {
        self.table(from).known(to).map_or(0, |peer| peer.sent)
    }

    /// How many transfers ago that was.
    pub(in crate::proto) fn transfer(&self, from: WorkerId, to: WorkerId, transfer: Transfer) -> u64 {
        self.sent(from, to) - transfer.0
    }

    /// How many registrations ago that was.
    pub(in crate::proto) fn registration(&self, user: WorkerId, id: Registration) -> u64 {
        self.table(user).registrations - id.0
    }
}

impl Table<bool, ()> {
    /// Hashes what this table knows of `rref`, the only value there is, and of the peers.
    pub(in crate::proto) fn hash_renamed(&self, rref: RRefId, names: Names<'_>, hasher: &mut impl Hasher) {
        if let Some(owned) = self.owned.get(rref) {
            (owned.phase, owned.data, owned.handles, owned.pins).hash(hasher);
            for id in names.order {
                owned.users.contains(*id).hash(hasher);
            }
            for (user, id) in owned.parked() {
                (names.worker(*user), names.registration(*user, *id)).hash(hasher);
            }
        }
        if let Some(used) = self.used.get(rref) {
            (used.handles, used.pins).hash(hasher);
            self.hash_phase(&used.phase, names, hasher);
        }
        for &id in names.order {
            self.hash_peer(id, rref, names, hasher);
        }
    }

    fn hash_phase(&self, phase: &Phase, names: Names<'_>, hasher: &mut impl Hasher) {
        match phase {
            Phase::Creating => 0_u8.hash(hasher),
            Phase::Registering { id, waiting } => {
                (1_u8, names.registration(self.me, *id)).hash(hasher);
                for (from, transfer) in waiting {
                    (names.worker(*from), names.transfer(*from, self.me, *transfer)).hash(hasher);
                }
            }
            Phase::Listed { by } => (2_u8, by.map(|id| names.registration(self.me, id))).hash(hasher),
            Phase::Failed { why, listed } => (3_u8, why, listed).hash(hasher),
        }
    }

    fn hash_peer(&self, id: WorkerId, rref: RRefId, names: Names<'_>, hasher: &mut impl Hasher) {
        self.dead.contains(&id).hash(hasher);
        let Some(peer) = self.known(id).filter(|_| !self.dead.contains(&id)) else { return };
        for transfer in peer.pinned.keys() {
            names.transfer(self.me, id, *transfer).hash(hasher);
        }
        for missing in (0..names.sent(id, self.me)).filter(|number| !peer.received.contains(*number)) {
            (u8::MAX, names.transfer(id, self.me, Transfer(missing))).hash(hasher);
        }
        (peer.created.contains(rref.number), peer.settled.contains(rref.number)).hash(hasher);
    }
}
