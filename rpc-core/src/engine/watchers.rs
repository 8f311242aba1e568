//! Who hears of links that go and peers that leave.

use std::sync::Weak;

use parking_lot::Mutex;

use crate::agent::{PeerEvent, PeerWatcher};
use crate::worker::WorkerId;

/// The watchers of one engine.
#[derive(Default)]
pub(super) struct Watchers {
    /// As many as live, because each new one clears out the dead. The program decides how many it makes:
    /// one for each protocol, not for each call.
    watchers: Mutex<Vec<Weak<dyn PeerWatcher>>>,
}

impl Watchers {
    pub(super) fn add(&self, watcher: Weak<dyn PeerWatcher>) {
        let mut watchers = self.watchers.lock();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(watcher);
    }

    /// Tells everybody. The caller holds no lock.
    pub(super) fn tell(&self, peer: WorkerId, event: PeerEvent) {
        let watchers = self.watchers.lock().clone();
        for watcher in watchers.iter().filter_map(Weak::upgrade) {
            watcher.peer_event(peer, event);
        }
    }
}
