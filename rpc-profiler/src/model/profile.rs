//! [`Profile`]: all that was recorded.

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::span::Span;
use super::tick::Tick;
use super::worker::Worker;

/// Index into [`Profile::names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NameId(pub u32);

/// What was recorded between two moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// Rank of the worker that recorded, on whose clock all times are.
    pub home: u32,
    /// When recording began.
    pub began: Tick,
    /// When it ended.
    pub ended: Tick,
    /// All that appear, by rank, [`home`](Self::home) included.
    pub workers: Vec<Worker>,
    /// What [`NameId`] stands for.
    pub names: Vec<String>,
    /// In the order in which they ended.
    pub calls: Vec<Call>,
    /// In the order in which they ended.
    pub spans: Vec<Span>,
    /// Calls and spans that were not kept, because there was no more room.
    pub dropped: u64,
    /// Calls that the worker had made, or was serving, and that had not ended when this was taken: they are not in it.
    #[serde(default)]
    pub under_way: u64,
}

impl Profile {
    /// One without calls and spans.
    pub const fn new(home: u32, began: Tick, ended: Tick) -> Self {
        Self {
            home,
            began,
            ended,
            workers: Vec::new(),
            names: Vec::new(),
            calls: Vec::new(),
            spans: Vec::new(),
            dropped: 0,
            under_way: 0,
        }
    }

    /// What `id` stands for; empty if it stands for nothing, as in a profile that was put together by hand.
    pub fn name(&self, id: NameId) -> &str {
        self.names.get(id.0 as usize).map_or("", String::as_str)
    }

    /// The worker with this rank. Found at once where they stand by rank, as they should.
    pub fn worker(&self, rank: u32) -> Option<&Worker> {
        let at = self.workers.partition_point(|worker| worker.rank < rank);
        let in_order = self.workers.get(at).filter(|worker| worker.rank == rank);
        in_order.or_else(|| self.workers.iter().find(|worker| worker.rank == rank))
    }

    /// Its name; `rank N` if it has none here.
    pub fn worker_name(&self, rank: u32) -> String {
        self.worker(rank).map_or_else(|| format!("rank {rank}"), |worker| worker.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ClockOffset;

    #[test]
    fn workers_are_found_in_any_order() {
        let tick = Tick::from_unix_ns(1);
        for ranks in [[1, 3, 7], [7, 1, 3], [3, 7, 1]] {
            let mut profile = Profile::new(0, tick, tick);
            profile.workers =
                ranks.map(|rank| Worker::new(rank, format!("worker{rank}"), ClockOffset::EXACT)).to_vec();
            let names = [0, 1, 2, 3, 7, 8].map(|rank| profile.worker_name(rank));
            assert_eq!(names, ["rank 0", "worker1", "rank 2", "worker3", "worker7", "rank 8"]);
        }
    }
}
