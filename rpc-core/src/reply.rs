//! The place where the answer to one request appears.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Failure, HandlerRan};
use crate::message::Response;

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

pub(crate) struct ReplyCell {
    state: Mutex<State>,
    control: OnceLock<Arc<dyn CallControl>>,
    key: AtomicU64,
}

enum State {
    Pending(Option<Waker>),
    Done(ReplyResult),
    Taken,
}

impl Promise {
    /// A reply and the promise that completes it.
    pub fn new() -> (Self, Reply) {
        let cell = Arc::new(ReplyCell {
            state: Mutex::new(State::Pending(None)),
            control: OnceLock::new(),
            key: AtomicU64::new(0),
        });
        (Self { cell: Some(Arc::clone(&cell)) }, Reply { cell })
    }

    /// Lets the reply cancel the call and change its deadline. The first controller stays.
    pub fn controlled(&self, control: Arc<dyn CallControl>, key: u64) {
        if let Some(cell) = &self.cell {
            cell.key.store(key, Ordering::Relaxed);
            // A second one would be a bug of the agent, which asks once per call.
            let _ = cell.control.set(control);
        }
    }

    /// Completes the reply. One that was completed already (by cancelling) stays as it is.
    pub fn complete(mut self, result: ReplyResult) {
        if let Some(cell) = self.cell.take() {
            cell.complete(result);
        }
    }

    /// Whether nobody can receive the response any more, or it has been cancelled.
    pub fn is_closed(&self) -> bool {
        self.cell.as_ref().is_none_or(|cell| !matches!(*cell.state.lock(), State::Pending(_)))
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
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

impl ReplyCell {
    fn complete(&self, result: ReplyResult) -> bool {
        let mut state = self.state.lock();
        match &mut *state {
            State::Pending(waker) => {
                let waker = waker.take();
                *state = State::Done(result);
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
                true
            }
            // The late result is dropped after the lock: it may hold a large body.
            State::Done(_) | State::Taken => {
                drop(state);
                false
            }
        }
    }

    /// Ends the call for the caller and tells the agent.
    pub(crate) fn cancel(&self) {
        let ended = self.complete(Err(Failure::Cancelled { ran: HandlerRan::Unknown }));
        if let (true, Some(control)) = (ended, self.control.get()) {
            control.cancel(self.key.load(Ordering::Relaxed));
        }
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
        !matches!(*self.cell.state.lock(), State::Pending(_))
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
        if let Some(control) = self.cell.control.get() {
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

    /// The key of the call that [`Promise::controlled`] was told, once it is known.
    pub(crate) fn set_key(&self, key: u64) {
        self.cell.key.store(key, Ordering::Relaxed);
    }

    pub(crate) fn cell(&self) -> &Arc<ReplyCell> {
        &self.cell
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
        let mut state = self.cell.state.lock();
        match &mut *state {
            State::Pending(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            State::Done(_) => match std::mem::replace(&mut *state, State::Taken) {
                State::Done(result) => Poll::Ready(result),
                State::Pending(_) | State::Taken => unreachable!("matched above, under the lock"),
            },
            State::Taken => panic!("a reply was polled after it was ready"),
        }
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

fn thread_waker() -> Waker {
    thread_local! {
        static WAKER: Waker = Arc::new(Unpark(std::thread::current())).into();
    }
    WAKER.with(Waker::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Body, Outcome};

    fn ok() -> ReplyResult {
        Ok(Response { outcome: Outcome::Ok, codec: 1, body: Body::default() })
    }

    #[test]
    fn a_thread_waits_until_another_completes() {
        let (promise, mut reply) = Promise::new();
        let waiter = std::thread::spawn(move || reply.wait_timeout(None));
        promise.complete(ok());
        assert!(waiter.join().unwrap().unwrap().is_ok());
    }

    #[test]
    fn waiting_ends_at_its_time_and_can_go_on() {
        let (promise, mut reply) = Promise::new();
        assert!(reply.wait_timeout(Some(Duration::from_millis(1))).is_none());
        promise.complete(ok());
        assert!(reply.wait_timeout(Some(Duration::ZERO)).unwrap().is_ok());
    }

    #[test]
    fn a_dropped_promise_is_an_error_not_a_hang() {
        let (promise, mut reply) = Promise::new();
        drop(promise);
        assert!(matches!(reply.wait_timeout(None), Some(Err(Failure::LinkLost { .. }))));
    }

    #[test]
    fn the_first_completion_stays() {
        let (promise, mut reply) = Promise::new();
        reply.cancel();
        assert!(promise.is_closed());
        promise.complete(ok());
        assert!(matches!(reply.wait_timeout(None), Some(Err(Failure::Cancelled { .. }))));
    }
}
