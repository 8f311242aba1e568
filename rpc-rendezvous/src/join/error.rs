//! [`JoinError`].

use std::time::Duration;

use crate::text::rounded;
use rpc_core::{InvalidGroup, Protection, StoreError, WorkerId, WorkerInfo, WorkerName};

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
        /// How many workers it expects.
        world_size: u32,
    },
    /// More workers than can meet.
    #[error("a job has at most {limit} workers, not {world_size}")]
    WorldTooLarge {
        /// How many workers were expected.
        world_size: u32,
        /// How many there can be.
        limit: u32,
    },
    /// Two ranks use one name.
    #[error("ranks {first} and {second} both use the worker name {name}; names must be unique")]
    DuplicateName {
        /// The name.
        name: WorkerName,
        /// The lower rank.
        first: WorkerId,
        /// The higher rank.
        second: WorkerId,
    },
    /// Two workers claim one rank.
    #[error(
        "workers {first} and {second} both claim rank {rank} of job {job}; give each process its own rank, or, if \
         {first} is from an earlier run that crashed, give this run a new job name (.job(..) or RPC_JOB_ID) or \
         delete the store's file"
    )]
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
        /// The worker with the lower rank.
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
        /// The worker with the lower rank.
        first: WorkerInfo,
        /// Its backend.
        first_backend: String,
        /// The other.
        second: WorkerInfo,
        /// Its backend.
        second_backend: String,
    },
    /// Two workers protect their links differently, so neither could speak to the other.
    #[error(
        "links of {first} are protected by {first_protection}, those of {second} by {second_protection}; give all \
         the same credentials (RPC_JOIN_TOKEN, RPC_TLS_*, Security), and let all listen on loopback, or none"
    )]
    ProtectionMismatch {
        /// The worker with the lower rank.
        first: WorkerInfo,
        /// What it has.
        first_protection: Protection,
        /// The other.
        second: WorkerInfo,
        /// What that has.
        second_protection: Protection,
    },
    /// Another worker could not join, so there will be no group.
    #[error("{worker} could not join: {reason}")]
    Refused {
        /// That worker.
        worker: WorkerInfo,
        /// Its error.
        reason: String,
    },
    /// Not all workers came in time.
    #[error(
        "job {job}: after {:?} {} missing; {}; start {it}, or look at {its} output",
        rounded(*after),
        super::progress::ranks(missing),
        super::progress::names(present),
        it = if missing.len() == 1 { "it" } else { "them" },
        its = if missing.len() == 1 { "its" } else { "their" }
    )]
    TimedOut {
        /// The job.
        job: String,
        /// How long was waited.
        after: Duration,
        /// The ranks that did not come.
        missing: Vec<u32>,
        /// The workers that came, this one included, even if they gave up earlier.
        present: Vec<WorkerName>,
    },
    /// The store was there when this worker began to join, and went away for good.
    #[error(
        "the store at {address}, which this worker had joined, is gone; the output of rank 0 (or of the launcher) \
         says why"
    )]
    StoreGone {
        /// Where it was.
        address: String,
    },
    /// A key of the job holds something else than a worker's claim.
    #[error("{key} in the store is not the claim of a worker of this version; use another job name")]
    Unreadable {
        /// The key.
        key: String,
    },
    /// The claims do not make a group.
    #[error(transparent)]
    Group(#[from] InvalidGroup),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
