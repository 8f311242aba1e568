//! What stands for a shared value, and for one handle on its way.

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
    /// Counts the values that the creator asked of the owner.
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
