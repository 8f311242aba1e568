//! [`DebugInfo`]: what a worker is doing, as data and as names and values.

use std::collections::BTreeMap;

#[cfg(feature = "collectives")]
pub use rpc_collectives::CollectiveInfo;
use rpc_core::{AgentInfo, FunctionDifference, WorkerInfo};
use rpc_rref::ReferenceInfo;
use serde::{Deserialize, Serialize};

/// An operation of a team under way. Without the feature `collectives` there are none.
#[cfg(not(feature = "collectives"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CollectiveInfo {}

#[cfg(not(feature = "collectives"))]
impl CollectiveInfo {
    fn flat(&self, _: usize) -> Vec<(String, String)> {
        match *self {}
    }
}

/// What a worker is doing, from [`Worker::debug_info`](crate::Worker::debug_info).
///
/// A picture of one moment; to be sent, stored or printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DebugInfo {
    /// The worker.
    pub worker: WorkerInfo,
    /// The job that it belongs to.
    pub job: String,
    /// How many workers the job has.
    pub world_size: u64,
    /// How long calls wait unless told otherwise, in milliseconds; 0 for ever.
    pub rpc_timeout_ms: u64,
    /// How many functions it serves.
    pub functions: u64,
    /// Names of the codecs that it has.
    pub codecs: Vec<String>,
    /// Calls, requests, peers, links, queues and threads. Functions and methods of this program have their names, and so
    /// have the operations of teams: `barrier`, `all_gather`. This worker is among the peers, with the link `none`.
    pub agent: AgentInfo,
    /// Operations of teams under way that it takes part in or leads, with those who are missing, where it leads.
    pub collectives: Vec<CollectiveInfo>,
    /// Values, handles, and messages about them.
    pub references: ReferenceInfo,
    /// Peers whose functions are not the same as this worker's, as far as links were made to them.
    pub other_functions: Vec<FunctionDifference>,
}

impl DebugInfo {
    /// The same by name, as torch gives it: `requests.active`, `peer.worker1.in_flight`, `references.owned` and so on
    /// (see [`AgentInfo::flat`], [`ReferenceInfo::flat`], `CollectiveInfo::flat`).
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let own = [
            ("worker", self.worker.to_string()),
            ("job", self.job.clone()),
            ("world_size", self.world_size.to_string()),
            ("rpc_timeout_ms", self.rpc_timeout_ms.to_string()),
            ("functions", self.functions.to_string()),
            ("codecs", self.codecs.join(", ")),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let differ = self.other_functions.iter();
        let differ = differ.map(|other| (format!("functions.other.{}", other.peer.name), other.to_string()));
        let together = self.collectives.iter().enumerate().flat_map(|(nth, operation)| operation.flat(nth));
        own.chain(self.agent.flat()).chain(together).chain(self.references.flat()).chain(differ).collect()
    }
}
