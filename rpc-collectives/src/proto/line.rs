//! [`Lines`]: a member's own counts.

use std::collections::{BTreeSet, HashMap};

use super::limits::LINES_MAX;
use super::{Full, Line, Operation, What};

/// How far one worker's program is in each of its lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(HashMap<Line, Counted>);

#[derive(Clone, Debug, Default)]
struct Counted {
    next: u64,
    /// Begun and not ended. Bounded by what the program has under way.
    under_way: BTreeSet<u64>,
}

/// Where a worker is with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has not begun it.
    ToCome,
    /// It has, and waits for its end.
    UnderWay,
    /// It has ended it.
    Past,
}

impl Lines {
    /// The program begins the next operation of `line` (CL-5).
    ///
    /// # Errors
    /// A new line, and there are as many as are counted.
    pub(crate) fn begin(&mut self, line: &Line) -> Result<Operation, Full> {
        if !self.0.contains_key(line) && self.0.len() == LINES_MAX {
            return Err(Full {
                bound: "teams, kinds and tags of one worker's collectives",
                limit: LINES_MAX,
            });
        }
        let counted = self.0.entry(line.clone()).or_default();
        let count = counted.next;
        counted.next += 1;
        counted.under_way.insert(count);
        Ok(Operation { count, line: line.clone() })
    }

    /// It has ended one, some way or other.
    pub(crate) fn end(&mut self, operation: &Operation) {
        if let Some(counted) = self.0.get_mut(&operation.line) {
            counted.under_way.remove(&operation.count);
        }
    }

    /// What the program has begun and not ended.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = Operation> {
        let operations = |(line, counted): (&Line, &Counted)| {
            let operation = |count: &u64| Operation { count: *count, line: line.clone() };
            counted.under_way.iter().map(operation).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(operations)
    }

    /// Whether the program has begun one of this kind that has not ended.
    pub(crate) fn any_under_way(&self, what: What) -> bool {
        self.0.iter().any(|(line, counted)| line.what == what && !counted.under_way.is_empty())
    }

    /// Where it is with `operation` (CL-6).
    pub(crate) fn standing(&self, operation: &Operation) -> Standing {
        match self.0.get(&operation.line) {
            Some(counted) if counted.under_way.contains(&operation.count) => Standing::UnderWay,
            Some(counted) if operation.count < counted.next => Standing::Past,
            _ => Standing::ToCome,
        }
    }
}
