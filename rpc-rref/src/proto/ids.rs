//! What stands for a shared value, and for one handle on its way.

use std::collections::BTreeSet;
use std::fmt;

use rpc_core::WorkerId;
use serde::{Deserialize, Serialize};

/// Stands for one shared value. Never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RRefId {
    /// The worker that holds the value.
    pub owner: WorkerId,
    /// The worker that asked for it, which gave the number.
    pub creator: WorkerId,
    /// Counts the creator's values.
    pub number: u64,
}

impl fmt::Display for RRefId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}@{}", self.creator, self.number, self.owner)
    }
}

impl fmt::Debug for RRefId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Stands for one handle on its way from one worker to another: the sender's count for that receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Transfer(pub u64);

/// Stands for one registration of a user with an owner, so that an answer to an earlier one is not taken
/// for an answer to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Registration(pub u64);

/// Which transfers of one sender have come or been revoked. Their numbers have no gaps, so what is
/// remembered is what is still on its way, not all that ever came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    /// All below have.
    below: u64,
    above: BTreeSet<u64>,
}

impl Seen {
    /// Notes `transfer`. False if it was noted before.
    pub(super) fn insert(&mut self, Transfer(number): Transfer) -> bool {
        if number < self.below || !self.above.insert(number) {
            return false;
        }
        while self.above.remove(&self.below) {
            self.below += 1;
        }
        true
    }

    pub(super) fn contains(&self, Transfer(number): Transfer) -> bool {
        number < self.below || self.above.contains(&number)
    }

    #[cfg(test)]
    pub(super) fn gaps(&self) -> usize {
        self.above.len()
    }
}
