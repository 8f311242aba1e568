//! [`SharedFuture`]: a result for any number of who wait for it.
//!
//! The result comes from a *source*, such as a call, which is polled by whoever waits, or from a
//! [`Settable`](super::Settable). It is written once. Nothing of a user's runs under the lock of what waits; the
//! source has a lock of its own, so that a second waiter waits while the first one decodes.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Callback, FutureError, promise, run_job};
use crate::client;
use crate::error::{CallError, Failure};
use crate::function::BoxFuture;
use crate::worker::WorkerName;

/// A result that may not be there yet: a value or an error, which any number of tasks and threads wait for, and
/// which callbacks are given. Cloning is cheap; the clones are of one result.
///
/// ```
/// # use rpc_core::CallError;
/// # use rpc_macros::function;
/// # #[function(crate = "rpc_core")]
/// # fn load(n: usize) -> Vec<u8> { vec![1; n] }
/// # #[tokio::main]
/// # async fn main() -> Result<(), CallError> {
/// # let cluster = rpc_testing::Cluster::new(2).await;
/// # let client = cluster.client("worker0");
/// let bytes = client.rpc_async("worker1", load, (3,)).shared();
/// bytes.on_done(|bytes| println!("{:?}", bytes.map(Vec::len)));
/// let sum = bytes.map(|bytes| bytes.iter().sum::<u8>());
/// assert_eq!(sum.await?, 3);
/// assert_eq!(bytes.await?, [1, 1, 1]);
/// # Ok(()) }
/// ```
pub struct SharedFuture<T, E = CallError> {
    core: Arc<Core<T, E>>,
    /// By which this handle's waker is found.
    waiting: Option<u64>,
}

pub(super) struct Core<T, E> {
    result: OnceLock<Result<T, E>>,
    source: Mutex<Option<BoxFuture<'static, Result<T, E>>>>,
    inner: Mutex<Inner<T, E>>,
    /// Whether somebody has looked at the error, if it is one.
    seen: AtomicBool,
    pub(super) client: Option<Arc<client::Shared>>,
    origin: Origin,
    describe: fn(&E) -> String,
}

struct Inner<T, E> {
    wakers: HashMap<u64, Waker>,
    next: u64,
    callbacks: VecDeque<Job<T, E>>,
    /// Somebody runs the callbacks, and will look for the next one.
    calling: bool,
}

type Job<T, E> = Box<dyn FnOnce(&Core<T, E>) + Send>;

/// Where a future comes from, for messages.
#[derive(Clone)]
pub(crate) enum Origin {
    Call { to: WorkerName, function: &'static str },
    Line(&'static Location<'static>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { to, function } => write!(f, "{function} on worker {to}"),
            Self::Line(place) => write!(f, "the future made at {place}"),
        }
    }
}

/// A future whose result is that of `source`.
pub(crate) fn share<T, E>(
    client: Option<Arc<client::Shared>>,
    origin: Origin,
    source: BoxFuture<'static, Result<T, E>>,
) -> SharedFuture<T, E>
where
    T: Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    SharedFuture::of(Arc::new(Core::new(client, origin, Some(source))))
}

impl<T, E> Core<T, E> {
    pub(super) fn new(
        client: Option<Arc<client::Shared>>,
        origin: Origin,
        source: Option<BoxFuture<'static, Result<T, E>>>,
    ) -> Self
    where
        E: 'static,
    {
        Self {
            result: OnceLock::new(),
            source: Mutex::new(source),
            inner: Mutex::new(Inner {
                wakers: HashMap::new(),
                next: 0,
                callbacks: VecDeque::new(),
                calling: false,
            }),
            seen: AtomicBool::new(false),
            client,
            origin,
            describe: describe::<E>,
        }
    }

    /// The result, by who looks at it.
    fn look(&self) -> Option<Result<&T, &E>> {
        let result = self.result.get()?.as_ref();
        if result.is_err() {
            self.seen.store(true, Ordering::Relaxed);
        }
        Some(result)
    }
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Core<T, E> {
    /// Polls the source.
    fn drive(self: &Arc<Self>, may_call: bool) {
        let mut slot = self.source.lock();
        let Some(source) = slot.as_mut() else { return };
        let waker = Waker::from(Arc::clone(self));
        let Poll::Ready(result) = source.as_mut().poll(&mut Context::from_waker(&waker)) else { return };
        let spent = slot.take();
        drop(slot);
        drop(spent);
        self.complete(result, may_call);
    }

    /// Writes the result. `may_call` on a thread on which callbacks may run.
    pub(super) fn complete(self: &Arc<Self>, result: Result<T, E>, may_call: bool) {
        if self.result.set(result).is_err() {
            return; // there is one source, so this cannot be
        }
        let (wakers, calls) = {
            let mut inner = self.inner.lock();
            (std::mem::take(&mut inner.wakers), inner.begin())
        };
        for waker in wakers.into_values() {
            waker.wake();
        }
        match (calls, may_call) {
            (true, true) => self.call_back(),
            (true, false) => self.call_back_elsewhere(),
            (false, _) => {}
        }
    }

    fn add_callback(self: &Arc<Self>, job: Job<T, E>) {
        let calls = {
            let mut inner = self.inner.lock();
            inner.callbacks.push_back(job);
            self.result.get().is_some() && inner.begin()
        };
        match calls {
            true => self.call_back_elsewhere(),
            false => self.drive(false),
        }
    }

    fn call_back_elsewhere(self: &Arc<Self>) {
        let core = Arc::clone(self);
        run_job(self.client.as_ref(), Box::new(move || core.call_back()));
    }

    fn call_back(&self) {
        loop {
            let next = {
                let mut inner = self.inner.lock();
                let next = inner.callbacks.pop_front();
                inner.calling = next.is_some();
                next
            };
            match next {
                Some(job) => job(self),
                None => return,
            }
        }
    }
}

impl<T, E> Inner<T, E> {
    /// Whether the caller is to run the callbacks.
    fn begin(&mut self) -> bool {
        let begins = !self.calling && !self.callbacks.is_empty();
        self.calling |= begins;
        begins
    }
}

/// The source has something new. Those who wait poll it; for callbacks alone a thread does.
impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Wake for Core<T, E> {
    fn wake(self: Arc<Self>) {
        let (wakers, calls) = {
            let mut inner = self.inner.lock();
            (std::mem::take(&mut inner.wakers), !inner.callbacks.is_empty())
        };
        for waker in wakers.into_values() {
            waker.wake();
        }
        if calls {
            let client = self.client.clone();
            run_job(client.as_ref(), Box::new(move || self.drive(true)));
        }
    }
}

impl<T, E> Drop for Core<T, E> {
    fn drop(&mut self) {
        if let (Some(Err(error)), false) = (self.result.get(), *self.seen.get_mut()) {
            tracing::warn!(
                "{} failed, and nobody looked: {}; wait for it, give it a callback, or say ignore_errors()",
                self.origin,
                (self.describe)(error)
            );
        }
    }
}

impl<T, E> SharedFuture<T, E> {
    pub(super) fn of(core: Arc<Core<T, E>>) -> Self {
        Self { core, waiting: None }
    }

    pub(super) fn caller(&self) -> Option<&Arc<client::Shared>> {
        self.core.client.as_ref()
    }

    /// Says that nobody is going to look, so that an error is not logged.
    pub fn ignore_errors(&self) {
        self.core.seen.store(true, Ordering::Relaxed);
    }
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> SharedFuture<T, E> {
    /// Whether the result is there.
    pub fn is_done(&self) -> bool {
        self.core.drive(false);
        self.core.result.get().is_some()
    }

    /// The result, if it is there.
    pub fn value(&self) -> Option<Result<&T, &E>> {
        self.core.drive(false);
        self.core.look()
    }

    /// Resolves when the result is there, for who wants to look at it with [`value`](Self::value), without a copy.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn ready(&self) {
        let mut own = self.clone();
        std::future::poll_fn(move |cx| own.poll_ready(cx)).await;
    }

    /// Blocks this thread until the result is there, and returns a copy. As often as you like.
    ///
    /// # Errors
    /// The future's own, and [`FutureError::WouldBlock`] where a call must not be waited for (see
    /// [`RpcFuture::wait`](crate::RpcFuture::wait)).
    ///
    /// # Panics
    /// As [`RpcFuture::wait`](crate::RpcFuture::wait).
    pub fn wait(&self) -> Result<T, E>
    where
        T: Clone,
        E: Clone + From<FutureError>,
    {
        self.block(None).unwrap_or_else(|| Err(FutureError::WouldBlock.into()))
    }

    /// As [`wait`](Self::wait), but at most for `at_most`; `None` if the result is not there then, or if this thread
    /// must not block.
    pub fn wait_timeout(&self, at_most: Duration) -> Option<Result<T, E>>
    where
        T: Clone,
        E: Clone,
    {
        self.block(Some(at_most))
    }

    /// Has `f` called when the result is there (see [callbacks](super#callbacks)); returns a future of what it
    /// returns. A panic in it is the future's error.
    #[track_caller]
    pub fn then<U, F>(
        &self,
        f: impl FnOnce(Result<&T, &E>) -> Result<U, F> + Send + 'static,
    ) -> SharedFuture<U, F>
    where
        U: Send + Sync + 'static,
        F: From<FutureError> + Send + Sync + 'static,
    {
        let callback = Callback::new(f);
        let (promise, future) = promise(self.core.client.clone(), callback.place);
        self.core.add_callback(Box::new(move |core| {
            if let Some(result) = core.look() {
                promise.complete(callback.call(result).unwrap_or_else(|panicked| Err(panicked.into())));
            }
        }));
        future
    }

    /// As [`then`](Self::then) for the value alone; an error goes on to the new future.
    #[track_caller]
    pub fn map<U>(&self, f: impl FnOnce(&T) -> U + Send + 'static) -> SharedFuture<U, E>
    where
        U: Send + Sync + 'static,
        E: Clone + From<FutureError>,
    {
        self.then(move |result| result.map(f).map_err(Clone::clone))
    }

    /// Has `f` called when the result is there (see [callbacks](super#callbacks)). A panic in it is logged.
    #[track_caller]
    pub fn on_done(&self, f: impl FnOnce(Result<&T, &E>) + Send + 'static) {
        let callback = Callback::new(f);
        self.core.add_callback(Box::new(move |core| {
            if let Some(result) = core.look() {
                callback.call_last(result);
            }
        }));
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.core.result.get().is_some() {
            return Poll::Ready(());
        }
        let before = {
            let mut inner = self.core.inner.lock();
            let waiting = *self.waiting.get_or_insert_with(|| {
                inner.next += 1;
                inner.next
            });
            inner.wakers.insert(waiting, cx.waker().clone())
        };
        drop(before);
        // Also if the result was written before the waker was there: then this sees it.
        self.core.drive(false);
        match self.core.result.get() {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }

    fn poll_copy(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, E>>
    where
        T: Clone,
        E: Clone,
    {
        if self.poll_ready(cx).is_ready()
            && let Some(result) = self.core.look()
        {
            return Poll::Ready(result.cloned().map_err(E::clone));
        }
        Poll::Pending
    }

    fn block(&self, at_most: Option<Duration>) -> Option<Result<T, E>>
    where
        T: Clone,
        E: Clone,
    {
        let mut own = self.clone();
        if let Poll::Ready(result) = own.poll_copy(&mut Context::from_waker(Waker::noop())) {
            return Some(result);
        }
        let client = Arc::clone(own.core.client.as_ref()?);
        crate::future::block(&client, at_most, |cx| own.poll_copy(cx))
    }
}

/// # Cancel safety
/// Polling may stop at any time.
impl<T, E> Future for SharedFuture<T, E>
where
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        self.poll_copy(cx)
    }
}

impl<T, E> Clone for SharedFuture<T, E> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), waiting: None }
    }
}

impl<T, E> Drop for SharedFuture<T, E> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting {
            let waker = self.core.inner.lock().wakers.remove(&waiting);
            drop(waker);
        }
    }
}

impl<T, E> fmt::Debug for SharedFuture<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.core.result.get().is_some() { "done" } else { "pending" };
        write!(f, "SharedFuture({}, {state})", self.core.origin)
    }
}

/// As much as can be said of an error that need not have a text.
fn describe<E: 'static>(error: &E) -> String {
    let any: &dyn Any = error;
    if let Some(error) = any.downcast_ref::<CallError>() {
        return error.to_string();
    }
    if let Some(error) = any.downcast_ref::<FutureError>() {
        return error.to_string();
    }
    if let Some(error) = any.downcast_ref::<Failure>() {
        return error.to_string();
    }
    match any.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => format!("an error of type {}", std::any::type_name::<E>()),
    }
}
