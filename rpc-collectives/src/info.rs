//! [`CollectiveInfo`]: operations under way, for people.

use std::collections::HashMap;

use rpc_core::{WorkerId, WorkerName};
use serde::{Deserialize, Serialize};

use crate::leading::leader_of;
use crate::proto::Operation;
use crate::shared::Shared;

/// An operation under way that a worker takes part in or leads, from [`Collectives::info`](crate::Collectives::info).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CollectiveInfo {
    /// `all_gather` or `barrier`.
    pub operation: String,
    /// Whose it is, by name.
    pub team: Vec<WorkerName>,
    /// The team's tag; empty for none.
    pub tag: String,
    /// How many operations of this kind, team and tag were before it.
    pub count: u64,
    /// The member with the smallest name, through which it goes.
    pub leader: WorkerName,
    /// Whether this worker's program waits for it.
    pub waits_here: bool,
    /// Who has not come, by name. Only the leader knows: `None` on the others.
    pub missing: Option<Vec<WorkerName>>,
}

/// All that `shared` takes part in or leads, by operation, team, tag and count.
pub(crate) fn under_way(shared: &Shared) -> Vec<CollectiveInfo> {
    let names = |ids: &[WorkerId]| {
        let mut names: Vec<WorkerName> = ids.iter().map(|id| shared.name(*id)).collect();
        names.sort();
        names
    };
    let here = shared.with_lines(|lines| lines.under_way().collect::<Vec<Operation>>());
    let mut all: HashMap<Operation, (bool, Option<Vec<WorkerId>>)> =
        here.into_iter().map(|operation| (operation, (true, None))).collect();
    for (operation, missing) in shared.led() {
        all.entry(operation).or_default().1 = Some(missing);
    }
    let group = shared.client.agent().group();
    let mut all: Vec<CollectiveInfo> = all
        .into_iter()
        .map(|(Operation { count, line }, (waits_here, missing))| CollectiveInfo {
            operation: line.what.name().into(),
            team: names(&line.members),
            tag: line.tag.into(),
            count,
            leader: shared.name(leader_of(group, &line.members).unwrap_or(shared.me())),
            waits_here,
            missing: missing.map(|missing| names(&missing)),
        })
        .collect();
    all.sort_by(|a, b| a.key().cmp(&b.key()));
    all
}

impl CollectiveInfo {
    fn key(&self) -> (&str, &[WorkerName], &str, u64) {
        (&self.operation, &self.team, &self.tag, self.count)
    }

    /// The same as a flat list of names and values, for people, where this is the `nth` of several:
    /// `collectives.0.operation`, `collectives.0.missing` and so on.
    pub fn flat(&self, nth: usize) -> Vec<(String, String)> {
        let missing = match &self.missing {
            Some(missing) => list(missing),
            None => format!("known to {}", self.leader),
        };
        let values = [
            ("operation", self.operation.clone()),
            ("team", list(&self.team)),
            ("tag", self.tag.clone()),
            ("count", self.count.to_string()),
            ("leader", self.leader.to_string()),
            ("waits_here", self.waits_here.to_string()),
            ("missing", missing),
        ];
        values.into_iter().map(|(name, value)| (format!("collectives.{nth}.{name}"), value)).collect()
    }
}

fn list(names: &[WorkerName]) -> String {
    let names: Vec<&str> = names.iter().map(WorkerName::as_str).collect();
    names.join(", ")
}
