//! [`GroupBy`], [`SortBy`]: what has a row in common, and which rows come first.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::row::Row;

/// What calls and spans of one row have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupBy {
    /// Their label in torch's form: operation, function, both workers, and in which handler they were.
    #[default]
    Label,
    /// The function, or the name of the span.
    Function,
    /// The operation, such as `rpc_async`. There are no rows of spans.
    Operation,
    /// Caller and callee. There are no rows of spans.
    Pair,
    /// The caller, or the worker that a span is of.
    Caller,
    /// The callee. There are no rows of spans.
    Callee,
}

/// Which rows come first. Those that are alike in this are sorted by their keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SortBy {
    /// Most time.
    #[default]
    Total,
    /// Most time that is not in another row.
    SelfTime,
    /// Largest mean.
    Mean,
    /// Largest 99th percentile.
    P99,
    /// Longest one.
    Max,
    /// Most calls.
    Count,
    /// Most bytes, both ways together.
    Bytes,
    /// The alphabet.
    Name,
}

impl SortBy {
    pub(super) fn sort(self, rows: &mut [Row]) {
        rows.sort_by(|one, other| {
            let figure = |row: &Row| match self {
                Self::Total => row.total_ns,
                Self::SelfTime => row.self_ns,
                Self::Mean => row.mean_ns,
                Self::P99 => row.p99_ns,
                Self::Max => row.max_ns,
                Self::Count => row.count,
                Self::Bytes => row.bytes(),
                Self::Name => 0,
            };
            let by_figure: Ordering = figure(other).cmp(&figure(one));
            by_figure.then_with(|| one.key.cmp(&other.key)).then_with(|| one.kind.cmp(&other.kind))
        });
    }
}
