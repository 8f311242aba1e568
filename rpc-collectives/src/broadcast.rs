//! [`Broadcast`]: one call for many workers.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rpc_core::{CallError, Client, RemoteFunction, RpcFuture, WorkerInfo, WorkerName};
use serde::de::DeserializeOwned;

/// What each worker returned, or why it did not.
pub type Results<T, E> = BTreeMap<WorkerName, Result<T, CallError<E>>>;

/// The results of a [`broadcast_call`](crate::Team::broadcast_call). The calls are under way when this exists.
///
/// Resolves when all have ended, each with its timeout at the latest. Dropping it detaches: the calls go on.
#[must_use = "a call whose error nobody looks at is logged"]
pub struct Broadcast<T, E> {
    client: Client,
    /// In the order in which they were made, which is as good as any other: all are under way.
    calls: VecDeque<(WorkerName, RpcFuture<T, E>)>,
    results: Results<T, E>,
}

/// Calls `function` on each of `workers`, which need serve no collectives. What
/// [`Team::broadcast_call`](crate::Team::broadcast_call) does.
pub fn broadcast_call<'w, F: RemoteFunction>(
    client: &Client,
    workers: impl IntoIterator<Item = &'w WorkerInfo>,
    function: F,
    args: F::Args,
) -> Broadcast<F::Output, F::Error>
where
    F::Args: Clone,
{
    let call = |worker: &WorkerInfo| (worker.name.clone(), client.rpc_async(worker, function, args.clone()));
    let calls = workers.into_iter().map(call).collect();
    Broadcast { client: client.clone(), calls, results: BTreeMap::new() }
}

impl<T: DeserializeOwned, E: DeserializeOwned + 'static> Broadcast<T, E> {
    /// Blocks this thread until all calls have ended. Where a call must not be waited for (see [`RpcFuture::wait`]),
    /// those that have not ended are
    /// [`Failure::WouldBlock`](rpc_core::Failure::WouldBlock).
    ///
    /// # Panics
    /// As [`RpcFuture::wait`].
    pub fn wait(mut self) -> Results<T, E> {
        let client = self.client.clone();
        if let Some(results) = client.block_on(None, &mut self) {
            return results;
        }
        let mut results = std::mem::take(&mut self.results);
        for (worker, call) in std::mem::take(&mut self.calls) {
            results.insert(worker, call.wait()); // which refuses in its turn
        }
        results
    }
}

/// # Cancel safety
/// Polling may stop at any time.
impl<T: DeserializeOwned, E: DeserializeOwned + 'static> Future for Broadcast<T, E> {
    type Output = Results<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        while let Some((_, call)) = self.calls.front_mut() {
            let result = ready!(Pin::new(call).poll(cx));
            if let Some((worker, _)) = self.calls.pop_front() {
                self.results.insert(worker, result);
            }
        }
        Poll::Ready(std::mem::take(&mut self.results))
    }
}

impl<T, E> fmt::Debug for Broadcast<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (done, left) = (self.results.len(), self.calls.len());
        write!(f, "Broadcast({done} of {} done)", done + left)
    }
}
