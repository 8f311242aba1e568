//! How a worker leaves its group, seen from outside; [`proto::shutdown`](crate::proto::shutdown) is the
//! protocol.

use std::time::Duration;

use crate::worker::WorkerInfo;

/// How to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shutdown {
    /// Meet all other workers, let everything in flight finish, nested calls included, then leave
    /// together. Fails after `timeout`, and then this worker leaves alone.
    Graceful {
        /// How long to wait for the others; `None` for ever.
        timeout: Option<Duration>,
    },
    /// Leave now. Calls in flight fail; peers see this worker depart.
    Immediate,
}

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Workers that were lost before they could take part: their processes died.
    pub lost: Vec<WorkerInfo>,
}

impl ShutdownReport {
    /// A report that names `lost`.
    pub fn new(lost: Vec<WorkerInfo>) -> Self {
        Self { lost }
    }
}

/// Why a graceful shutdown was not one. The worker has left nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Some workers did not come, or did not fall silent, in time.
    #[error("graceful shutdown gave up after {after:?}: {}; this worker has left alone; Shutdown::Graceful {{ timeout: None }} waits for as long as the others live", pending(.missing, .busy))]
    TimedOut {
        /// The timeout.
        after: Duration,
        /// Workers that never asked to shut down.
        missing: Vec<WorkerInfo>,
        /// Workers that did, but still had calls in flight or handlers running.
        busy: Vec<WorkerInfo>,
    },
}

fn pending(missing: &[WorkerInfo], busy: &[WorkerInfo]) -> String {
    let list =
        |workers: &[WorkerInfo]| workers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match (missing.is_empty(), busy.is_empty()) {
        (false, true) => format!("{} did not call shutdown", list(missing)),
        (true, false) => format!("{} still had calls in flight", list(busy)),
        (false, false) => {
            format!("{} did not call shutdown, {} still had calls in flight", list(missing), list(busy))
        }
        (true, true) => "the leader did not answer".into(),
    }
}
