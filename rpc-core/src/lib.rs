//! Agents, messages, functions, errors and the engine of the rpc framework.
//!
//! Workers are named, ranked processes that call each other's functions. This crate has everything that
//! does not depend on how bytes travel: most programs use it through the facade crate `rpc`, and custom
//! stacks build on it directly.
//!
//! ```
//! use rpc_macros::function;
//!
//! #[function(crate = "rpc_core")] // without the option for users of the facade
//! fn add(a: i64, b: i64) -> i64 {
//!     a + b
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = rpc_testing::Cluster::new(2).await; // two engines over a network in memory
//! let client = cluster.client("worker0"); // `Client::new(agent, codecs)` over any agent
//! assert_eq!(client.rpc_async("worker1", add, (1, 2)).await?, 3);
//! cluster.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! **Start** with [`Client`], which makes typed calls over an [`Agent`]. There are two ways in for a stack
//! of your own: implement [`Transport`] (frames) and get the engine, [`TransportAgent`], with deadlines,
//! cancellation, thread pool and graceful shutdown; or implement [`Agent`] whole.
//!
//! **It promises** that a call never hangs silently, that an error says whether the handler ran, and that
//! every queue has a bound. **It leaves to you** sockets ([`Transport`]) and finding the other workers
//! ([`Store`]).
//!
//! # Crate features
//! - **`json`**, **`messagepack`**: codecs beside postcard, which workers have as soon as they are compiled in.
//! - **`ndarray`**: conversions between [`Tensor`] and `ndarray` arrays that share the bytes.

// Reading order: who takes part, what they exchange, what they call, what carries it.
mod worker;

mod call_scope;
mod codec;
mod message;
mod part;
mod scope;
mod tensor;
mod trace;

pub mod aside;
pub mod handles;

mod client;
mod context;
mod error;
mod extensions;
mod function;
mod future;
mod observe;
mod reply;
mod retry;

mod agent;
mod anteroom;
mod backend;
mod engine;
mod info;
mod security;
mod shutdown;
mod store;
mod transport;

pub mod framing;
pub mod futures;
pub mod proto;
pub mod wire;

// The public interface is:
pub use crate::agent::{Agent, Handler, Incoming, PeerEvent, PeerWatcher, Served, timeout_or_forever};
pub use crate::anteroom::{Anteroom, Dismissed};
pub use crate::backend::{
    AgentStart, Backend, BackendError, BackendRegistry, BindOptions, BoundBackend, RegistryError,
    TransportBackend, WrapTransport,
};
pub use crate::call_scope::CallScope;
pub use crate::client::{Aside, Client, RPC_TIMEOUT_DEFAULT, RequestHead};
#[cfg(feature = "json")]
pub use crate::codec::Json;
#[cfg(feature = "messagepack")]
pub use crate::codec::MessagePack;
pub use crate::codec::{Codec, CodecError, Codecs, Encoded, JSON, MESSAGEPACK, POSTCARD, Read};
pub use crate::context::{CallContext, Cancelled, Host};
pub use crate::engine::{EngineConfig, StartError, TransportAgent};
pub use crate::error::{CallError, CreationError, Failure, HandlerRan, Never, ReferenceError, Violation};
pub use crate::function::{
    BoxFuture, CallLimit, Decision, FunctionBody, FunctionComparison, FunctionDifference, FunctionEntry,
    FunctionHandler, FunctionId, FunctionTable, Gatekeeper, Keeper, Kept, OtherSignature, RemoteFunction,
    ResultLike, Serving, Slot, SlotRead, SlotWrite, Stored, StoredRead, TableError, in_place, kept,
};
pub use crate::future::{CallHook, RpcFuture};
pub use crate::info::{
    AgentInfo, ByFunction, FUNCTIONS_LISTED_MAX, FunctionCount, FunctionKey, LinkState, OldestCall, PeerInfo,
    RequestCounts, ThreadCounts, Traffic,
};
pub use crate::message::{Body, Kind, Outcome, Request, Response};
pub use crate::observe::{
    CALLS_TARGET, CallEnd, CallObserver, FollowedCall, Follower, MadeCall, MadeEnd, ObservedCall, Observers,
    ServedCall, SpanEnd, SpanHook, Within, WriteMark,
};
pub use crate::part::{OutOfMemory, PART_ALIGN, Part, PartBuf, PartPool};
pub use crate::reply::{CallControl, Promise, Reply, ReplyResult};
pub use crate::retry::{Retried, Retry, RetryBudget, RetryingClient};
pub use crate::security::{
    Fingerprint, Identity, InvalidToken, JOIN_TOKEN_CHARS_MAX, JOIN_TOKEN_CHARS_MIN, JoinToken, LinkSecurity,
    Protection,
};
pub use crate::shutdown::{Shutdown, ShutdownError, ShutdownReport};
pub use crate::store::{Denial, PrefixStore, Store, StoreError};
pub use crate::tensor::{Dtype, Element, Tensor, TensorError};
pub use crate::trace::{InvalidTraceParent, TraceParent};
pub use crate::transport::{
    Close, Flush, Frame, FrameLimits, Link, LinkClosed, LinkError, LinkReceiver, LinkSender, Transport, recv,
};
pub use crate::worker::{
    Group, Incarnation, InvalidGroup, InvalidName, Member, NameProblem, Target, UnknownWorker,
    WORKER_NAME_BYTES_MAX, WorkerId, WorkerInfo, WorkerName,
};

/// What the macros of this framework expand to. Not part of the public interface.
#[doc(hidden)]
pub mod macro_support {
    pub use inventory;

    pub use crate::{BoxFuture, CallLimit, FunctionBody, FunctionEntry, Never, RemoteFunction, ResultLike};
}
