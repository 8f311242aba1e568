//! [`Leader`]: who has come to what, and how it ended.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rpc_core::WorkerId;

use super::limits::{
    FAILED_MAX, KEPT_BYTES_MAX, KEPT_EACH_BYTES_MAX, OPEN_MAX, OPEN_PER_MEMBER_MAX, WHOLE_MAX,
};
use super::{Absence, Full, Operation, Value};

/// The operations of which one worker is the leader. `V` is what a member gives.
///
/// Values that it does not keep are handed back, to be dropped without whatever lock is around this.
#[derive(Clone, Debug)]
pub(crate) struct Leader<V> {
    /// What has come to each. Values of operations that the leader's own program has not begun are here too: they
    /// are what the bounds are for.
    open: HashMap<Operation, BTreeMap<WorkerId, V>>,
    /// How many of those each member has come to.
    came_to: HashMap<WorkerId, usize>,
    failed: VecDeque<(Operation, Arc<Failed>)>,
    whole: VecDeque<Whole<V>>,
    /// All of what `whole` keeps.
    kept_bytes: u64,
}

/// What each member gave, in the order of the members.
pub(crate) type Values<V> = Arc<[(WorkerId, V)]>;

/// A good end that is remembered.
#[derive(Clone, Debug)]
struct Whole<V> {
    operation: Operation,
    kept: Option<Kept<V>>,
}

#[derive(Clone, Debug)]
struct Kept<V> {
    bytes: u64,
    values: Values<V>,
}

/// How an operation has ended.
#[derive(Debug)]
pub(crate) enum End<V> {
    Whole(Values<V>),
    Failed(Arc<Failed>),
}

/// How it ended before somebody came to it.
#[derive(Debug)]
pub(crate) enum Before<V> {
    /// Well, also for this member: it is its answer that was lost. The values, if they were kept.
    Whole(Option<Values<V>>),
    Failed(Arc<Failed>),
}

/// What has become of a member that comes.
#[derive(Debug)]
pub(crate) enum Joined<V> {
    /// Others have to come.
    Waits,
    /// It was the last one.
    Ended(End<V>),
    Before(Before<V>),
    Refused(Full),
}

/// Why an operation has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) cause: Cause,
    /// Who had not come.
    pub(crate) missing: Vec<WorkerId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// This member has waited for as long as it wanted to.
    TimedOut { member: WorkerId, after: Duration },
    /// This member's program does not wait any more.
    GaveUp { member: WorkerId },
    /// This member does not come.
    Absent { member: WorkerId, why: Absence },
}

/// A failure, and what is to be dropped.
#[derive(Debug)]
pub(crate) struct Ended<V> {
    pub(crate) failed: Arc<Failed>,
    pub(crate) values: Vec<V>,
}

impl<V> Default for Leader<V> {
    fn default() -> Self {
        let (open, came_to) = (HashMap::new(), HashMap::new());
        Self { open, came_to, failed: VecDeque::new(), whole: VecDeque::new(), kept_bytes: 0 }
    }
}

impl<V: Value> Leader<V> {
    /// `member` has come to `operation`, perhaps again. Returns what has become of it, and a value to be dropped.
    pub(crate) fn join(
        &mut self,
        operation: &Operation,
        member: WorkerId,
        value: V,
    ) -> (Joined<V>, Option<V>) {
        assert!(operation.line.has(member), "only members come");
        if !self.open.contains_key(operation) {
            if let Some(before) = self.before(operation) {
                return (Joined::Before(before), Some(value)); // CL-2
            }
            if self.open.len() >= OPEN_MAX {
                let full = Full { bound: "collectives under way at their leader", limit: OPEN_MAX };
                return (Joined::Refused(full), Some(value));
            }
        }
        let is_new = self.open.get(operation).is_none_or(|came| !came.contains_key(&member));
        if is_new {
            let came_to = self.came_to.entry(member).or_default();
            if *came_to >= OPEN_PER_MEMBER_MAX {
                let bound = "collectives of one worker under way at their leader";
                return (Joined::Refused(Full { bound, limit: OPEN_PER_MEMBER_MAX }), Some(value));
            }
            *came_to += 1;
        }
        let came = self.open.entry(operation.clone()).or_default();
        let before = came.insert(member, value);
        if came.len() < operation.line.members.len() {
            return (Joined::Waits, before);
        }
        let values: Values<V> = self.close(operation).into_iter().collect();
        self.remember_whole(operation, &values);
        (Joined::Ended(End::Whole(values)), before) // CL-1
    }

    /// `operation` cannot end well any more; `None` if it has ended, or if `cause` is the absence of one that has come.
    pub(crate) fn fail(&mut self, operation: &Operation, cause: Cause) -> Option<Ended<V>> {
        if !self.open.contains_key(operation) && self.before(operation).is_some() {
            return None;
        }
        let none = BTreeMap::new();
        let came = self.open.get(operation).unwrap_or(&none);
        if let Cause::Absent { member, .. } = &cause
            && came.contains_key(member)
        {
            return None; // it has given its value, and is not waited for
        }
        let missing = missing(operation, came);
        let values = self.close(operation).into_values().collect();
        let failed = Arc::new(Failed { cause, missing });
        if self.failed.len() == FAILED_MAX {
            self.failed.pop_front();
        }
        self.failed.push_back((operation.clone(), Arc::clone(&failed)));
        Some(Ended { failed, values })
    }

    /// Who has not come yet; `None` if it is not under way.
    pub(crate) fn missing(&self, operation: &Operation) -> Option<Vec<WorkerId>> {
        self.open.get(operation).map(|came| missing(operation, came))
    }

    fn before(&self, operation: &Operation) -> Option<Before<V>> {
        if let Some(whole) = self.whole.iter().find(|whole| whole.operation == *operation) {
            return Some(Before::Whole(whole.kept.as_ref().map(|kept| Arc::clone(&kept.values))));
        }
        let (_, failed) = self.failed.iter().find(|(other, _)| other == operation)?;
        Some(Before::Failed(Arc::clone(failed)))
    }

    fn remember_whole(&mut self, operation: &Operation, values: &Values<V>) {
        let bytes: Option<u64> = values.iter().map(|(_, value)| value.kept_bytes()).sum();
        let bytes = bytes.filter(|bytes| *bytes <= KEPT_EACH_BYTES_MAX);
        let kept = bytes.map(|bytes| Kept { bytes, values: Arc::clone(values) });
        self.kept_bytes += bytes.unwrap_or_default();
        if self.whole.len() == WHOLE_MAX
            && let Some(forgotten) = self.whole.pop_front()
        {
            self.kept_bytes -= forgotten.kept.map_or(0, |kept| kept.bytes);
        }
        self.whole.push_back(Whole { operation: operation.clone(), kept });
        // The oldest first: whose answer is lost asks again at once.
        let mut oldest = self.whole.iter_mut();
        while self.kept_bytes > KEPT_BYTES_MAX
            && let Some(whole) = oldest.next()
        {
            self.kept_bytes -= whole.kept.take().map_or(0, |kept| kept.bytes);
        }
    }

    /// Takes it off the list (CL-4).
    fn close(&mut self, operation: &Operation) -> BTreeMap<WorkerId, V> {
        let came = self.open.remove(operation).unwrap_or_default();
        for member in came.keys() {
            if let Some(came_to) = self.came_to.get_mut(member) {
                *came_to -= 1;
                if *came_to == 0 {
                    self.came_to.remove(member);
                }
            }
        }
        came
    }

    /// One that has come to `operation`.
    pub(crate) fn anybody(&self, operation: &Operation) -> Option<WorkerId> {
        self.open.get(operation)?.keys().next().copied()
    }

    /// Operations under way.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Operation> {
        self.open.keys()
    }

    /// How many failures and good ends are remembered.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> (usize, usize) {
        (self.failed.len(), self.whole.len())
    }

    /// In all and in bytes.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> (usize, u64) {
        (self.whole.iter().filter(|whole| whole.kept.is_some()).count(), self.kept_bytes)
    }

    /// Whether it holds no value of what is under way, and nobody's place.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.came_to.is_empty()
    }
}

fn missing<V>(operation: &Operation, came: &BTreeMap<WorkerId, V>) -> Vec<WorkerId> {
    operation.line.members.iter().copied().filter(|member| !came.contains_key(member)).collect()
}

impl<V> Clone for End<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Whole(values) => Self::Whole(Arc::clone(values)),
            Self::Failed(failed) => Self::Failed(Arc::clone(failed)),
        }
    }
}
