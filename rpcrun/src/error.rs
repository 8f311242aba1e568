//! [`LaunchError`]: why a launch did not begin.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use rpc_core::InvalidToken;
use rpc_security::SecurityError;

/// Why a launch did not begin, or could not be watched. No worker is left running.
///
/// That a worker failed is no error of the launch: see [`Outcome`](crate::Outcome).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The number of workers or of machines is 0.
    #[error(
        "a job needs at least one worker on at least one machine; give --nproc and --nnodes values above 0"
    )]
    NoWorkers,
    /// The ranks do not fit into 32 bits.
    #[error("{nnodes} machines with {nproc} workers each are more workers than there are ranks")]
    TooManyWorkers {
        /// Machines.
        nnodes: u32,
        /// Workers on each.
        nproc: u32,
    },
    /// The rank of this machine is not below the number of machines.
    #[error("node rank {node_rank} is out of range: {nnodes} machines have the ranks 0 to {}", nnodes - 1)]
    NodeRankOutOfRange {
        /// The rank that was given.
        node_rank: u32,
        /// Machines.
        nnodes: u32,
    },
    /// A job of several machines without an address that all of them know.
    #[error(
        "a job of {nnodes} machines needs --master-addr and --master-port: an address and a free port of node \
         0, the same on every machine"
    )]
    NoMasterAddress {
        /// Machines.
        nnodes: u32,
    },
    /// A rank that was named is none of this machine's.
    #[error("rank {rank} does not run on this machine, which has the ranks {first} to {last}")]
    NotALocalRank {
        /// The rank that was named.
        rank: u32,
        /// Smallest rank of this machine.
        first: u32,
        /// Largest rank of this machine.
        last: u32,
    },
    /// The system gave no random bytes for the job's id.
    #[error("no random job id: {cause}; give one with --job-id")]
    NoRandomness {
        /// The system's words.
        cause: String,
    },
    /// The store would be open to a network, and nobody said that it is trusted.
    #[error(
        "the job meets at {address}, where whoever reaches it could join: draw a token on one machine, \
         `export RPC_JOIN_TOKEN=$(openssl rand -hex 32)`, and set it to the same value for rpcrun on all others; \
         or name certificates (RPC_TLS_CA, RPC_TLS_CERT, RPC_TLS_KEY) on each; or give --master-addr 127.0.0.1 \
         if all of the job runs on this machine; or, if every machine of that network is trusted, say so with \
         RPC_INSECURE=1"
    )]
    OpenStore {
        /// Where the workers would meet.
        address: String,
    },
    /// `RPC_JOIN_TOKEN` holds what is no token. The text is not in the error.
    #[error("RPC_JOIN_TOKEN: {0}")]
    Token(InvalidToken),
    /// Some of the variables that name credentials are set, and some are not.
    #[error("set all of RPC_TLS_CA, RPC_TLS_CERT and RPC_TLS_KEY, or none")]
    PartOfCredentials,
    /// The files that `RPC_TLS_CA`, `RPC_TLS_CERT` and `RPC_TLS_KEY` name are of no use.
    #[error("the credentials of RPC_TLS_CA, RPC_TLS_CERT and RPC_TLS_KEY are of no use")]
    Credentials(#[from] SecurityError),
    /// The store could not be hosted.
    #[error("the store of the job cannot listen on {address}; choose another --master-addr or --master-port")]
    Store {
        /// Where it should listen.
        address: String,
        /// Why it does not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is no such program.
    #[error("program {program:?} not found{hint}")]
    ProgramNotFound {
        /// The program as it was given.
        program: PathBuf,
        /// Where it was looked for, and the remedy.
        hint: String,
    },
    /// The program is there and cannot be run.
    #[error("{worker} cannot run {program:?}")]
    Spawn {
        /// Name of the worker.
        worker: String,
        /// The program as it was given.
        program: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// The launcher's own thread or signal handlers could not be set up, or a worker could not be waited for.
    #[error("the launcher cannot {what}")]
    System {
        /// What failed.
        what: &'static str,
        /// The system's words.
        #[source]
        source: io::Error,
    },
}
