//! The place where the answer to one request appears.

mod cell;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use self::cell::Watch;
pub(crate) use self::cell::{Beside, Received, ReplyCell};
use crate::codec::CodecError;
use crate::error::{Failure, HandlerRan};
use crate::handles::{AnyHandle, HandleDesk, SentHandles};
use crate::message::Response;
use crate::observe::Observed;
use crate::worker::WorkerId;

/// What a request ends with.
pub type ReplyResult = Result<Response, Failure>;

/// Lets a [`Reply`] act on the call that it belongs to.
///
/// # For implementors
/// `key` is what [`Promise::controlled`] was given. Both may come late, when the call has ended: ignore
/// them then. Neither may block.
pub trait CallControl: Send + Sync {
    /// The caller gave up.
    fn cancel(&self, key: u64);

    /// The caller will wait `timeout` from now; `None` for ever.
    fn set_timeout(&self, key: u64, timeout: Option<Duration>);
}

/// The caller's end: a future of the response, which can also be waited for on a plain thread.
///
/// Dropping it detaches: the call goes on, and its response is dropped.
pub struct Reply {
    cell: Arc<ReplyCell>,
}

/// The agent's end: completes the [`Reply`]. Dropped without that, the reply fails as a lost link.
pub struct Promise {
    cell: Option<Arc<ReplyCell>>,
}

impl Promise {
    /// A reply and the promise that completes it.
    pub fn new() -> (Self, Reply) {
        let cell = Arc::new(ReplyCell::default());
        (Self { cell: Some(Arc::clone(&cell)) }, Reply { cell })
    }

    /// As [`new`](Self::new), and as [`controlled`](Self::controlled) with a key that [`Reply::set_key`] tells.
    pub(crate) fn new_controlled(control: Arc<dyn CallControl>) -> (Self, Reply) {
        let cell = Arc::new(ReplyCell::controlled(control));
        (Self { cell: Some(Arc::clone(&cell)) }, Reply { cell })
    }

    /// Lets the reply cancel the call and change its deadline. The first controller stays.
    pub fn controlled(&self, control: Arc<dyn CallControl>, key: u64) {
        if let Some(cell) = &self.cell {
            cell.key.store(key, Ordering::Relaxed);
            cell.set_control(control);
        }
    }

    /// Completes the reply. One that has ended already stays as it is, but the handles in a response are received
    /// all the same (see [`Reply::watch`]).
    pub fn complete(mut self, result: ReplyResult) {
        if let Some(cell) = &self.cell {
            cell.complete(result);
        }
        self.cell = None; // only now: if what heard of it panicked, the drop completes
    }

    /// Ends the call for the caller while a response may still come. Keep the promise until then: completing it
    /// with the late response passes on the handles in it.
    pub fn give_up(&self, failure: Failure) {
        if let Some(cell) = &self.cell {
            cell.complete(Err(failure));
        }
    }

    /// The cell, to [give up](Self::give_up) by while the promise itself is behind a lock.
    pub(crate) fn cell(&self) -> Option<Arc<ReplyCell>> {
        self.cell.clone()
    }

    /// Whether the call has ended for the caller, by cancelling for example.
    pub fn is_closed(&self) -> bool {
        self.cell.as_ref().is_none_or(|cell| cell.is_done())
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take().filter(|cell| !cell.is_done()) {
            cell.complete(Err(Failure::LinkLost {
                cause: "the agent dropped the call".into(),
                ran: HandlerRan::Unknown,
            }));
        }
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promise")
    }
}

impl Reply {
    /// A reply that is there already.
    pub fn ready(result: ReplyResult) -> Self {
        let (promise, reply) = Promise::new();
        promise.complete(result);
        reply
    }

    /// Whether the response is there.
    pub fn is_done(&self) -> bool {
        self.cell.is_done()
    }

    /// Gives the call up: it ends as [`Failure::Cancelled`] at once, and the other side is told.
    /// Has no effect on a call that has ended.
    pub fn cancel(&self) {
        self.cell.cancel();
    }

    /// Changes how long the caller waits, counted from now; `None` for ever.
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        if self.is_done() {
            return;
        }
        if let Some(control) = self.cell.control() {
            control.set_timeout(self.cell.key.load(Ordering::Relaxed), timeout);
        }
    }

    /// Blocks this thread until the response is there, or for `at_most`; `None` if it is not there then.
    pub fn wait_timeout(&mut self, at_most: Option<Duration>) -> Option<ReplyResult> {
        let give_up = at_most.and_then(|at_most| Instant::now().checked_add(at_most));
        let waker = thread_waker();
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(result) = Pin::new(&mut *self).poll(&mut cx) {
                return Some(result);
            }
            match give_up {
                None => std::thread::park(),
                Some(give_up) => {
                    let left = give_up.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    std::thread::park_timeout(left);
                }
            }
        }
    }

    /// Has the handles of this call counted by `desk`, whether somebody waits for the result or not: those in the
    /// response, which comes from worker `from` and is a result of `function`, and those that left with the
    /// request, `sent`. To be called once, right after the request was given to the agent; what has happened by
    /// then is caught up with.
    ///
    /// When a response arrives that ends with an [aside](crate::aside), also one that comes too late,
    /// [`HandleDesk::receive`] gets the aside, once. [`take_handles`](Self::take_handles) has what it returns;
    /// the handles of a late response are dropped at once. When the call ends otherwise than with
    /// [`Outcome::Ok`](crate::Outcome::Ok) or [`Outcome::HandlerError`](crate::Outcome::HandlerError), by a timeout
    /// or a cancellation too, [`SentHandles::lost`] is called.
    ///
    /// The desk is held weakly, because it may well hold this worker's agent. Without a desk, or a watch, the aside
    /// is taken off the response all the same, and its handles are lost.
    pub fn watch(
        &self,
        desk: Arc<dyn HandleDesk>,
        from: WorkerId,
        function: &'static str,
        sent: Option<Box<dyn SentHandles>>,
    ) {
        self.watch_by(Arc::downgrade(&desk), from, function, sent);
    }

    /// As [`watch`](Self::watch), for every call of a client: it costs the plain ones as little as can be.
    pub(crate) fn watch_by(
        &self,
        desk: Weak<dyn HandleDesk>,
        from: WorkerId,
        function: &'static str,
        sent: Option<Box<dyn SentHandles>>,
    ) {
        self.cell.watch(Watch { desk, from, function }, sent);
    }

    /// The handles in the response, by index, once it is there; to be taken once, before or after the response
    /// itself, by code that reads responses by itself. None if the response has no aside, or nobody
    /// [watches](Self::watch).
    ///
    /// # Errors
    /// An aside that is none, or that is not of this desk.
    pub fn take_handles(&self) -> Result<Vec<AnyHandle>, CodecError> {
        self.cell.take_handles().map_or_else(|| Ok(Vec::new()), |received| *received)
    }

    /// The response, as from polling, together with what there is beside it.
    pub(crate) fn poll_with_beside(&mut self, cx: &mut Context<'_>) -> Poll<(ReplyResult, Beside)> {
        self.cell.poll_with_beside(cx)
    }

    /// The key of the call that [`Promise::controlled`] was told, once it is known.
    pub(crate) fn set_key(&self, key: u64) {
        self.cell.key.store(key, Ordering::Relaxed);
    }

    pub(crate) fn cell(&self) -> &Arc<ReplyCell> {
        &self.cell
    }

    /// Tells `call` how this ends. To be called right after the request was given to the agent.
    #[cold]
    pub(crate) fn observe(&self, mut call: Box<Observed>) {
        call.is_made(self.cell.key.load(Ordering::Relaxed));
        self.cell.observe(call);
    }
}

/// # Cancel safety
/// Polling may stop at any time; the response stays until it is taken.
///
/// # Panics
/// If polled after it was ready.
impl Future for Reply {
    type Output = ReplyResult;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ReplyResult> {
        self.cell.poll(cx)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_done() { "Reply(done)" } else { "Reply(pending)" })
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

pub(crate) fn thread_waker() -> Waker {
    thread_local! {
        static WAKER: Waker = Arc::new(Unpark(std::thread::current())).into();
    }
    WAKER.with(Waker::clone)
}

#[cfg(test)]
mod tests;
