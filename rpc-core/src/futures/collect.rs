//! [`collect_all`] and [`wait_all`]: many futures as one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::{FutureError, SharedFuture};
use crate::client::Client;
use crate::error::CallError;
use crate::future::RpcFuture;

/// What can be collected: [`RpcFuture`] and [`SharedFuture`].
pub trait Collectable: Future<Output = Result<Self::Value, Self::Error>> + Unpin {
    /// What it yields.
    type Value;
    /// With what it fails.
    type Error;

    /// Who has to allow that a thread waits for it; `None` if it needs nobody to come.
    #[doc(hidden)]
    fn client(&self) -> Option<Client>;

    /// Nobody is going to look at it.
    #[doc(hidden)]
    fn give_up(self);
}

impl<T: DeserializeOwned, E: DeserializeOwned + 'static> Collectable for RpcFuture<T, E> {
    type Value = T;
    type Error = CallError<E>;

    fn client(&self) -> Option<Client> {
        self.caller().cloned().map(Client::of)
    }

    fn give_up(self) {
        self.ignore_errors();
    }
}

impl<T, E> Collectable for SharedFuture<T, E>
where
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    type Value = T;
    type Error = E;

    fn client(&self) -> Option<Client> {
        self.caller().cloned().map(Client::of)
    }

    /// Others may look at it.
    fn give_up(self) {}
}

/// All values, in the order of `futures`, or the first error as soon as there is one: who is slow is not waited for
/// then, and its call goes on by itself ([`RpcFuture::cancel_on_drop`] is honoured). Without futures it is done at once.
///
/// ```
/// # use rpc_core::{CallError, Client};
/// # use rpc_core::futures::collect_all;
/// # use rpc_macros::function;
/// # #[function(crate = "rpc_core")]
/// # fn rank() -> u32 { 1 }
/// # async fn example(client: &Client, workers: &[&str]) -> Result<(), CallError> {
/// let ranks: Vec<u32> = collect_all(workers.iter().map(|to| client.rpc_async(*to, rank, ()))).await?;
/// # Ok(()) }
/// ```
pub fn collect_all<F: Collectable>(futures: impl IntoIterator<Item = F>) -> CollectAll<F> {
    let futures: Vec<Option<F>> = futures.into_iter().map(Some).collect();
    let values = std::iter::repeat_with(|| None).take(futures.len()).collect();
    CollectAll { woken: Woken::all(futures.len()), left: futures.len(), futures, values }
}

/// As [`collect_all`], blocking this thread.
///
/// # Errors
/// The first of the futures' own, and [`FutureError::WouldBlock`] where a call must not be waited for (see
/// [`RpcFuture::wait`]).
///
/// # Panics
/// As [`RpcFuture::wait`].
pub fn wait_all<F>(futures: impl IntoIterator<Item = F>) -> Result<Vec<F::Value>, F::Error>
where
    F: Collectable,
    F::Error: From<FutureError>,
{
    match collect_all(futures).block(None) {
        Ok(result) => result,
        Err(_) => Err(FutureError::WouldBlock.into()),
    }
}

/// As [`wait_all`], but at most for `at_most`; the calls go on, and what has not been collected is handed back, to be
/// awaited or dropped.
///
/// # Errors
/// The rest if not all is there in time, or if this thread must not block.
///
/// # Panics
/// As [`RpcFuture::wait`].
pub fn wait_all_timeout<F: Collectable>(
    futures: impl IntoIterator<Item = F>,
    at_most: Duration,
) -> Result<ResultOfAll<F>, CollectAll<F>> {
    collect_all(futures).block(Some(at_most))
}

/// All values, or the first error.
pub type ResultOfAll<F> = Result<Vec<<F as Collectable>::Value>, <F as Collectable>::Error>;

/// The future of [`collect_all`].
#[must_use = "nothing is collected unless it is awaited or waited for"]
pub struct CollectAll<F: Collectable> {
    futures: Vec<Option<F>>,
    values: Vec<Option<F::Value>>,
    left: usize,
    woken: Arc<Woken>,
}

impl<F: Collectable> CollectAll<F> {
    fn block(mut self, at_most: Option<Duration>) -> Result<ResultOfAll<F>, Self> {
        if let Poll::Ready(result) = self.poll_some(&mut Context::from_waker(Waker::noop())) {
            return Ok(result);
        }
        // Each client that has to bring one of the results must allow it; the first one counts who waits.
        let mut clients = self.futures.iter().flatten().filter_map(Collectable::client);
        let Some(client) = clients.next() else { return Err(self) };
        if !clients.all(|client| client.agent().may_block()) {
            return Err(self);
        }
        match crate::future::block(client.shared(), at_most, |cx| self.poll_some(cx)) {
            Some(result) => Ok(result),
            None => Err(self),
        }
    }

    /// Polls those that have something new.
    fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<ResultOfAll<F>> {
        self.woken.wait(cx);
        while let Some((at, waker)) = self.woken.next() {
            let Some(future) = self.futures.get_mut(at).and_then(Option::as_mut) else { continue };
            let Poll::Ready(result) = Pin::new(future).poll(&mut Context::from_waker(&waker)) else {
                continue;
            };
            self.futures[at] = None;
            match result {
                Ok(value) => {
                    self.values[at] = Some(value);
                    self.left -= 1;
                }
                Err(error) => {
                    for slow in self.futures.drain(..).flatten() {
                        slow.give_up();
                    }
                    return Poll::Ready(Err(error));
                }
            }
        }
        match self.left {
            0 => Poll::Ready(Ok(std::mem::take(&mut self.values).into_iter().flatten().collect())),
            _ => Poll::Pending,
        }
    }
}

impl<F: Collectable> Unpin for CollectAll<F> {}

/// # Cancel safety
/// Polling may stop at any time. Dropping it drops the futures: their calls go on by themselves.
///
/// # Panics
/// If polled after it was ready.
impl<F: Collectable> Future for CollectAll<F> {
    type Output = Result<Vec<F::Value>, F::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_some(cx)
    }
}

impl<F: Collectable> fmt::Debug for CollectAll<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CollectAll({} of {} to come)", self.left, self.values.len())
    }
}

/// Which of many futures have something new, so that not all are polled for each.
pub(super) struct Woken(Mutex<Fresh>);

struct Fresh {
    /// By index, each at most twice: bounded by the number of futures.
    fresh: Vec<usize>,
    waker: Waker,
}

/// The waker of one of them.
struct One {
    all: Arc<Woken>,
    at: usize,
}

impl Woken {
    /// `count` futures, all to be polled.
    pub(super) fn all(count: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Fresh { fresh: (0..count).rev().collect(), waker: Waker::noop().clone() })))
    }

    /// Future `at` is to be polled.
    pub(super) fn add(&self, at: usize) {
        self.0.lock().fresh.push(at);
    }

    /// Has the task of `cx` woken when one of the futures has something new.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let before = std::mem::replace(&mut self.0.lock().waker, waker);
        drop(before);
    }

    /// Which future to poll next, and with what waker.
    pub(super) fn next(self: &Arc<Self>) -> Option<(usize, Waker)> {
        let at = self.0.lock().fresh.pop()?;
        Some((at, Waker::from(Arc::new(One { all: Arc::clone(self), at }))))
    }
}

impl Wake for One {
    fn wake(self: Arc<Self>) {
        let waker = {
            let mut fresh = self.all.0.lock();
            fresh.fresh.push(self.at);
            fresh.waker.clone()
        };
        waker.wake();
    }
}
