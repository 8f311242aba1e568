//! [`KeyAverages`], [`Table`]: how often, how long and how much, by key.
//!
//! Calls count where they were made: a call with a nested one counts with all its time, and the nested one again in its
//! own row, as in torch. [`Row::self_ns`] is without that.
//!
//! # Percentiles
//! Of `n` times in order, the `p`-th percentile is the one at place `⌈p · n / 100⌉`, counted from 1 (the *nearest rank*):
//! the least time that at least `p` percent of the calls do not exceed. It is always the time of a call that was made, and
//! it is exact.

mod collect;
mod group;
mod row;
mod rows;
mod selves;
mod text;
mod units;

pub use self::group::{GroupBy, SortBy};
pub use self::row::{Kind, Row, Table, TrafficSum};

use crate::model::Profile;

impl Profile {
    /// The time by key, as torch's `key_averages()` has it: what to group and to sort by, then
    /// [`table`](KeyAverages::table).
    ///
    /// ```
    /// # use rpc_profiler::model::{Call, ClockOffset, NameId, SpanId, Tick, Worker};
    /// # use rpc_profiler::Profile;
    /// # let at = |us: u64| Tick::from_unix_ns(1_000_000_000 + us * 1_000);
    /// # let mut profile = Profile::new(0, at(0), at(500));
    /// # profile.names = ["rpc_async", "my_app::add", "ok"].map(String::from).to_vec();
    /// # profile.workers = (0..2).map(|rank| Worker::new(rank, format!("worker{rank}"), ClockOffset::EXACT)).collect();
    /// # for us in [80, 100, 120] {
    /// #     let mut call = Call::new(SpanId(us), 0, 1, NameId(0), NameId(1), NameId(2));
    /// #     (call.times.began, call.times.answered) = (Some(at(0)), Some(at(us)));
    /// #     profile.calls.push(call);
    /// # }
    /// use rpc_profiler::summary::{GroupBy, SortBy};
    ///
    /// let table = profile.key_averages().group_by(GroupBy::Function).sort_by(SortBy::P99).row_limit(10).table();
    /// println!("{table}");
    ///
    /// let slowest = &table.rows[0];
    /// assert_eq!((slowest.key.as_str(), slowest.count, slowest.p50_ns), ("my_app::add", 3, 100_000));
    /// ```
    pub const fn key_averages(&self) -> KeyAverages<'_> {
        KeyAverages { profile: self, group_by: GroupBy::Label, sort_by: SortBy::Total, row_limit: usize::MAX }
    }
}

/// What a table is to show, from [`Profile::key_averages`]: all rows by label, those with most time first, unless told
/// otherwise.
#[derive(Clone, Copy, Debug)]
#[must_use = "this only says what the table is to show; `table` makes it"]
pub struct KeyAverages<'a> {
    profile: &'a Profile,
    group_by: GroupBy,
    sort_by: SortBy,
    row_limit: usize,
}

impl KeyAverages<'_> {
    /// What has a row in common.
    pub const fn group_by(mut self, group_by: GroupBy) -> Self {
        self.group_by = group_by;
        self
    }

    /// Which rows come first.
    pub const fn sort_by(mut self, sort_by: SortBy) -> Self {
        self.sort_by = sort_by;
        self
    }

    /// How many rows the table has at most; [`Table::rows_left_out`] counts the others. Totals are of all rows.
    pub const fn row_limit(mut self, rows: usize) -> Self {
        self.row_limit = rows;
        self
    }

    /// Goes through the profile and makes the table. Takes O(n log n) for n calls, and 8 to 16 bytes for each of them.
    pub fn table(self) -> Table {
        let mut table = collect::table(self.profile, self.group_by);
        self.sort_by.sort(&mut table.rows);
        table.rows_left_out = table.rows.len().saturating_sub(self.row_limit);
        table.rows.truncate(self.row_limit);
        table
    }
}

#[cfg(test)]
mod tests;
