//! What can be done with results that are not there yet, besides awaiting them.
//!
//! ```
//! # use rpc_core::{CallError, Client};
//! use rpc_core::futures::{collect_all, wait_all};
//! # use rpc_macros::function;
//! # #[function(crate = "rpc_core")]
//! # fn add(a: i64, b: i64) -> i64 { a + b }
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = rpc_testing::Cluster::new(2).await;
//! # let client = cluster.client("worker0");
//! // A callback, whose result is a future again. It runs on a thread of its own, so it may block.
//! let more = client.rpc_async("worker1", add, (1, 2)).map(|sum| sum + 1);
//! assert_eq!(more.wait()?, 4);
//! assert_eq!(more.wait()?, 4); // as often as you like, by as many as you like
//!
//! // Many at once: ends with the last result, or with the first error.
//! let calls = || (0..3).map(|n| client.rpc_async("worker1", add, (n, n)));
//! assert_eq!(collect_all(calls()).await?, [0, 2, 4]);
//! assert_eq!(wait_all(calls())?, [0, 2, 4]); // on a thread that may block
//!
//! // A promise, which anybody can keep.
//! let (answer, question) = client.promise::<u32, CallError>();
//! std::thread::spawn(move || answer.set(42));
//! assert_eq!(question.await?, 42);
//!
//! // Nothing made in here is under way any more when it returns.
//! let sum: Result<i64, CallError> = client.scope(async |scope| {
//!     let two = scope.rpc_async("worker1", add, (1, 1));
//!     scope.rpc_async("worker1", add, (2, 2)); // waited for all the same
//!     two.await
//! }).await;
//! assert_eq!(sum?, 2);
//! # Ok(()) }
//! ```
//!
//! - **One owner**: [`RpcFuture`](crate::RpcFuture), the value of a call, is awaited once. Its `then`, `map` and
//!   `on_done` consume it.
//! - **Any number**: [`SharedFuture`], out of [`RpcFuture::shared`](crate::RpcFuture::shared), of callbacks, or of
//!   [`Client::promise`](crate::Client::promise), whose other end is [`Settable`].
//! - **Many**: [`collect_all`], [`wait_all`], [`wait_all_timeout`], and [`Client::scope`](crate::Client::scope) for all
//!   calls that are made in a block. A [`Retried`](crate::Retried), the call of a
//!   [`RetryingClient`](crate::RetryingClient), is not for these: spawn or join it, as any future.
//!
//! # Callbacks
//! Callbacks of one future run in the order in which they were registered, one after the other, each on a thread where
//! it may block ([`Agent::run`](crate::Agent::run)), never on the one that brings responses; also those that are
//! registered when the result is there already. A callback that waits for a later one of the same future waits for ever. Inside of a handler
//! they belong to its call: [`CallContext::current`](crate::CallContext::current) is the same in them. They run
//! whether somebody holds the future or not; a shutdown does not wait for them.
//!
//! # Errors that nobody looks at
//! They are logged once, as a warning that names worker and function, or the line of the program that a promise or
//! callback comes from. Looked at is an error that was awaited or waited for, given to a callback, or borrowed; what was
//! cancelled is not logged. `ignore_errors` says that nobody is going to look. A call that succeeds pays nothing for that.

mod collect;
mod error;
mod run;
mod scope;
mod settable;
mod shared;

#[cfg(test)]
mod tests;

pub(crate) use self::run::{Callback, on_new_thread, run_job};
pub(crate) use self::settable::promise;
pub(crate) use self::shared::{Origin, share};

// The public interface is:
pub use self::collect::{CollectAll, Collectable, ResultOfAll, collect_all, wait_all, wait_all_timeout};
pub use self::error::FutureError;
pub use self::scope::Scope;
pub use self::settable::Settable;
pub use self::shared::SharedFuture;
