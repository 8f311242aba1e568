//! [`Rows`]: rows that are being filled.

use std::collections::HashMap;

use super::row::{Kind, Row, TrafficSum};
use crate::model::{Call, Stage};

/// Rows by key.
#[derive(Default)]
pub(super) struct Rows {
    by_key: HashMap<(Kind, String), usize>,
    /// What keys are made of, so that not every call has to make the text of its key.
    by_parts: HashMap<(Kind, u32, u32), usize>,
    open: Vec<Open>,
}

impl Rows {
    /// The row with the key that `text` makes of `parts`.
    pub(super) fn open(&mut self, kind: Kind, parts: (u32, u32), text: impl FnOnce() -> String) -> &mut Open {
        let open = &mut self.open;
        let by_key = &mut self.by_key;
        let at = *self.by_parts.entry((kind, parts.0, parts.1)).or_insert_with(|| {
            *by_key.entry((kind, text())).or_insert_with_key(|(kind, key)| {
                open.push(Open::new(*kind, key.clone()));
                open.len() - 1
            })
        });
        &mut open[at]
    }

    pub(super) fn close(self) -> Vec<Row> {
        self.open.into_iter().map(Open::close).collect()
    }
}

/// A row that is being filled.
pub(super) struct Open {
    row: Row,
    times: Vec<u64>,
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Good,
    Bad,
    OutOfTime,
}

impl Open {
    pub(super) fn new(kind: Kind, key: String) -> Self {
        let none = TrafficSum::default();
        let row = Row {
            key,
            kind,
            count: 0,
            errors: 0,
            timeouts: 0,
            total_ns: 0,
            self_ns: 0,
            mean_ns: 0,
            p50_ns: 0,
            p99_ns: 0,
            max_ns: 0,
            stages_ns: [0; 7],
            stages_known: [0; 7],
            request: none,
            response: none,
        };
        Self { row, times: Vec::new() }
    }

    pub(super) fn add(&mut self, total_ns: u64, self_ns: u64) {
        self.row.total_ns = self.row.total_ns.saturating_add(total_ns);
        self.row.self_ns = self.row.self_ns.saturating_add(self_ns);
        self.times.push(total_ns);
    }

    pub(super) fn add_call(&mut self, call: &Call, end: End, self_ns: u64) {
        self.add(call.times.total_ns(), self_ns);
        self.row.errors += u64::from(end != End::Good);
        self.row.timeouts += u64::from(end == End::OutOfTime);
        for stage in Stage::ALL {
            if let Some(ns) = call.times.stage_ns(stage) {
                let sum = &mut self.row.stages_ns[stage as usize];
                *sum = sum.saturating_add(ns);
                self.row.stages_known[stage as usize] += 1;
            }
        }
        self.row.request.add(call.request);
        self.row.response.add(call.response);
    }

    pub(super) fn close(mut self) -> Row {
        self.times.sort_unstable();
        self.row.count = self.times.len() as u64;
        self.row.mean_ns = self.row.total_ns.checked_div(self.row.count).unwrap_or(0);
        self.row.p50_ns = percentile(&self.times, 50);
        self.row.p99_ns = percentile(&self.times, 99);
        self.row.max_ns = self.times.last().copied().unwrap_or(0);
        self.row
    }
}

/// The `percent`-th percentile of what is sorted, by nearest rank; 0 of nothing.
pub(super) fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}
