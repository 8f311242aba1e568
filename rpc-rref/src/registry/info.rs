//! [`ReferenceInfo`]: how many values, handles and messages about them there are.

use rpc_core::{FunctionId, Kind, WorkerInfo};
use serde::{Deserialize, Serialize};

use super::handler::{CREATE, FETCH};
use super::{CREATE_BY_METHOD, METHOD, REPORT, Registry, chores, control};

/// What one worker has to do with references, from [`Registry::info`].
///
/// A picture of one moment. Nothing is counted for it while nobody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReferenceInfo {
    /// Values of this worker's that somebody refers to, those in the next two numbers included.
    pub owned: u64,
    /// Of these, those whose creation is still on its way here.
    pub owned_expected: u64,
    /// Of these, those that have no value and never will.
    pub owned_failed: u64,
    /// Handles on this worker to its own values. Clones of a reference share one.
    pub owned_handles: u64,
    /// Values of other workers that this one refers to, those in the next three numbers included.
    pub used: u64,
    /// Of these, those that this worker asked for with `remote`, and whose owner has not said that it has them.
    pub used_creating: u64,
    /// Of these, those whose owner has not confirmed this worker's handles.
    pub used_unconfirmed: u64,
    /// Of these, those that are of no use: their owner is gone, or they were never created.
    pub used_failed: u64,
    /// Handles on this worker to values of others. Clones of a reference share one.
    pub used_handles: u64,
    /// Handles that were sent and have not been taken over by who got them.
    pub travelling: u64,
    /// Calls, copies and the like that wait for a value to be there.
    pub waiting: u64,
    /// Calls, copies and the like that wait for others to be done with a value.
    pub borrowing: u64,
    /// The workers with which references were exchanged, by rank.
    pub peers: Vec<PeerReferences>,
}

/// What one worker has to do with another's references.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeerReferences {
    /// The other.
    pub worker: WorkerInfo,
    /// Values of this worker's that the other refers to.
    pub lent: u64,
    /// Values of the other's that this one refers to.
    pub used: u64,
    /// Messages about references to the other, queued or without a receipt.
    pub queued: u64,
    /// Whether the other is gone, for references for good.
    pub dead: bool,
}

impl Registry {
    /// What there is now. Visits every value, and nothing else happens to references meanwhile.
    pub fn info(&self) -> ReferenceInfo {
        let group = self.agent().group();
        self.read(|state| {
            let counts = state.table.counts();
            let peers = group.members().iter().zip(&counts.peers).filter_map(|(member, counted)| {
                let id = member.info.id;
                let queued = state.streams.get(&id).map(|stream| stream.out.len() as u64);
                let dead = state.dead.contains(&id);
                let is_known = queued.is_some() || dead || counted.lent + counted.used > 0;
                is_known.then(|| PeerReferences {
                    worker: member.info.clone(),
                    lent: counted.lent,
                    used: counted.used,
                    queued: queued.unwrap_or_default(),
                    dead,
                })
            });
            ReferenceInfo {
                owned: counts.owned,
                owned_expected: counts.owned_expected,
                owned_failed: counts.owned_failed,
                owned_handles: counts.owned_handles,
                used: counts.used,
                used_creating: counts.used_creating,
                used_unconfirmed: counts.used_registering,
                used_failed: counts.used_failed,
                used_handles: counts.used_handles,
                travelling: counts.travelling,
                waiting: state.waiting.values().map(|waiting| waiting.len() as u64).sum(),
                borrowing: state.queues.values().map(|queue| queue.len() as u64).sum(),
                peers: peers.collect(),
            }
        })
    }

    /// What a request of this registry's is called, by its kind and method, for
    /// [`AgentInfo::name_functions`](rpc_core::AgentInfo::name_functions). `None` for those of others.
    pub fn name_of(&self, kind: Kind, method: u64) -> Option<String> {
        let function = || self.function_of(kind, method);
        match kind {
            CREATE | CREATE_BY_METHOD => Some(format!("remote {}", function()?)),
            control::CONTROL | chores::CHORE | REPORT => Some("references".to_owned()),
            _ => function().map(str::to_owned),
        }
    }

    /// The function or method that a request asks for, if it is known.
    pub(super) fn function_of(&self, kind: Kind, method: u64) -> Option<&'static str> {
        let id = FunctionId::from_wire(method);
        match kind {
            CREATE => Some(self.functions.entry(id).ok()?.name()),
            METHOD | CREATE_BY_METHOD => Some(self.methods().entry(id).ok()?.name()),
            FETCH => Some("to_here"),
            _ => None,
        }
    }
}

impl ReferenceInfo {
    /// The same as a flat list of names and values, for people: `references.owned`, `references.worker1.used` and so
    /// on.
    pub fn flat(&self) -> Vec<(String, String)> {
        let Self { peers, .. } = self;
        let totals = [
            ("owned", self.owned),
            ("owned_expected", self.owned_expected),
            ("owned_failed", self.owned_failed),
            ("owned_handles", self.owned_handles),
            ("used", self.used),
            ("used_creating", self.used_creating),
            ("used_unconfirmed", self.used_unconfirmed),
            ("used_failed", self.used_failed),
            ("used_handles", self.used_handles),
            ("travelling", self.travelling),
            ("waiting", self.waiting),
            ("borrowing", self.borrowing),
        ];
        let totals = totals.map(|(name, value)| (format!("references.{name}"), value.to_string()));
        let peers = peers.iter().flat_map(|peer| {
            let name = |word: &str| format!("references.{}.{word}", peer.worker.name);
            [
                (name("lent"), peer.lent.to_string()),
                (name("used"), peer.used.to_string()),
                (name("queued"), peer.queued.to_string()),
                (name("dead"), peer.dead.to_string()),
            ]
        });
        totals.into_iter().chain(peers).collect()
    }
}
