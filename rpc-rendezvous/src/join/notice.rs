//! What rank 0 leaves in the store when there will be no group, and how long it stays for the others to read it.
//!
//! Rank 0 often hosts the store, and its process often ends with its error. So it writes down why, keeps its
//! store for a moment, and goes when all others have said that they know, or when the moment is over:
//!
//! ```text
//! gen{n}/over       why there will be no group; only while rank 0 stays
//! gen{n}/told/{r}   rank r knows that there will be none
//! ```
//!
//! In contrast to a refused claim the notice also concerns those who come after it was written.

use std::time::Duration;

use rpc_core::{Store, StoreError, WorkerInfo};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout, timeout_at};

use super::claim::{versioned, versioned_bytes};
use super::{JobStore, JoinError, Joining, WORLD_SIZE_MAX, look_again_longest};

/// Rank 0 stays as long as the others may take until they look, and so much longer.
const STAY_TIME: Duration = Duration::from_secs(1);
/// Saying that one knows takes at most this: rank 0 may be gone.
const TELL_TIME: Duration = Duration::from_millis(500);

/// Why there will be no group.
#[derive(Debug, Serialize, Deserialize)]
struct Notice {
    worker: WorkerInfo,
    reason: String,
}

/// The notice of rank 0, if there is one, as the error that it means for others.
pub(super) async fn read(store: &JobStore, generation: u64) -> Result<Option<JoinError>, JoinError> {
    let key = over_key(generation);
    let Some(bytes) = store.get(&key).await? else { return Ok(None) };
    let Notice { worker, reason } =
        versioned(&bytes).ok_or_else(|| JoinError::Unreadable { key: key.clone() })?;
    Ok(Some(JoinError::Refused { worker, reason }))
}

/// Removes what a rank 0 that was killed while it stayed has left.
pub(super) async fn remove_old(store: &JobStore, generation: u64) -> Result<(), StoreError> {
    store.delete(&over_key(generation)).await.map(drop)
}

/// Says that this worker, which is not rank 0, knows that there will be no group.
pub(super) async fn told(store: &JobStore, me: &Joining, generation: u64) {
    let key = told_key(generation, me.rank);
    match timeout(TELL_TIME, store.set(&key, b"1")).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(key, %error, "could not say that this worker gives up"),
        Err(_) => tracing::debug!(key, "saying that this worker gives up took too long"),
    }
}

/// A notice of rank 0 in the store. Removed on drop, unless that is done.
pub(super) struct Posted {
    /// `None` once there is nothing left to do.
    store: Option<JobStore>,
    generation: u64,
    listeners: Vec<u32>,
    until: Instant,
}

impl Posted {
    /// Writes down why rank 0 gives up. `present` are the ranks that were there at the last look.
    pub(super) async fn post(
        store: &JobStore,
        me: &Joining,
        generation: u64,
        error: &JoinError,
        present: &[u32],
    ) -> Self {
        let notice = match error {
            // Passed on in the words of the worker whose error it is.
            JoinError::Refused { worker, reason } => {
                Notice { worker: worker.clone(), reason: reason.clone() }
            }
            error => Notice { worker: me.claim().member.info, reason: error.to_string() },
        };
        if let Err(error) = store.set(&over_key(generation), &versioned_bytes(&notice)).await {
            tracing::debug!(job = me.job, %error, "could not tell the others why there is no group");
        }
        let listeners = match error {
            // Nobody else came in all that time, so nobody else is waited for.
            JoinError::TimedOut { .. } => present.iter().copied().filter(|rank| *rank != me.rank).collect(),
            JoinError::WorldSizeMismatch { first_size, second_size, .. } => {
                (1..(*first_size).max(*second_size).min(WORLD_SIZE_MAX)).collect()
            }
            _ => (1..me.world_size).collect(),
        };
        let until = Instant::now() + look_again_longest(me.world_size) + STAY_TIME;
        Self { store: Some(store.clone()), generation, listeners, until }
    }

    /// Waits until all others know, but not beyond `latest`; then removes what there is to remove.
    pub(super) async fn stay(mut self, latest: Instant) {
        let Some(store) = &self.store else { return };
        let until = self.until.min(latest);
        let left = until.saturating_duration_since(Instant::now());
        // Whether they know or not, this worker goes on.
        let _ = timeout_at(until, store.wait(&self.told_keys(), left)).await;
        if timeout(TELL_TIME, self.remove(store)).await.is_ok() {
            self.store = None;
        }
    }

    fn told_keys(&self) -> Vec<String> {
        self.listeners.iter().map(|rank| told_key(self.generation, *rank)).collect()
    }

    fn remove(&self, store: &JobStore) -> impl Future<Output = ()> + Send + 'static {
        let keys: Vec<String> = std::iter::once(over_key(self.generation)).chain(self.told_keys()).collect();
        let store = store.clone();
        async move {
            for key in keys {
                if let Err(error) = store.delete(&key).await {
                    return tracing::debug!(key, %error, "could not remove what concerned a failed start");
                }
            }
        }
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        let Some(store) = self.store.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(self.remove(&store));
    }
}

fn over_key(generation: u64) -> String {
    format!("gen{generation}/over")
}

fn told_key(generation: u64, rank: u32) -> String {
    format!("gen{generation}/told/{rank}")
}
