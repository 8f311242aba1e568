//! How leaving the job went: what the agent says, and what of this worker's leaked.

use std::time::Duration;

use rpc_core::WorkerInfo;
use rpc_rref::{Leak, report::Leaked};

/// What [`Worker::shutdown`](crate::Worker::shutdown) ends with.
pub(crate) type Outcome = Result<ShutdownReport, ShutdownError>;

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Workers that were lost before they could take part: their processes died.
    pub lost: Vec<WorkerInfo>,
    /// This worker's values that somebody still had references to when all had called shutdown and nothing
    /// was in flight any more; at most 1,024. Only a graceful shutdown looks for them.
    pub leaks: Vec<Leak>,
    /// How many such values there were beyond those.
    pub leaks_more: u64,
}

impl ShutdownReport {
    /// How many of this worker's values leaked.
    pub fn leaked(&self) -> u64 {
        self.leaks.len() as u64 + self.leaks_more
    }
}

/// Why a graceful shutdown was not one. The worker has left nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Some workers did not come, or did not fall silent, in time.
    #[error("{}", timed_out(*.after, .missing, .busy))]
    TimedOut {
        /// The timeout.
        after: Duration,
        /// Workers that never asked to shut down.
        missing: Vec<WorkerInfo>,
        /// Workers that did, but still had calls in flight or handlers running.
        busy: Vec<WorkerInfo>,
    },
    /// All workers have left, but some values of this one's still had holders, and
    /// [`LeakPolicy::Error`](crate::LeakPolicy::Error) calls that an error.
    #[error(transparent)]
    Leaked(#[from] Leaked),
    /// Another reason of the agent's.
    #[error(transparent)]
    Agent(rpc_core::ShutdownError),
}

fn timed_out(after: Duration, missing: &[WorkerInfo], busy: &[WorkerInfo]) -> rpc_core::ShutdownError {
    rpc_core::ShutdownError::TimedOut { after, missing: missing.to_vec(), busy: busy.to_vec() }
}

impl From<rpc_core::ShutdownError> for ShutdownError {
    fn from(error: rpc_core::ShutdownError) -> Self {
        match error {
            rpc_core::ShutdownError::TimedOut { after, missing, busy } => {
                Self::TimedOut { after, missing, busy }
            }
            other => Self::Agent(other),
        }
    }
}

impl From<rpc_core::ShutdownReport> for ShutdownReport {
    fn from(report: rpc_core::ShutdownReport) -> Self {
        Self { lost: report.lost, ..Self::default() }
    }
}
