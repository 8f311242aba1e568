//! A worker dies: what it held is let go, what it had to do will not be done.

use rpc_core::WorkerId;

use super::Table;
use crate::proto::Why;
use crate::proto::ids::{RRefId, Transfer};
use crate::proto::owned;
use crate::proto::seen::Seen;

impl<O: Default, U: Default> Table<O, U> {
    /// Worker `id` is dead and will not come back: nothing is taken from it any more. Takes time in proportion
    /// to the number of values.
    ///
    /// # Panics
    /// If `id` is this worker, or not in the group: a bug of the driver.
    pub fn peer_dead(&mut self, id: WorkerId) {
        assert!(id != self.me && self.is_member(id), "worker {id} is not a peer");
        if !self.dead.insert(id) {
            return;
        }
        let transfers: Vec<Transfer> = self.peer(id).pinned.keys().copied().collect();
        for transfer in transfers {
            self.unpin(id, transfer);
        }
        for rref in self.owned.ids() {
            self.owned_lost_peer(rref, id);
        }
        for rref in self.used.ids().into_iter().filter(|rref| rref.owner == id) {
            self.fail_used(rref, Why::OwnerLost, false);
        }
        // The counts stay, so that ids are not used again.
        let peer = self.peer(id);
        peer.received = Seen::default();
        peer.created = Seen::default();
        peer.settled = Seen::default();
    }

    fn owned_lost_peer(&mut self, rref: RRefId, id: WorkerId) {
        self.remove_user(id, rref);
        let Some(owned) = self.owned.get(rref) else { return };
        if owned.phase == owned::Phase::Expected && rref.creator == id {
            self.not_created(rref);
        }
    }
}
