//! What an [`RpcFuture`] can be turned into, in place of being awaited: callbacks, and futures for many.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::RpcFuture;
use crate::client;
use crate::error::CallError;
use crate::function::{BoxFuture, panic};
use crate::futures::{Callback, FutureError, Origin, SharedFuture, promise, run_job, share};

impl<T: DeserializeOwned, E: DeserializeOwned + 'static> RpcFuture<T, E> {
    /// The result, if the response is there.
    ///
    /// # Errors
    /// The future itself if it is not.
    pub fn value(mut self) -> Result<Result<T, CallError<E>>, Self> {
        match self.poll_detached(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Ok(result),
            Poll::Pending => Err(self),
        }
    }

    /// Says that nobody is going to look at the result, so that an error is not logged; the call goes on.
    pub fn ignore_errors(mut self) {
        self.seen = true;
    }
}

impl<T, E> RpcFuture<T, E>
where
    T: DeserializeOwned + Send + 'static,
    E: DeserializeOwned + Send + 'static,
{
    /// Has `f` called with the result when it is there, on a thread where it may block (see
    /// [callbacks](crate::futures#callbacks)); returns a future of what `f` returns. A panic in `f` is the future's
    /// error.
    ///
    /// ```
    /// # use rpc_core::{CallError, Client};
    /// # use rpc_macros::function;
    /// # #[function(crate = "rpc_core")]
    /// # fn add(a: i64, b: i64) -> i64 { a + b }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), CallError> {
    /// # let cluster = rpc_testing::Cluster::new(2).await;
    /// # let client = cluster.client("worker0");
    /// let sum = client.rpc_async("worker1", add, (1, 2)).then(|sum| match sum {
    ///     Ok(sum) => Ok::<_, CallError>(sum),
    ///     Err(error) if error.is_timeout() => Ok(0),
    ///     Err(error) => Err(error),
    /// });
    /// assert_eq!(sum.await?, 3);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn then<U, F>(
        self,
        f: impl FnOnce(Result<T, CallError<E>>) -> Result<U, F> + Send + 'static,
    ) -> SharedFuture<U, F>
    where
        U: Send + Sync + 'static,
        F: From<FutureError> + Send + Sync + 'static,
    {
        let callback = Callback::new(f);
        let (promise, future) = promise(self.call.client.clone(), callback.place);
        Pump::start(self, move |result| {
            promise.complete(callback.call(result).unwrap_or_else(|panicked| Err(panicked.into())));
        });
        future
    }

    /// As [`then`](Self::then) for the value alone; an error goes on to the new future.
    #[track_caller]
    pub fn map<U>(self, f: impl FnOnce(T) -> U + Send + 'static) -> SharedFuture<U, CallError<E>>
    where
        U: Send + Sync + 'static,
        E: Sync,
    {
        self.then(move |result| result.map(f))
    }

    /// Has `f` called with the result when it is there, on a thread where it may block (see
    /// [callbacks](crate::futures#callbacks)). A panic in `f` is logged.
    #[track_caller]
    pub fn on_done(self, f: impl FnOnce(Result<T, CallError<E>>) + Send + 'static) {
        let callback = Callback::new(f);
        Pump::start(self, move |result| callback.call_last(result));
    }

    /// A future of the same result for any number of who wait for it, and of callbacks.
    pub fn shared(self) -> SharedFuture<T, CallError<E>>
    where
        T: Sync,
        E: Sync,
    {
        share(self.call.client.clone(), self.origin(), self.guarded())
    }

    /// The call, as something to be polled anywhere, that turns a panic of decoding into an error.
    pub(crate) fn guarded(mut self) -> BoxFuture<'static, Result<T, CallError<E>>> {
        Box::pin(std::future::poll_fn(move |cx| poll_guarded(&mut self, cx)))
    }
}

impl<T, E> RpcFuture<T, E> {
    pub(crate) fn origin(&self) -> Origin {
        Origin::Call { to: self.call.callee(), function: self.call.function }
    }

    pub(crate) fn caller(&self) -> Option<&Arc<client::Shared>> {
        self.call.client.as_ref()
    }
}

fn poll_guarded<T: DeserializeOwned, E: DeserializeOwned + 'static>(
    call: &mut RpcFuture<T, E>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, CallError<E>>> {
    panic::catch(|| call.poll_detached(cx)).unwrap_or_else(|panicked| {
        let reason = format!("decoding it panicked: {}", panicked.details().join(" at "));
        Poll::Ready(Err(call.call.failed(crate::error::Failure::BadReply { reason })))
    })
}

/// Waits for a call on behalf of a callback: polls it when it is woken, which takes no thread meanwhile.
struct Pump<T, E> {
    waiting: Mutex<Option<Waiting<T, E>>>,
    client: Option<Arc<client::Shared>>,
}

struct Waiting<T, E> {
    call: RpcFuture<T, E>,
    last: Last<T, E>,
}

/// What is done with the result.
type Last<T, E> = Box<dyn FnOnce(Result<T, CallError<E>>) + Send>;

/// A result, and what is done with it.
struct Done<T, E> {
    result: Result<T, CallError<E>>,
    last: Last<T, E>,
}

impl<T, E> Pump<T, E>
where
    T: DeserializeOwned + Send + 'static,
    E: DeserializeOwned + Send + 'static,
{
    fn start(call: RpcFuture<T, E>, last: impl FnOnce(Result<T, CallError<E>>) + Send + 'static) {
        let client = call.call.client.clone();
        let waiting = Waiting { call, last: Box::new(last) };
        let pump = Arc::new(Self { waiting: Mutex::new(Some(waiting)), client });
        if let Some(Done { result, last }) = pump.poll() {
            run_job(pump.client.as_ref(), Box::new(move || last(result)));
        }
    }

    fn poll(self: &Arc<Self>) -> Option<Done<T, E>> {
        let mut waiting = self.waiting.lock();
        let call = &mut waiting.as_mut()?.call;
        let waker = Waker::from(Arc::clone(self));
        let Poll::Ready(result) = poll_guarded(call, &mut Context::from_waker(&waker)) else { return None };
        let Waiting { call: spent, last } = waiting.take()?;
        drop(waiting);
        drop(spent);
        Some(Done { result, last })
    }
}

impl<T, E> Wake for Pump<T, E>
where
    T: DeserializeOwned + Send + 'static,
    E: DeserializeOwned + Send + 'static,
{
    fn wake(self: Arc<Self>) {
        let client = self.client.clone();
        let job = move || {
            if let Some(Done { result, last }) = self.poll() {
                last(result);
            }
        };
        run_job(client.as_ref(), Box::new(job));
    }
}
