//! Goes through a profile and fills the rows of a table.

use std::collections::HashMap;

use super::group::GroupBy;
use super::row::{Kind, Table};
use super::rows::{End, Open, Rows};
use super::selves;
use crate::label::Labels;
use crate::model::{Call, NameId, Profile};
use crate::tree::{Entry, Tree};

pub(super) fn table(profile: &Profile, group_by: GroupBy) -> Table {
    let tree = Tree::new(profile);
    let keys = Keys {
        profile,
        group_by,
        labels: (group_by == GroupBy::Label).then(|| Labels::of_tree(profile, &tree)),
    };
    let covered = selves::covered(profile, &tree);
    let own = |total_ns: u64, entry: Entry| total_ns.saturating_sub(covered[entry.0 as usize]);
    let ends = Ends::new(profile);

    let mut rows = Rows::default();
    let mut total = Open::new(Kind::Call, "all calls".to_owned());
    for (index, call) in tree.calls() {
        let end = ends.of(&call);
        let self_ns = own(call.times.total_ns(), Entry(index));
        total.add_call(&call, end, self_ns);
        let parts = keys.parts_of_call(index, &call);
        rows.open(Kind::Call, parts, || keys.text_of_call(index, &call)).add_call(&call, end, self_ns);
    }
    for (index, span) in profile.spans.iter().enumerate().filter(|_| keys.has_spans()) {
        let ns = span.ended.since(span.began);
        let (number, text) = match group_by {
            GroupBy::Caller => (span.worker, None),
            _ => match keys.labels.as_ref().and_then(|labels| Some((labels.span_id(index)?, labels))) {
                Some((label, labels)) => (label.number(), Some(labels.text(label))),
                None => (span.name.0, Some(profile.name(span.name))),
            },
        };
        let text = || text.map_or_else(|| profile.worker_name(span.worker), str::to_owned);
        rows.open(Kind::Span, (number, 0), text).add(ns, own(ns, tree.span(index)));
    }
    Table {
        rows: rows.close(),
        rows_left_out: 0,
        total: total.close(),
        spans: profile.spans.len() as u64,
        failures: failures(profile, &tree, &ends),
        recorded_ns: profile.ended.since(profile.began),
        home: profile.worker_name(profile.home),
        dropped: profile.dropped,
        under_way: profile.under_way,
        workers: profile.workers.clone(),
    }
}

/// What calls are told apart by.
struct Keys<'a> {
    profile: &'a Profile,
    group_by: GroupBy,
    labels: Option<Labels>,
}

impl Keys<'_> {
    const fn has_spans(&self) -> bool {
        matches!(self.group_by, GroupBy::Label | GroupBy::Function | GroupBy::Caller)
    }

    /// Numbers that are the same for calls of one row.
    fn parts_of_call(&self, index: u32, call: &Call) -> (u32, u32) {
        match self.group_by {
            GroupBy::Label => {
                let label = self.labels.as_ref().and_then(|labels| labels.call_id(index as usize));
                (label.map_or(u32::MAX, |label| label.number()), 0)
            }
            GroupBy::Function => (call.function.0, 0),
            GroupBy::Operation => (call.operation.0, 0),
            GroupBy::Pair => (call.from, call.to),
            GroupBy::Caller => (call.from, 0),
            GroupBy::Callee => (call.to, 0),
        }
    }

    fn text_of_call(&self, index: u32, call: &Call) -> String {
        let worker = |rank| self.profile.worker_name(rank);
        match self.group_by {
            GroupBy::Label => {
                self.labels.as_ref().map_or("", |labels| labels.call(index as usize)).to_owned()
            }
            GroupBy::Function => self.profile.name(call.function).to_owned(),
            GroupBy::Operation => self.profile.name(call.operation).to_owned(),
            GroupBy::Pair => format!("{} -> {}", worker(call.from), worker(call.to)),
            GroupBy::Caller => worker(call.from),
            GroupBy::Callee => worker(call.to),
        }
    }
}

/// How calls ended, by the number of the name.
struct Ends(Vec<End>);

impl Ends {
    fn new(profile: &Profile) -> Self {
        let end = |name: &String| match name.as_str() {
            "ok" => End::Good,
            "timed_out" => End::OutOfTime,
            _ => End::Bad,
        };
        Self(profile.names.iter().map(end).collect())
    }

    fn of(&self, call: &Call) -> End {
        self.0.get(call.outcome.0 as usize).copied().unwrap_or(End::Bad)
    }
}

fn failures(profile: &Profile, tree: &Tree<'_>, ends: &Ends) -> Vec<(String, u64)> {
    let mut by_name: HashMap<NameId, u64> = HashMap::new();
    for (_, call) in tree.calls().filter(|(_, call)| ends.of(call) != End::Good) {
        *by_name.entry(call.outcome).or_default() += 1;
    }
    let mut by_text: HashMap<&str, u64> = HashMap::new();
    for (name, count) in by_name {
        *by_text.entry(profile.name(name)).or_default() += count;
    }
    let mut failures: Vec<_> = by_text.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    failures
        .sort_by(|(name, count), (other_name, other)| other.cmp(count).then_with(|| name.cmp(other_name)));
    failures
}
