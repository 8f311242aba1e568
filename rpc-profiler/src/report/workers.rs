//! [`Workers`]: all that appear in a profile, by rank.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::{Call, Profile};

/// Workers of the page, by rank.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Workers {
    rows: Vec<WorkerRow>,
}

/// What the page says of one.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct WorkerRow {
    pub(super) rank: u32,
    pub(super) name: String,
    pub(super) is_home: bool,
    pub(super) offset_ns: i64,
    /// `None` if nothing is known of its clock.
    pub(super) error_ns: Option<u64>,
    /// It is on the machine of the worker that recorded.
    pub(super) is_here: bool,
    pub(super) made: u64,
    pub(super) served: u64,
}

impl Workers {
    /// Those that `profile` lists, and those that it does not but that have calls or spans.
    pub(super) fn of(profile: &Profile, calls: &[&Call]) -> Self {
        let mut ranks: BTreeSet<_> = profile.workers.iter().map(|worker| worker.rank).collect();
        ranks.extend(calls.iter().flat_map(|call| [call.from, call.to]));
        ranks.extend(profile.spans.iter().map(|span| span.worker));
        let mut workers =
            Self { rows: ranks.into_iter().map(|rank| WorkerRow::new(profile, rank)).collect() };
        for call in calls {
            let [from, to] = [call.from, call.to].map(|rank| workers.index(rank));
            workers.rows[from].made += 1;
            workers.rows[to].served += 1;
        }
        workers
    }

    /// Where the worker of `rank` is among them, which it has to be.
    pub(super) fn index(&self, rank: u32) -> usize {
        self.rows.partition_point(|worker| worker.rank < rank)
    }
}

impl WorkerRow {
    fn new(profile: &Profile, rank: u32) -> Self {
        let clock = profile.worker(rank).map(|worker| worker.clock).unwrap_or_default();
        let machine = |rank| profile.worker(rank).and_then(|worker| worker.machine);
        Self {
            rank,
            name: profile.worker_name(rank),
            is_home: rank == profile.home,
            offset_ns: clock.offset_ns,
            error_ns: clock.error_ns,
            is_here: machine(rank).is_some() && machine(rank) == machine(profile.home),
            made: 0,
            served: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{ProfileBuilder, stages};

    #[test]
    fn workers_are_there_by_rank_if_they_are_listed_or_not() {
        let mut sample = ProfileBuilder::new();
        sample.call("add", 2, 7, stages(0, [1; 7]));
        sample.call("add", 2, 0, stages(0, [1; 7]));
        sample.span("step", 5, 0, 1);
        let calls: Vec<_> = sample.profile.calls.iter().collect();

        let workers = Workers::of(&sample.profile, &calls);
        let rows =
            workers.rows.iter().map(|row| (row.rank, row.name.as_str(), row.error_ns, row.made, row.served));
        let expected = [
            (0, "worker0", Some(0), 0, 1),
            (1, "worker1", Some(20), 0, 0),
            (2, "worker2", None, 2, 0),
            (5, "rank 5", None, 0, 0),
            (7, "rank 7", None, 0, 1),
        ];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
        assert!(workers.rows[0].is_home && !workers.rows[1].is_home);
        assert_eq!([0, 1, 2, 5, 7].map(|rank| workers.index(rank)), [0, 1, 2, 3, 4]);
    }
}
