//! What goes wrong with operations of teams, for users.

use std::fmt;
use std::time::Duration;

use rpc_core::{Failure, UnknownWorker, WorkerName};
use serde::{Deserialize, Serialize};

/// Why there is no such team.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TeamError {
    /// No names were given.
    #[error("a team needs at least one worker")]
    Empty,
    /// A worker was named twice.
    #[error("{worker} is named twice")]
    Twice {
        /// Which one.
        worker: WorkerName,
    },
    /// A name of nobody.
    #[error(transparent)]
    Unknown(#[from] UnknownWorker),
    /// This worker was started without collectives.
    #[error("{worker} was started without collectives; start them with Collectives::start")]
    NotServed {
        /// This worker.
        worker: WorkerName,
    },
    /// The tag is too long.
    #[error("the tag has {bytes} bytes; it may have 127")]
    TagTooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Why a worker has no result of an operation of its team.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CollectiveError {
    /// Somebody has not come, and no member has a result.
    #[error(transparent)]
    Incomplete(Box<Incomplete>),
    /// This worker is not a member of the team.
    #[error("{worker} is not in the team of this {operation}; only members take part")]
    NotAMember {
        /// This worker.
        worker: WorkerName,
        /// `all_gather` or `barrier`.
        operation: String,
    },
    /// The leader, the member with the smallest name, is gone or silent.
    #[error(
        "{operation}: its leader {leader} does not answer: {failure}; {}",
        if *others_may_have_it { "other members may have the result" } else { "it has not begun" }
    )]
    LeaderLost {
        /// `all_gather` or `barrier`.
        operation: String,
        /// Who it is.
        leader: WorkerName,
        /// What is known.
        failure: Box<Failure>,
        /// Whether it can have ended well for others.
        others_may_have_it: bool,
    },
    /// The leader serves no collectives.
    #[error("{operation}: its leader {leader} serves no collectives; does its program have the feature?")]
    NotServed {
        /// `all_gather` or `barrier`.
        operation: String,
        /// Who it is.
        leader: WorkerName,
    },
    /// It has ended well for the others; the answer to this worker was lost with its link, and there was too much of it, or
    /// references in it, for the leader to have kept it.
    #[error(
        "{operation}: all members came, but the values were lost on the way to this one; others have them"
    )]
    ResultLost {
        /// `all_gather`.
        operation: String,
    },
    /// This worker's value could not be encoded, so that it could not take part.
    #[error("the value could not be encoded: {reason}")]
    Encode {
        /// The codec's words.
        reason: String,
    },
    /// A member's value could not be decoded here.
    #[error("the value of {worker} could not be decoded: {reason}; do all members give the same type?")]
    Decode {
        /// Whose.
        worker: WorkerName,
        /// The codec's words.
        reason: String,
    },
    /// A bound was reached.
    #[error("there are {limit} {bound}, which is as many as there may be; let some end first")]
    TooMany {
        /// Of what.
        bound: String,
        /// How many.
        limit: u64,
    },
    /// Waiting here would stop the thread that has to bring the result.
    #[error(
        "waiting here would block the runtime that drives this worker; await it instead, or wait on another thread"
    )]
    WouldBlock,
    /// Something else went wrong between this worker and the leader.
    #[error("{operation}: {failure}")]
    Failed {
        /// `all_gather` or `barrier`.
        operation: String,
        /// What.
        failure: Box<Failure>,
    },
}

/// Who has not come to an operation, and why that ended it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Incomplete {
    /// `all_gather` or `barrier`.
    pub operation: String,
    /// How many members the team has.
    pub members: usize,
    /// What ended it.
    pub cause: IncompleteCause,
    /// All members that had not come then, by name.
    pub missing: Vec<WorkerName>,
}

/// What ends an operation before all have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum IncompleteCause {
    /// A member had waited for as long as it wanted to.
    TimedOut {
        /// Which one.
        worker: WorkerName,
        /// How long.
        after: Duration,
    },
    /// A member's program dropped the operation, or failed before it.
    GaveUp {
        /// Which one.
        worker: WorkerName,
    },
    /// A member cannot be reached.
    Died {
        /// Which one.
        worker: WorkerName,
        /// The system's words.
        reason: String,
    },
    /// A member has left the group.
    Departed {
        /// Which one.
        worker: WorkerName,
    },
    /// A member serves no collectives.
    NotServed {
        /// Which one.
        worker: WorkerName,
    },
}

impl CollectiveError {
    /// Whether the time was over: a member's, or this one's before the leader answered.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Incomplete(incomplete) => matches!(incomplete.cause, IncompleteCause::TimedOut { .. }),
            Self::LeaderLost { failure, .. } => matches!(**failure, Failure::TimedOut { .. }),
            _ => false,
        }
    }

    /// The members that had not come, if that is why.
    pub fn missing(&self) -> &[WorkerName] {
        match self {
            Self::Incomplete(incomplete) => &incomplete.missing,
            _ => &[],
        }
    }
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} workers has no result: ", self.operation, self.members)?;
        match &self.cause {
            IncompleteCause::TimedOut { worker, after } => {
                write!(f, "{worker} waited for {after:?} in vain")?
            }
            IncompleteCause::GaveUp { worker } => write!(f, "{worker} has given up")?,
            IncompleteCause::Died { worker, reason } => write!(f, "{worker} cannot be reached ({reason})")?,
            IncompleteCause::Departed { worker } => write!(f, "{worker} has left the group")?,
            IncompleteCause::NotServed { worker } => {
                write!(f, "{worker} serves no collectives; does its program have the feature?")?;
            }
        }
        let missing: Vec<&str> = self.missing.iter().map(WorkerName::as_str).collect();
        match &missing[..] {
            [] => Ok(()),
            missing => write!(f, "; {} had not come", missing.join(", ")),
        }
    }
}

impl std::error::Error for Incomplete {}
