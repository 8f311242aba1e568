//! [`Matrix`]: who called whom, how often, and with how many bytes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::model::{Call, Profile};

/// Calls by caller and callee.
#[derive(Debug, Serialize)]
pub(super) struct Matrix {
    /// By rank. If there are too many, the last one stands for those that have least to do with calls.
    pub(super) workers: Vec<String>,
    /// Those that have calls, by caller and then callee.
    pub(super) cells: Vec<Cell>,
}

/// The calls from one worker to another.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Cell {
    /// Index into [`Matrix::workers`].
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    /// All of them together.
    pub(super) took_ns: u64,
}

impl Matrix {
    /// Workers with rows of their own: as many as fit on a screen.
    pub(super) const WORKERS_MAX: usize = 32;

    pub(super) fn of(profile: &Profile, calls: &[&Call]) -> Self {
        let ranks = ranks(calls);
        let others = ranks.len();
        let index: HashMap<_, _> = ranks.iter().enumerate().map(|(index, rank)| (*rank, index)).collect();
        let mut cells: BTreeMap<_, Cell> = BTreeMap::new();
        for call in calls {
            let [from, to] = [call.from, call.to].map(|rank| index.get(&rank).copied().unwrap_or(others));
            let cell = cells.entry((from, to)).or_insert_with(|| Cell { from, to, ..Cell::default() });
            cell.add(call, !call.is_ok(&profile.names));
        }
        let mut workers: Vec<_> = ranks.iter().map(|rank| profile.worker_name(*rank)).collect();
        if cells.keys().any(|(from, to)| *from == others || *to == others) {
            workers.push("all others".to_owned());
        }
        Self { workers, cells: cells.into_values().collect() }
    }
}

impl Cell {
    fn add(&mut self, call: &Call, failed: bool) {
        self.calls += 1;
        self.failed += u64::from(failed);
        self.request_bytes = self.request_bytes.saturating_add(call.request.bytes);
        self.response_bytes = self.response_bytes.saturating_add(call.response.bytes);
        self.took_ns = self.took_ns.saturating_add(call.times.total_ns());
    }
}

/// Of the workers with most calls, in either direction, in order.
fn ranks(calls: &[&Call]) -> Vec<u32> {
    let mut counts: HashMap<u32, u64> = HashMap::new();
    for call in calls {
        *counts.entry(call.from).or_default() += 1;
        *counts.entry(call.to).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(rank, count)| (Reverse(*count), *rank));
    counts.truncate(Matrix::WORKERS_MAX);
    let mut ranks: Vec<_> = counts.into_iter().map(|(rank, _)| rank).collect();
    ranks.sort_unstable();
    ranks
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample::{ProfileBuilder, stages};

    const SHORT: [u64; 7] = [1, 1, 1, 1, 1, 1, 1];

    fn matrix(sample: &ProfileBuilder) -> Matrix {
        Matrix::of(&sample.profile, &sample.profile.calls.iter().collect::<Vec<_>>())
    }

    #[test]
    fn each_direction_has_its_own_cell() {
        let mut sample = ProfileBuilder::new();
        sample.call("add", 0, 1, stages(0, SHORT));
        sample.call("sub", 0, 1, stages(5, [1, 1, 1, 1, 4, 1, 1]));
        sample.outcome("error");
        sample.call("add", 1, 0, stages(9, SHORT));

        let matrix = matrix(&sample);
        assert_eq!(matrix.workers, ["worker0", "worker1"]);
        let there =
            Cell { from: 0, to: 1, calls: 2, failed: 1, request_bytes: 20, response_bytes: 40, took_ns: 17 };
        let back =
            Cell { from: 1, to: 0, calls: 1, failed: 0, request_bytes: 10, response_bytes: 20, took_ns: 7 };
        assert_eq!(matrix.cells, [there, back]);
    }

    #[test]
    fn workers_with_few_calls_share_a_row() {
        let mut sample = ProfileBuilder::new();
        let last = Matrix::WORKERS_MAX as u32 + 1;
        for rank in 1..=last {
            sample.call("add", 0, rank, stages(0, SHORT));
        }
        sample.call("add", 0, last, stages(0, SHORT));

        let matrix = matrix(&sample);
        assert_eq!(matrix.workers.len(), Matrix::WORKERS_MAX + 1);
        assert_eq!(matrix.workers[Matrix::WORKERS_MAX - 1..], ["rank 33", "all others"]);
        let others = matrix.cells.last().unwrap();
        assert_eq!((others.from, others.to, others.calls), (0, Matrix::WORKERS_MAX, 2));
    }

    proptest! {
        #[test]
        fn cells_together_are_all_calls(pairs in vec((0_u32..50, 0_u32..50), 0..200)) {
            let mut sample = ProfileBuilder::new();
            for (from, to) in &pairs {
                sample.call("add", *from, *to, stages(0, SHORT));
            }
            let matrix = matrix(&sample);
            let sum = |value: fn(&Cell) -> u64| matrix.cells.iter().map(value).sum::<u64>();
            let count = pairs.len() as u64;
            prop_assert_eq!(sum(|cell| cell.calls), count);
            prop_assert_eq!((sum(|cell| cell.request_bytes), sum(|cell| cell.response_bytes)), (10 * count, 20 * count));
            prop_assert_eq!(sum(|cell| cell.took_ns), 7 * count);
            prop_assert!(matrix.cells.iter().all(|cell| cell.from.max(cell.to) < matrix.workers.len()));
        }
    }
}
