//! [`InitError`]: why a worker did not come to be.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::{BackendError, InvalidName, InvalidToken, RegistryError, StoreError, TableError, WorkerInfo};
use rpc_rendezvous::{InitMethodError, JoinError, LaunchError};
use rpc_rref::report::UnknownLeakPolicy;

use crate::leaving::ShutdownError;

/// Why a worker did not come to be. Nothing of it is left behind: the same process may try again.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The name breaks the rule for names.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Neither the program nor the environment says something that is needed.
    #[error(
        "{what} is not known: call .{method}(..) on the builder, or set {variables} (rpcrun and torchrun do)"
    )]
    Missing {
        /// What is needed, such as `the rank`.
        what: &'static str,
        /// The builder's method that gives it.
        method: &'static str,
        /// The variables that give it.
        variables: &'static str,
    },
    /// The rank is not below the number of workers.
    #[error("rank {rank} is out of range: {world_size} workers have the ranks from 0 to {}", .world_size.saturating_sub(1))]
    RankOutOfRange {
        /// The rank.
        rank: u32,
        /// The number of workers.
        world_size: u32,
    },
    /// A variable of the environment holds what it should not.
    #[error(transparent)]
    Environment(#[from] LaunchError),
    /// `RPC_LEAKS` holds what it should not.
    #[error("RPC_LEAKS: {0}")]
    Leaks(#[source] UnknownLeakPolicy),
    /// `RPC_LOCAL` holds what it should not.
    #[error("RPC_LOCAL: {value:?} says nothing about local links; it has to be on or off")]
    LocalLinks {
        /// What it holds.
        value: String,
    },
    /// The `init_method` is no URL of ours.
    #[error(transparent)]
    InitMethod(#[from] InitMethodError),
    /// Two functions of this program have one id.
    #[error(transparent)]
    Functions(#[from] TableError),
    /// References cannot be counted.
    #[error(transparent)]
    References(#[from] rpc_rref::StartError),
    /// There is no such backend in this build.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The backend could not listen or start.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A host has no address, or none that can be reached from here.
    #[error(
        "no way to {host} after {:?}: {cause}; is the name right, or should the worker .bind(..) elsewhere?",
        rounded(*after)
    )]
    Address {
        /// The host as it was given.
        host: String,
        /// How long it was tried.
        after: Duration,
        /// The system's words.
        cause: String,
    },
    /// `RPC_JOIN_TOKEN` holds what is no token. The text is not in the error.
    #[error("RPC_JOIN_TOKEN: {0}")]
    Token(#[source] InvalidToken),
    /// The certificate or its key is of no use, or none could be made.
    #[cfg(feature = "tls")]
    #[error("{}", with_causes(.0))]
    Credentials(#[from] rpc_security::SecurityError),
    /// Some of the variables that name the files of a certificate are set, and some are not.
    #[error("{set} is set and {unset} is not; a worker with a certificate needs all three")]
    PartOfCredentials {
        /// Those that are set.
        set: String,
        /// Those that are not.
        unset: String,
    },
    /// Something needs TLS, and this build has none.
    #[error(
        "{what} needs TLS, which this program was built without; enable the feature `tls` of the crate rpc"
    )]
    NoTls {
        /// What needs it.
        what: String,
    },
    /// Something would not be on this machine only, as the program asks.
    #[error(
        "{service} would be at {address}, which other machines can reach, and the program says \
         Security::loopback_only(): {remedy}, or take the Security that the job needs"
    )]
    NotLoopback {
        /// What would be reachable.
        service: &'static str,
        /// Where.
        address: String,
        /// How to keep it on this machine.
        remedy: &'static str,
    },
    /// Something would be open to a network without credentials.
    #[error(
        "{service} would be at {address}, which other machines can reach, and this worker has no credentials: give \
         all workers of the job one token (RPC_JOIN_TOKEN, drawn with `openssl rand -hex 32`, or \
         Security::token(..)), or certificates (RPC_TLS_CA, RPC_TLS_CERT and RPC_TLS_KEY, or \
         Security::credentials(..)), or {remedy}; if every machine of that network is trusted, say so with \
         Security::insecure() or RPC_INSECURE=1"
    )]
    NotSecured {
        /// What would be open.
        service: &'static str,
        /// Where.
        address: String,
        /// How to keep it on this machine.
        remedy: &'static str,
    },
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The workers did not meet.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Some workers joined, but did not begin to serve: they failed, or died, in between.
    #[error(
        "after {:?} there was still no sign that these workers serve: {}; their own output says why",
        rounded(*after),
        list(.missing)
    )]
    NotReady {
        /// How long was waited.
        after: Duration,
        /// The workers that did not begin to serve.
        missing: Vec<WorkerInfo>,
    },
    /// The system refused what a worker needs of it.
    #[error("the system gives no {what}: {cause}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// The system's words.
        #[source]
        cause: Arc<io::Error>,
    },
    /// The runtime was shut down while the worker was starting.
    #[error(
        "the tokio runtime was shut down while the worker was starting; keep it alive, or use IoRuntime::Dedicated"
    )]
    RuntimeEnded,
}

/// An error and what has caused it, in one line.
#[cfg(feature = "tls")]
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// To tenths of a second, or to milliseconds if it is less than one.
fn rounded(after: Duration) -> Duration {
    let step_ms: u32 = if after < Duration::from_secs(1) { 1 } else { 100 };
    let steps = (after.as_secs_f64() * 1000.0 / f64::from(step_ms)).round() as u64;
    Duration::from_millis(steps.saturating_mul(u64::from(step_ms)))
}

fn list(workers: &[WorkerInfo]) -> String {
    workers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why [`Worker::shutdown_blocking`](crate::Worker::shutdown_blocking) failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockingShutdownError {
    /// The worker has left, but not as it was asked to.
    #[error(transparent)]
    Shutdown(#[from] ShutdownError),
    /// Waiting here would be for this very thread. The worker has not left.
    #[error(
        "this thread drives the worker or runs one of its handlers, so it would wait for itself; await shutdown() \
         outside of handlers, or wait on another thread"
    )]
    WouldBlock,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_was_waited_is_told_without_digits_that_tell_nothing() {
        let missing = vec![WorkerInfo::new(rpc_core::WorkerName::new("w1").unwrap(), rpc_core::WorkerId(1))];
        let error = InitError::NotReady { after: Duration::from_nanos(9_999_625_943), missing };
        assert!(error.to_string().starts_with("after 10s there"), "{error}");
    }
}
