//! [`Joined`]: a place in a group, and leaving it.

use std::fmt;
use std::time::Duration;

use rpc_core::{Group, Incarnation, Store};
use tokio::time::{Instant, timeout};

use super::{JobStore, Joining, left_key};

/// Leaving takes at most this.
const LEAVE_TIME: Duration = Duration::from_millis(500);

/// A place in a group.
pub struct Joined {
    /// All workers of the job.
    pub group: Group,
    store: JobStore,
    generation: u64,
    rank: u32,
    incarnation: Incarnation,
}

impl Joined {
    pub(super) fn new(group: Group, store: JobStore, generation: u64, me: &Joining) -> Self {
        Self { group, store, generation, rank: me.rank, incarnation: me.incarnation }
    }

    /// How often this job has been joined before over the same store.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Says that this worker has left, so that its rank may join again. Without it, another worker of this
    /// rank and job is refused for as long as the store lives.
    ///
    /// Best effort, within half a second: the store may be gone already. Rank 0, which often hosts the store,
    /// uses the rest of that time to wait until the others have left too.
    pub async fn leave(&self) {
        let until = Instant::now() + LEAVE_TIME;
        let leave = async {
            self.store.set(&left_key(self.generation, self.rank), &self.incarnation.0).await?;
            if self.rank == 0 {
                let ranks = 0..self.group.world_size() as u32;
                let keys: Vec<String> = ranks.map(|rank| left_key(self.generation, rank)).collect();
                self.store.wait(&keys, until.saturating_duration_since(Instant::now())).await?;
            }
            Ok::<(), rpc_core::StoreError>(())
        };
        match timeout(LEAVE_TIME, leave).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(job = self.group.job(), %error, "leaving"),
            Err(_) => tracing::debug!(job = self.group.job(), "leaving took too long"),
        }
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined")
            .field("group", &self.group)
            .field("generation", &self.generation)
            .field("rank", &self.rank)
            .finish_non_exhaustive()
    }
}
