//! [`Scope`]: calls that are waited for at the end of a block.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::collect::Woken;
use super::{FutureError, SharedFuture, share};
use crate::client::Client;
use crate::error::CallError;
use crate::function::RemoteFunction;
use crate::future::RpcFuture;
use crate::worker::Target;

/// Makes calls that are waited for when its block ends (see [`Client::scope`]). Cloning is cheap.
pub struct Scope<E> {
    client: Client,
    calls: Arc<Calls<E>>,
}

struct Calls<E> {
    /// Calls that nobody has found to be done. Their number is that of the calls made in the block.
    pending: Mutex<Vec<Pending>>,
    /// The first error that was found.
    error: Mutex<Option<E>>,
}

/// Polls a call until its result is known to the scope.
type Pending = Box<dyn FnMut(&mut Context<'_>) -> Poll<()> + Send>;

impl Client {
    /// Runs `body`, then waits for every call that was made through its [`Scope`]: nothing made in the block is under
    /// way any more when this returns. What torch's `_wait_all` is, with a scope to hand around in place of a
    /// thread-local list.
    ///
    /// ```
    /// # use rpc_core::{CallError, Client};
    /// # use rpc_macros::function;
    /// # #[function(crate = "rpc_core")]
    /// # fn save(n: u32) -> u32 { n }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), CallError> {
    /// # let cluster = rpc_testing::Cluster::new(3).await;
    /// # let client = cluster.client("worker0");
    /// let saved: Result<_, CallError> = client.scope(async |scope| {
    ///     for to in ["worker1", "worker2"] {
    ///         scope.rpc_async(to, save, (7,));
    ///     }
    ///     Ok("both")
    /// }).await;
    /// assert_eq!(saved?, "both");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// That of `body`; else the first of the calls, also of one whose error `body` has seen. Either way all calls are
    /// waited for: each ends with its timeout at the latest.
    ///
    /// So `E` has to be `From<CallError>`, and `From<CallError<TheirError>>` for each function that has an error of its own.
    /// `anyhow::Error` is, for errors that have `Display`; an enum of the program's, with a variant for each, is another
    /// way. And `TheirError` is `Clone` and `Sync`, since the scope and whoever holds the future both look at it.
    ///
    /// # Cancel safety
    /// Dropping the future drops the body; the calls go on by themselves.
    pub async fn scope<R, E, B>(&self, body: impl FnOnce(Scope<E>) -> B) -> Result<R, E>
    where
        B: Future<Output = Result<R, E>>,
        E: Send + 'static,
    {
        let scope = Scope::new(self);
        let result = body(scope.clone()).await;
        Ended::new(&scope.calls).await;
        scope.judge(result)
    }

    /// As [`scope`](Self::scope), for a thread that may block: `body` is ordinary code, and may wait for its calls.
    ///
    /// # Errors
    /// As [`scope`](Self::scope), and [`FutureError::WouldBlock`] where a call must not be waited for (see
    /// [`RpcFuture::wait`]); the calls go on by themselves then.
    ///
    /// # Panics
    /// As [`RpcFuture::wait`].
    pub fn scope_blocking<R, E>(&self, body: impl FnOnce(Scope<E>) -> Result<R, E>) -> Result<R, E>
    where
        E: From<FutureError> + Send + 'static,
    {
        let scope = Scope::new(self);
        let result = body(scope.clone());
        let mut ended = Ended::new(&scope.calls);
        let is_done = Pin::new(&mut ended).poll(&mut Context::from_waker(Waker::noop())).is_ready();
        if !is_done && self.block_on(None, ended).is_none() {
            return result.and(Err(FutureError::WouldBlock.into()));
        }
        scope.judge(result)
    }
}

impl<E: Send + 'static> Scope<E> {
    fn new(client: &Client) -> Self {
        let calls = Calls { pending: Mutex::default(), error: Mutex::new(None) };
        Self { client: client.clone(), calls: Arc::new(calls) }
    }

    /// Calls `function` as [`Client::rpc_async`] does. The result can be waited for here, or left to the scope.
    pub fn rpc_async<'t, F: RemoteFunction>(
        &self,
        to: impl Into<Target<'t>>,
        function: F,
        args: F::Args,
    ) -> SharedFuture<F::Output, CallError<F::Error>>
    where
        F::Error: Clone + Sync,
        E: From<CallError<F::Error>>,
    {
        self.add(self.client.rpc_async(to, function, args))
    }

    /// Has the scope wait for `call`, such as that of a method of a reference.
    pub fn add<T, H>(&self, call: RpcFuture<T, H>) -> SharedFuture<T, CallError<H>>
    where
        T: DeserializeOwned + Send + Sync + 'static,
        H: DeserializeOwned + Clone + Send + Sync + 'static,
        E: From<CallError<H>>,
    {
        let calls = Arc::downgrade(&self.calls);
        let (client, origin) = (call.caller().cloned(), call.origin());
        let mut call = call.guarded();
        let source = std::future::poll_fn(move |cx| {
            let polled = call.as_mut().poll(cx);
            if let Poll::Ready(Err(error)) = &polled
                && let Some(calls) = calls.upgrade()
            {
                let error = error.clone();
                calls.error.lock().get_or_insert_with(|| error.into());
            }
            polled
        });
        let future = share(client, origin, Box::pin(source));
        future.ignore_errors(); // the scope does look
        let mut pending = future.clone();
        self.calls.pending.lock().push(Box::new(move |cx| pending.poll_ready(cx)));
        future
    }

    fn judge<R>(&self, result: Result<R, E>) -> Result<R, E> {
        let value = result?;
        match self.calls.error.lock().take() {
            Some(error) => Err(error),
            None => Ok(value),
        }
    }
}

/// Resolves when all calls are done, also those that are made meanwhile.
struct Ended<E> {
    calls: Arc<Calls<E>>,
    pending: Vec<Option<Pending>>,
    left: usize,
    woken: Arc<Woken>,
}

impl<E> Ended<E> {
    fn new(calls: &Arc<Calls<E>>) -> Self {
        Self { calls: Arc::clone(calls), pending: Vec::new(), left: 0, woken: Woken::all(0) }
    }
}

impl<E> Future for Ended<E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.woken.wait(cx);
        loop {
            let new = std::mem::take(&mut *this.calls.pending.lock());
            for call in new.into_iter().rev() {
                this.woken.add(this.pending.len());
                this.pending.push(Some(call));
                this.left += 1;
            }
            let Some((at, waker)) = this.woken.next() else { break };
            let Some(call) = this.pending.get_mut(at).and_then(Option::as_mut) else { continue };
            if call(&mut Context::from_waker(&waker)).is_ready() {
                this.pending[at] = None;
                this.left -= 1;
            }
        }
        match this.left {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

impl<E> Clone for Scope<E> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), calls: Arc::clone(&self.calls) }
    }
}

impl<E> fmt::Debug for Scope<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({} calls under way)", self.calls.pending.lock().len())
    }
}
