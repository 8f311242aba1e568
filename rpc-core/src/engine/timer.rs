//! One coarse timer for all calls.
//!
//! A call costs no timer of its own: it only compares its deadline with the earliest that the timer
//! knows. When that comes, the tables are scanned for what has expired and for the next earliest. With the
//! usual one timeout for all, that is one scan in as many seconds as the timeout has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::shared::Shared;

/// Shortest time between two scans: how late an expiry may be noticed.
const TICK: Duration = Duration::from_millis(1);
const NEVER: u64 = u64::MAX;

/// When the next scan is due.
#[derive(Debug)]
pub(super) struct Timer {
    base: Instant,
    /// Microseconds after `base`.
    earliest: AtomicU64,
    changed: Notify,
}

impl Timer {
    pub(super) fn new() -> Self {
        Self { base: Instant::now(), earliest: AtomicU64::new(NEVER), changed: Notify::new() }
    }

    /// Has the scan happen no later than `deadline`.
    pub(super) fn watch(&self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        let due = u64::try_from(deadline.saturating_duration_since(self.base).as_micros())
            .map_or(NEVER - 1, |us| us.min(NEVER - 1));
        // Relaxed is enough: the table's own lock orders the deadline before a scan that has to see it.
        if due < self.earliest.load(Ordering::Relaxed)
            && due < self.earliest.fetch_min(due, Ordering::Relaxed)
        {
            self.changed.notify_one();
        }
    }

    fn due(&self) -> Option<Instant> {
        let earliest = self.earliest.load(Ordering::Relaxed);
        (earliest != NEVER).then(|| self.base + Duration::from_micros(earliest))
    }
}

/// Closes the engine when its runtime ends under it: nobody else is left to fail the calls in flight.
pub(super) struct CloseOnDrop(pub(super) Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if !self.0.is_closed() {
            super::leave::close(&self.0);
        }
    }
}

/// Expires calls until the agent is dropped.
pub(super) async fn run(end: CloseOnDrop) {
    let shared = &end.0;
    loop {
        shared.mark_driver_thread();
        let changed = shared.timer.changed.notified();
        match shared.timer.due() {
            None => changed.await,
            Some(due) => {
                tokio::select! {
                    () = changed => continue,
                    () = tokio::time::sleep_until(due) => {}
                }
                // Calls that come from here on report their own deadlines again.
                shared.timer.earliest.store(NEVER, Ordering::Relaxed);
                let now = Instant::now();
                for peer in shared.peers.iter() {
                    shared.timer.watch(peer.expire(shared, now));
                }
                tokio::time::sleep(TICK).await;
            }
        }
    }
}
