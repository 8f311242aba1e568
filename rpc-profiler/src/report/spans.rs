//! [`Spans`]: what users have named, and how long it took.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::distribution::{Counts, Distribution, Percentiles};
use crate::model::{NameId, Profile, Span};

/// Spans of the users' own, by name.
#[derive(Debug, Serialize)]
pub(super) struct Spans {
    /// Those that took most of the time, the one that took most first.
    pub(super) rows: Vec<SpanName>,
    /// How many names there are beside them.
    pub(super) left_out: usize,
}

/// All spans of one name, on whatever worker and in whatever call.
#[derive(Debug, Serialize)]
pub(super) struct SpanName {
    pub(super) name: String,
    /// On how many workers.
    pub(super) workers: usize,
    pub(super) took: Distribution,
}

#[derive(Default)]
struct Seen {
    took_ns: u64,
    workers: BTreeSet<u32>,
}

impl Spans {
    /// Names that have rows of their own, as many as functions.
    pub(super) const ROWS_MAX: usize = 100;

    pub(super) fn of(profile: &Profile) -> Self {
        let mut seen: HashMap<NameId, Seen> = HashMap::new();
        for span in &profile.spans {
            let seen = seen.entry(span.name).or_default();
            seen.took_ns = seen.took_ns.saturating_add(took(span));
            seen.workers.insert(span.worker);
        }
        let mut seen: Vec<_> = seen.into_iter().collect();
        seen.sort_unstable_by_key(|(name, seen)| (Reverse(seen.took_ns), *name));
        let left_out = seen.len().saturating_sub(Self::ROWS_MAX);
        seen.truncate(Self::ROWS_MAX);

        let names = seen.iter().map(|(name, _)| *name);
        let distributions = distributions(profile, &names.collect::<Vec<_>>());
        let rows = seen.into_iter().zip(distributions).filter_map(|((name, seen), took)| {
            Some(SpanName { name: profile.name(name).to_owned(), workers: seen.workers.len(), took: took? })
        });
        Self { rows: rows.collect(), left_out }
    }
}

fn took(span: &Span) -> u64 {
    span.ended.since(span.began)
}

/// How long the spans of each of `names` took.
fn distributions(profile: &Profile, names: &[NameId]) -> Vec<Option<Distribution>> {
    let row_of: HashMap<NameId, usize> = names.iter().copied().zip(0..).collect();
    let spans = || profile.spans.iter().filter_map(|span| Some((*row_of.get(&span.name)?, took(span))));
    let mut counts = vec![Counts::new(); names.len()];
    for (row, ns) in spans() {
        counts[row].add(ns);
    }
    let mut percentiles: Vec<_> = counts.into_iter().map(Counts::again).collect();
    for (row, ns) in spans() {
        if let Some(percentiles) = &mut percentiles[row] {
            percentiles.add(ns);
        }
    }
    percentiles.into_iter().map(|percentiles| percentiles.and_then(Percentiles::finish)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::ProfileBuilder;

    #[test]
    fn spans_are_counted_by_name_on_all_workers() {
        let mut sample = ProfileBuilder::new();
        sample.span("load", 0, 0, 10);
        sample.span("load", 2, 5, 35);
        sample.span("step", 1, 0, 100);
        let spans = Spans::of(&sample.profile);
        let rows = spans.rows.iter().map(|row| {
            (row.name.as_str(), row.workers, row.took.count, row.took.sum, row.took.p50, row.took.max)
        });
        assert_eq!(rows.collect::<Vec<_>>(), [("step", 1, 1, 100, 100, 100), ("load", 2, 2, 40, 10, 30)]);
        assert_eq!(spans.left_out, 0);
    }

    #[test]
    fn names_beyond_the_bound_are_counted() {
        let mut sample = ProfileBuilder::new();
        for n in 0..Spans::ROWS_MAX as u64 + 2 {
            sample.span(&format!("s{n}"), 0, 0, n);
        }
        let spans = Spans::of(&sample.profile);
        assert_eq!((spans.rows.len(), spans.left_out), (Spans::ROWS_MAX, 2));
        assert_eq!(spans.rows.last().map(|row| row.name.as_str()), Some("s2"));
    }
}
