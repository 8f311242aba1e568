//! [`join`]: from a name and a rank to a group.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{Group, Incarnation, Store, StoreError, WorkerId, WorkerInfo, WorkerName};

/// What a worker brings to [`join`].
#[derive(Clone, Debug)]
pub struct Joining {
    /// Name of the job; workers meet those that use the same.
    pub job: String,
    /// The worker's name.
    pub name: WorkerName,
    /// The worker's rank.
    pub rank: u32,
    /// How many workers the job has.
    pub world_size: u32,
    /// This life of the worker.
    pub incarnation: Incarnation,
    /// Name of the backend.
    pub backend: String,
    /// Where the worker listens, in the form of its backend.
    pub address: String,
    /// How long to wait for the others.
    pub timeout: Duration,
}

/// A place in a group.
#[derive(Debug)]
pub struct Joined {
    /// All workers of the job.
    pub group: Group,
}

impl Joined {
    /// Says that this worker has left, so that the same rank may join again.
    #[expect(clippy::unused_async, reason = "first version")]
    pub async fn leave(&self) {
        todo!()
    }
}

/// Why a worker did not get into its group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The rank is not in `0..world_size`.
    #[error(
        "worker {name} has rank {rank}, but the ranks of {world_size} workers are less than {world_size}"
    )]
    RankOutOfRange {
        /// The worker.
        name: WorkerName,
        /// Its rank.
        rank: u32,
        /// Its number of workers.
        world_size: u32,
    },
    /// Two ranks use one name.
    #[error("ranks {first} and {second} both use the worker name {name}; names must be unique")]
    DuplicateName {
        /// The name.
        name: WorkerName,
        /// One rank.
        first: WorkerId,
        /// The other.
        second: WorkerId,
    },
    /// Two workers claim one rank.
    #[error("workers {first} and {second} both claim rank {rank} of job {job}")]
    DuplicateRank {
        /// The job.
        job: String,
        /// The rank.
        rank: WorkerId,
        /// Who has it.
        first: WorkerName,
        /// Who wants it too.
        second: WorkerName,
    },
    /// Two workers disagree on the number of workers.
    #[error(
        "{first} expects {first_size} workers, {second} expects {second_size}; start all with one number"
    )]
    WorldSizeMismatch {
        /// One worker.
        first: WorkerInfo,
        /// How many workers it expects.
        first_size: u32,
        /// The other.
        second: WorkerInfo,
        /// How many it expects.
        second_size: u32,
    },
    /// Two workers use different backends.
    #[error(
        "{first} uses the backend {first_backend}, {second} uses {second_backend}; start all with one backend"
    )]
    BackendMismatch {
        /// One worker.
        first: WorkerInfo,
        /// Its backend.
        first_backend: String,
        /// The other.
        second: WorkerInfo,
        /// Its backend.
        second_backend: String,
    },
    /// Not all came in time.
    #[error("timed out")]
    TimedOut {
        /// The job.
        job: String,
        /// How long was waited.
        after: Duration,
        /// The ranks that did not come.
        missing: Vec<u32>,
        /// The workers that came.
        present: Vec<WorkerName>,
    },
    /// The store failed.
    #[error("the rendezvous failed")]
    Store(#[from] StoreError),
}

/// Joins the group of a job.
///
/// # Errors
/// [`JoinError`].
pub async fn join(_store: &Arc<dyn Store>, _me: Joining) -> Result<Joined, JoinError> {
    todo!()
}
