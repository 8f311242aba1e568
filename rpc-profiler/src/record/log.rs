//! [`Log`]: what one worker has recorded, bounded.

use std::collections::VecDeque;

use super::names::{Names, Words};
use super::notes::Nested;
use crate::model::{Call, MachineId, NameId, Span};

/// Records of a chunk. Chunks are allocated whole and never grow, so that nothing is copied while calls run.
const CHUNK: usize = 1024;

/// All that profiles under way may need.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) calls: Ring<Call>,
    pub(super) spans: Ring<Span>,
    pub(super) names: Names,
    /// Calls and spans that were lost before they came here.
    pub(super) lost: u64,
    /// On which machines workers are, by rank.
    pub(super) machines: Vec<Option<MachineId>>,
}

/// Who wants a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This worker made it, outside of handlers.
    Made,
    /// This worker made it in a handler.
    MadeInHandler,
    /// This worker served it.
    Served,
}

impl Log {
    /// Keeps the last `calls_max` calls, and as many spans, of a group of `workers`.
    pub(super) fn new(calls_max: usize, workers: usize) -> Self {
        let (calls, spans) = (Ring::new(calls_max), Ring::new(calls_max));
        Self { calls, spans, names: Names::default(), lost: 0, machines: vec![None; workers] }
    }

    /// Adds a call under its names.
    pub(super) fn add_call(&mut self, call: &Call, origin: Origin, words: &Words<'_>) {
        let mut call = *call;
        call.operation = self.names.fixed_id(words.operation);
        call.function = self.names.fixed_id(words.function);
        call.outcome = self.names.fixed_id(words.outcome);
        call.error = words.error.map(|error| self.names.error_id(error));
        self.calls.push(origin, call);
    }

    /// Worker `rank` has told on which machine it is.
    pub(super) fn add_machine(&mut self, rank: u32, machine: Option<MachineId>) {
        if let Some(known) = self.machines.get_mut(rank as usize) {
            *known = machine.or(*known);
        }
    }

    /// Adds what other workers have recorded. What worker `own` has done is here already.
    pub(super) fn import(&mut self, origin: Origin, nested: &Nested, own: u32) {
        for (rank, machine) in &nested.machines {
            self.add_machine(*rank, Some(*machine));
        }
        let Self { calls, spans, names, lost, .. } = self;
        let mut ids: Vec<Option<NameId>> = vec![None; nested.names.len()];
        let mut id = |name: NameId| match (ids.get_mut(name.0 as usize), nested.names.get(name.0 as usize)) {
            (Some(id), Some(name)) => *id.get_or_insert_with(|| names.id(name)),
            _ => names.fixed_id("?"),
        };
        for call in nested.calls.iter().filter(|call| call.from != own) {
            let mut call = *call;
            call.operation = id(call.operation);
            call.function = id(call.function);
            call.outcome = id(call.outcome);
            call.error = call.error.map(&mut id);
            calls.push(origin, call);
        }
        for span in nested.spans.iter().filter(|span| span.worker != own) {
            let name = id(span.name);
            spans.push(origin, Span { name, ..*span });
        }
        *lost = lost.saturating_add(nested.dropped);
    }
}

/// The last records of a kind, numbered from 0.
#[derive(Debug)]
pub(super) struct Ring<R> {
    chunks: VecDeque<Chunk<R>>,
    chunks_max: usize,
    /// Number of the first that is still there.
    first: u64,
    /// Number of the next.
    next: u64,
}

#[derive(Debug)]
struct Chunk<R> {
    records: Vec<R>,
    origins: Vec<Origin>,
}

impl<R: Copy> Ring<R> {
    fn new(records_max: usize) -> Self {
        // A chunk is dropped whole, so there is one more than what is to be kept.
        let chunks_max = records_max.div_ceil(CHUNK) + 1;
        Self { chunks: VecDeque::new(), chunks_max, first: 0, next: 0 }
    }

    pub(super) fn push(&mut self, origin: Origin, record: R) {
        if self.chunks.back().is_none_or(|chunk| chunk.records.len() == CHUNK) {
            let mut chunk = match self.chunks.len() < self.chunks_max {
                true => None,
                false => self.chunks.pop_front(),
            };
            if let Some(oldest) = &mut chunk {
                self.first += oldest.records.len() as u64;
                oldest.records.clear();
                oldest.origins.clear();
            }
            self.chunks.push_back(chunk.unwrap_or_else(|| Chunk {
                records: Vec::with_capacity(CHUNK),
                origins: Vec::with_capacity(CHUNK),
            }));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.records.push(record);
            chunk.origins.push(origin);
            self.next += 1;
        }
    }

    /// Number of the next record.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Those from number `from` on that are `wanted`, and how many of them are gone.
    pub(super) fn since(&self, from: u64, wanted: impl Fn(Origin) -> bool) -> (Vec<R>, u64) {
        let gone = self.first.saturating_sub(from);
        let skip = from.saturating_sub(self.first);
        let mut records = Vec::new();
        let mut before = 0;
        for chunk in &self.chunks {
            let len = chunk.records.len() as u64;
            let at = usize::try_from(skip.saturating_sub(before).min(len)).unwrap_or(usize::MAX);
            let pairs = chunk.records[at..].iter().zip(&chunk.origins[at..]);
            records.extend(pairs.filter(|(_, origin)| wanted(**origin)).map(|(record, _)| *record));
            before += len;
        }
        (records, gone)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// PR-2.
        #[test]
        fn pr2_the_last_are_kept_and_the_others_counted(
            records_max in 0_usize..3 * CHUNK,
            pushed in 0_usize..8 * CHUNK,
            from in 0_usize..8 * CHUNK,
        ) {
            let mut ring = Ring::new(records_max);
            for n in 0..pushed {
                ring.push(Origin::Made, n);
            }
            let from = from.min(pushed);
            let (kept, gone) = ring.since(from as u64, |_| true);
            let gone = gone as usize;
            prop_assert_eq!(&kept, &(from + gone..pushed).collect::<Vec<_>>());
            prop_assert!(kept.len() >= records_max.min(pushed - from));
            prop_assert!(ring.chunks.len() <= records_max.div_ceil(CHUNK) + 1);
        }
    }

    #[test]
    fn who_is_not_wanted_is_left_out_and_not_counted() {
        let mut ring = Ring::new(10);
        for (n, origin) in [Origin::Made, Origin::Served, Origin::MadeInHandler].into_iter().enumerate() {
            ring.push(origin, n);
        }
        assert_eq!(ring.since(0, |origin| origin != Origin::Served), (vec![0, 2], 0));
    }
}
