//! Workers that call each other's functions: named, ranked processes, typed calls, typed errors.
//!
//! ```
//! use rpc::prelude::*;
//!
//! #[rpc::function]
//! fn add(a: f64, b: f64) -> f64 {
//!     a + b
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Two workers in one process. Across processes it is `rpc::init_from_env().await?` in each.
//!     let store = std::sync::Arc::new(rpc::MemoryStore::default());
//!     let worker = |rank| Worker::builder_named_by_rank().rank(rank).world_size(2).store(store.clone());
//!     let (worker, other) = tokio::try_join!(worker(0).init(), worker(1).init())?;
//!
//!     let sum: f64 = worker.rpc_async("worker1", add, (1.0, 2.0)).await?;
//!     assert_eq!(sum, add(1.0, 2.0)); // still an ordinary function here
//!
//!     tokio::try_join!(worker.shutdown(), other.shutdown())?; // all workers meet here
//!     Ok(())
//! }
//! ```
//!
//! **Start** with [`init`], which reads the environment that `rpcrun`, `torchrun` and SLURM set, or with
//! [`Worker::builder`], which can be told everything. Programs without `async` use [`blocking_init`] and
//! [`Worker::rpc_sync`]. A handler finds its worker with [`Worker::current`].
//!
//! A value can also stay where it was made: [`Worker::remote`] gives out a counted reference to it, an
//! [`RRef`], whose methods other workers call.
//!
//! ```
//! use rpc::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Counter {
//!     n: u64,
//! }
//!
//! #[rpc::function]
//! fn new_counter(start: u64) -> Counter {
//!     Counter { n: start }
//! }
//!
//! #[rpc::methods]
//! impl Counter {
//!     fn add(&mut self, by: u64) -> u64 {
//!         self.n += by;
//!         self.n
//!     }
//! }
//!
//! # async fn example(worker: Worker) -> Result<(), CallError> {
//! let counter: RRef<Counter> = worker.remote("worker1", new_counter, (10,))?; // returns at once
//! assert_eq!(counter.rpc_async().add(5).await?, 15); // runs on worker1, on the value itself
//! let copy: Counter = counter.to_here().await?;
//! # Ok(()) } // the value is dropped with the last reference, on any worker
//! ```
//!
//! What is under way can be waited for together, called back, shared and bounded by a block: [`futures`] has
//! callbacks, promises, [`collect_all`](futures::collect_all) and [`wait_all`](futures::wait_all), and
//! [`Worker::scope`] waits for every call made inside of it.
//!
//! ```
//! use rpc::futures::collect_all;
//! use rpc::prelude::*;
//!
//! #[rpc::function]
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = std::sync::Arc::new(rpc::MemoryStore::default());
//! # let worker = Worker::builder("worker1").rank(0).world_size(1).store(store).init().await?;
//! let calls = (1..4).map(|n| worker.rpc_async("worker1", square, (n,)));
//! assert_eq!(collect_all(calls).await?, [1, 4, 9]); // or the first error, as soon as there is one
//!
//! let text = worker.rpc_async("worker1", square, (5,)).map(|n| format!("25 is {n}")); // runs off the IO path
//! assert_eq!(text.await?, "25 is 25");
//! # worker.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! What all workers do together, or some of them: [`Worker::all_gather`] and [`Worker::barrier`], of all or of a
//! [`Team`], end with the values of all members, or with an error that says who is missing and why.
//! [`Worker::broadcast_call`] calls one function on all.
//!
//! **It promises** that a call never hangs silently: it has a deadline (60 s unless told otherwise), which
//! bounds nested calls too, and a dead peer fails its calls promptly. [`CallError`] says who, what, whether
//! the handler ran and what to do next. **It leaves to you** what happens when a worker dies: the group is
//! fixed at start, and nobody takes a dead worker's place.
//!
//! **It is closed by default** ([`Security`]): on any address but loopback a worker needs a token of the job, which
//! `rpcrun` hands out, or certificates, and its links are encrypted. Who has those is trusted;
//! [`WorkerBuilder::authorize`] says who may call what.
//!
//! # On one machine
//! Workers of the backend `tcp` that find themselves on one machine talk over a Unix socket instead, on Linux: it takes no
//! word, and `RPC_LOCAL=off`, `rpcrun --no-local` or [`WorkerBuilder::local_links`] is the word against it. Which way a link
//! takes is in [`Worker::debug_info`]: `peer.worker1.link` is `up, number 1, local`, or `up, number 1, tcp`.
//!
//! # Codecs
//! Calls are written by postcard. With the features `messagepack` and `json` a worker has these too: for all of its
//! calls ([`WorkerBuilder::codec`]), or for those that are made in one piece of code ([`CallScope`]). The callee needs
//! the codec as well, and answers by it. JSON has no NaN and no infinities: such a float becomes `null`, which
//! is no float at the other end; what else JSON cannot say stands on `Json`. One of your own implements [`Codec`]. Tensors
//! and references stay beside what a codec writes, so they cost the same under each.
//!
//! ```
//! # use rpc::prelude::*;
//! use rpc::{CallScope, POSTCARD};
//! # #[rpc::function]
//! # fn add(a: f64, b: f64) -> f64 { a + b }
//! # async fn example(worker: Worker) -> Result<(), CallError> {
//! let by_postcard = CallScope::new().codec(POSTCARD); // or MESSAGEPACK, or JSON
//! let sum = by_postcard.run(|| worker.rpc_async("worker1", add, (1.0, 2.0))).await?;
//! # Ok(()) }
//! ```
//!
//! # Seeing what goes on
//! [`Worker::debug_info`] tells what a worker is doing now, typed and as names and values: calls in flight by peer and by
//! function with the oldest of them, queues, messages and bytes by peer, links, threads, references. With the feature
//! `metrics` the same goes to the `metrics` facade, and so to Prometheus (the example `metrics`); the module `metrics` has the names. For
//! systems of your own there is [`WorkerBuilder::observer`].
//!
//! Logs are `tracing` events: `warn` for what somebody should look at, `info` for waiting, `debug` for links. Single calls are spans and
//! events at debug level with the target [`rpc::calls`](CALLS_TARGET), with worker, peer, function and number of the call on both
//! sides, and what a function logs is in its span: `RUST_LOG=rpc::calls=debug` shows them. Where nobody takes them, they cost a branch.
//! While calls are profiled, both spans have the call's id in the profile, `profile.id`.
//! [`Worker::profile`] records where the time of calls goes, on all workers, as a table, a timeline or a page for a browser.
//! A [`TraceParent`] travels with calls ([`CallScope::trace`], [`WorkerBuilder::trace_source`]). With the feature `otel` it is that of
//! the program's OpenTelemetry layer, by itself: one trace goes through all workers (module `otel`).
//!
//! # Pieces of your own
//! Functions can be given by hand ([`WorkerBuilder::functions`]), and so can rendezvous stores ([`WorkerBuilder::store`]) and backends
//! ([`WorkerBuilder::backends`]): implement [`rpc_core::Transport`] for frames only, or [`rpc_core::Agent`]
//! whole. Both crates underneath are re-exported.
//!
//! # Crate features
//! - **`collectives`** (default): [`Worker::all_gather`], [`Worker::barrier`], [`Worker::team`].
//! - **`tcp`** (default): the TCP backend, named `tcp`. Without any backend the crate builds, and
//!   initialising says what is missing.
//! - **`quic`**: the QUIC backend, named `quic`, picked with [`WorkerBuilder::backend`], `RPC_BACKEND` or
//!   `rpcrun --backend`. See [below](#tcp-or-quic).
//! - **`tls`** (default): certificates and encryption, which addresses other than loopback need ([`Security`]).
//! - **`json`**, **`messagepack`**: codecs beside postcard. See [above](#codecs).
//! - **`metrics`**: `Metrics`, which counts calls, links and references for the `metrics` facade.
//! - **`otel`**: calls are part of OpenTelemetry traces, across workers (module `otel`).
//! - **`profiler`** (default): [`Worker::profile`].
//! - **`ndarray`**: conversions between [`Tensor`] and `ndarray` arrays that share the bytes.
//!
//! # TCP or QUIC
//! **TCP** on one machine, and in networks that lose nothing: it is faster there, above all with large messages.
//! **QUIC** where packets are lost, since what is lost holds up one message and not all; where small calls must not wait
//! for large ones on a slow network; and where addresses change, which ends nothing. It is always encrypted.
//!
//! The example `probe` measures both where you are. On two processors that did little else, medians of 2 s each, 64-byte
//! calls and uploads of 16 MiB:
//!
//! | | TCP | TCP, encrypted | QUIC |
//! |---|---|---|---|
//! | loopback: a call | 81 µs | 74 µs | 81 µs |
//! | 64 calls in flight | 348 k/s | 325 k/s | 255 k/s |
//! | uploads | 4.0 GB/s | 2.5 GB/s | 2.3 GB/s |
//! | a call beside uploads, 99 of 100 within | 0.5 ms | 5.0 ms | 5.9 ms |
//! | 10 ms there and back, nothing lost: uploads | | 179 MB/s | 170 to 190 MB/s |
//! | a call beside uploads, median | | 14.9 ms | 14.8 to 16 ms |
//! | one packet in a thousand lost: uploads | | 144 MB/s | 174 MB/s |
//! | a call beside uploads, median | | 22.7 ms | 14.7 ms |
//! | one packet in a hundred lost: uploads | | 100 to 120 MB/s | 150 MB/s |
//! | a call beside uploads, median | | 23.7 to 24.8 ms | 14.2 to 15.0 ms |
//! | a call alone, 99 of 100 within | | 16 to 34 ms | 38 ms |
//!
//! The network is `bench/src/bin/lossy-link.rs`; TCP used the system's congestion control, BBR. QUIC loses on loopback, by
//! the cost of each datagram in the process, and in the tail of lone calls, where the last packet of a call has nothing
//! behind it that would show its loss. A process whose only runtime thread is blocked for more than 25 s loses its QUIC
//! links, since it is the process that answers for them, not the system.
#![forbid(unsafe_code)]

// Reading order: what users hold, how it comes to be, what decides on the way.
mod worker;

mod builder;
mod debug;
mod init;
mod leaving;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "otel")]
pub mod otel;
mod ready;

mod address;
mod backends;
mod error;
mod runtime;
mod security;

#[cfg(feature = "collectives")]
mod together;

#[cfg(feature = "profiler")]
mod profile;

pub mod prelude;

// The public interface is:
pub use {rpc_core, rpc_rendezvous, rpc_rref};

#[cfg(feature = "collectives")]
pub use rpc_collectives::{self, Broadcast, Collective, CollectiveError, Team, TeamError};
#[cfg(feature = "json")]
pub use rpc_core::Json;
#[cfg(feature = "messagepack")]
pub use rpc_core::MessagePack;
pub use rpc_core::futures;
pub use rpc_core::futures::SharedFuture;
pub use rpc_core::{
    BackendRegistry, CALLS_TARGET, CallContext, CallEnd, CallError, CallLimit, CallObserver, CallScope,
    Client, Codec, Codecs, Decision, EngineConfig, Failure, FunctionEntry, FunctionTable, HandlerRan, JSON,
    JoinToken, MESSAGEPACK, Never, ObservedCall, POSTCARD, ReferenceError, Retry, RetryBudget,
    RetryingClient, RpcFuture, Shutdown, Store, Target, Tensor, TraceParent, UnknownWorker, WorkerId,
    WorkerInfo, WorkerName,
};
pub use rpc_macros::{function, methods};
#[cfg(feature = "profiler")]
pub use rpc_profiler::summary::{GroupBy, SortBy};
#[cfg(feature = "profiler")]
pub use rpc_profiler::{self, Profile, Profiling, record_function, record_future};
pub use rpc_rendezvous::MemoryStore;
pub use rpc_rref::method::RemoteMethods;
pub use rpc_rref::{Leak, LeakPolicy, RRef, RRefList, Registry, WeakRRef};

pub use crate::backends::default_backends;
pub use crate::builder::{INIT_TIMEOUT_DEFAULT, SHUTDOWN_TIMEOUT_DEFAULT, WorkerBuilder};
pub use crate::debug::{CollectiveInfo, DebugInfo};
pub use crate::error::{BlockingShutdownError, InitError};
pub use crate::leaving::{ShutdownError, ShutdownReport};
#[cfg(feature = "metrics")]
pub use crate::metrics::Metrics;
pub use crate::runtime::IoRuntime;
pub use crate::security::Security;
pub use crate::worker::Worker;
#[cfg(feature = "tls")]
pub use rpc_security::{CredentialPart, Credentials, SecurityError};

/// Starts the worker `name` as the environment says, and waits until all workers of the job are there.
///
/// Reads `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`, as rpcrun and torchrun set them, or what
/// SLURM sets. [`Worker::builder`] is the same with choices.
///
/// # Errors
/// [`InitError`].
///
/// # Cancel safety
/// As [`WorkerBuilder::init`].
pub async fn init(name: impl Into<String>) -> Result<Worker, InitError> {
    Worker::builder(name).init().await
}

/// As [`init`], for a worker that is called `worker{RANK}`.
///
/// # Errors
/// [`InitError`].
///
/// # Cancel safety
/// As [`WorkerBuilder::init`].
pub async fn init_from_env() -> Result<Worker, InitError> {
    Worker::builder_named_by_rank().init().await
}

/// As [`init`], for a plain thread, which it blocks. The worker's I/O runs on a thread of its own.
///
/// # Errors
/// [`InitError`].
pub fn blocking_init(name: impl Into<String>) -> Result<Worker, InitError> {
    Worker::builder(name).blocking_init()
}

/// What the macros of this framework expand to. Not part of the public interface.
#[doc(hidden)]
pub mod macro_support {
    pub use rpc_core::{CallLimit, FunctionBody, FunctionEntry, RemoteFunction};
    pub use rpc_rref::macro_support::*;
}
